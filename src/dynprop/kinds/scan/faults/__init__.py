"""Planted faults of gated scans."""
