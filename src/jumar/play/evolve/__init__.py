"""Breeding: NEAT, HyperNEAT, and the hill-climber of the story.

In: settings, seeds, fitness. Out: genomes. Nothing here knows the game.
"""
