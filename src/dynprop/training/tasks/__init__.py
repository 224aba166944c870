"""The tasks: generators of sequences with a loss, a level of chance, a criterion and a solver."""

from dynprop.extras import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
