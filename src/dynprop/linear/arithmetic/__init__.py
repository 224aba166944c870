"""Scaled float64 arithmetic, products to higher precision, and ball arithmetic."""
