"""Gradients through time (claim C6): cells, and the gradient of a state by lag.

torch is imported on first use of a module that needs it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
