"""Capture the flag, learned by evolution."""
