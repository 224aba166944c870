"""Closed forms by several routes, and certified powers."""
