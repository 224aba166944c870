"""Planted faults of unrolls."""
