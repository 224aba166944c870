"""Leaky sums, as a scan and as a layer."""
