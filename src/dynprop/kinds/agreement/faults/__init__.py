"""Planted faults in one of the functions of a namespace."""
