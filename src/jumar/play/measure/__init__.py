"""Measuring players of this game: a league, and what they do, all on maps that are in no training."""
