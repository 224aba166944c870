"""Does SGD succeed (claims C0, C6 and C7): tasks, ensembles of models, success curves, sweeps.

torch, dask, scipy and matplotlib are imported by the modules that need them, when they are first used.
"""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
