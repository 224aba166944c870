"""An implementation under test, the laws, a verdict.

Names are imported on first use: importing this package imports neither torch nor jax nor Hypothesis. The stub
beside this file lists them.
"""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
