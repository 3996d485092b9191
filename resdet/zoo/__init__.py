"""Weights that other projects publish, by the names they have there, as state dicts of our own networks."""
