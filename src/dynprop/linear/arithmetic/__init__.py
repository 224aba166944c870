"""Numbers beyond the range of floats, and ball arithmetic."""
