"""One matrix, or one gate, again and again (claims C1 to C3)."""

from dynprop.linear.scan import scan

__all__ = ["scan"]
