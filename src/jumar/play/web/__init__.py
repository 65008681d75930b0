"""The game in a browser: a page to watch bred players on, and one on which a person commands four players.

In: replays, curves, networks; opponents. Out: ``watch.page``, one HTML file that works without a network, and
``server.serve``, which plays against a person. The rules stay in Python: pages draw what they are told.
"""
