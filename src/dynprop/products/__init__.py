"""Products of random weights, fresh or shared: distributions, gains, mean field, initial weights (C4, C5)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
