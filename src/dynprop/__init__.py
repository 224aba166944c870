"""dynprop: how signals and gradients travel through time, executable and checked.

Importing this package imports nothing heavy; rooms are loaded when a name is used. The names stand in the
stub beside this file.
"""

import lazy_loader

from dynprop._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
