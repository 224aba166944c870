"""Initial weights that keep scales."""
