"""How a loss reaches back (claim C6): cells, and the gradient of a state by lag.

torch is imported by the modules that need it, when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
