"""Powers of one matrix or gate (claims C1 to C3).

Names are loaded on first use. Some functions are named like the module that defines them (`scan`, `unroll`,
`growth`); lazy_loader keeps the package attribute the function in any order of imports.
"""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
