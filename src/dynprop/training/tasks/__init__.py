"""The tasks: generators of sequences with a loss, a level of chance, a criterion and a solver."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
