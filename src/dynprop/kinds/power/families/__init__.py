"""Families of matrices with a prescribed structure."""
