"""Laws across functions: what `dynprop.linear` says of one matrix in many ways must be one thing.

The subject is a namespace with some of the functions of `dynprop.linear`, by default the module itself, so
that a wrong version of one function can stand in its place. No function is the reference of another: two
that disagree by more than both may err are a failure of one of them.
"""

from dynprop.laws.agreement import forms, norms, spectra  # isort: skip (order of laws)

__all__ = ["forms", "norms", "spectra"]
