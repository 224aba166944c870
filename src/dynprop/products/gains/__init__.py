"""Gains at which norms neither grow nor decay."""
