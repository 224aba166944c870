"""Gradients through time (claim C6): cells, and the gradient of a state by lag.

torch is imported on first use of a module that needs it.
"""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
