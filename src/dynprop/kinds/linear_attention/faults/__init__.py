"""Planted faults: kernels that are right but for one thing."""
