"""Products of random weights, fresh or shared: distributions, gains, mean field, initial weights (C4, C5)."""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
