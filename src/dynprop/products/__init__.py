"""A fresh weight at every step, or one shared by all: laws of products, scales that work (C4, C5)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
