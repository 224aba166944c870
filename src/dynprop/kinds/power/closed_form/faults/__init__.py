"""Planted faults of closed forms."""
