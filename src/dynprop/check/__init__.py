"""An implementation under test, the laws, a verdict.

Names are loaded when they are used: importing this room imports neither torch nor jax nor Hypothesis. They
stand in the stub beside this file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
