"""dynprop: how signals and gradients travel through time, executable and checked.

Importing this package imports nothing heavy; rooms are loaded when a name is used. The names stand in the
stub beside this file.
"""

from dynprop._version import __version__ as __version__
from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
