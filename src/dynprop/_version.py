"""The version of dynprop."""

__version__ = "0.1.0"
