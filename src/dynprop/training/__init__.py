"""Does SGD succeed (claims C0, C6 and C7): tasks, ensembles of models, success curves, sweeps.

torch, dask, scipy and matplotlib are imported by the modules that need them, when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
