"""Planted faults, which the laws must catch, and controls, which they must never accuse."""
