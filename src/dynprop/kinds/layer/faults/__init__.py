"""Planted faults of recurrent layers."""
