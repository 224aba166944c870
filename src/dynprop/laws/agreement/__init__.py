"""Laws across functions: what the rooms of dynprop say in many ways must be one thing.

The subject is a namespace with some of the functions of these rooms, by default one of the modules, so
that a wrong version of one function can stand in its place. No function is the reference of another: two
that disagree by more than both may err are a failure of one of them.
"""

from dynprop.laws.agreement import forms, norms, spectra, weights, layers, lags, success  # isort: skip (order of laws)

__all__ = ["forms", "lags", "layers", "norms", "spectra", "success", "weights"]
