"""Planted faults of tasks."""
