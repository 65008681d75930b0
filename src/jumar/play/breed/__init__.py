"""Breeding players of this game: what they see, what they are, who breeds them, and how they are trained."""
