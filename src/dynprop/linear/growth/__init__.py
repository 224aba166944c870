"""Norms of powers: growth, bounds, Kreiss constant, stability."""
