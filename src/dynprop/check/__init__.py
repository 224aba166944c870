"""An implementation under test, the laws, a verdict.

Names are imported on first use: importing this package imports neither torch nor jax nor Hypothesis. The stub
beside this file lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
