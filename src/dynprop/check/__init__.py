"""An implementation under test, the laws, a verdict.

Names are loaded when they are used: importing this room imports neither torch nor jax nor Hypothesis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.lazy import loaded_when_used

if TYPE_CHECKING:
    from dynprop.check.agreement import Agreement
    from dynprop.check.api import Retrial, again, check
    from dynprop.check.associative import AssociativeScan
    from dynprop.check.closed_form import ClosedForm
    from dynprop.check.initializer import Initializer
    from dynprop.check.layer import Layer
    from dynprop.check.product import Product
    from dynprop.check.pytest_laws import parametrize_with_laws
    from dynprop.check.report import Report
    from dynprop.check.scan import Scan
    from dynprop.check.targets import load_subject
    from dynprop.check.unroll import Unroll

__all__ = [
    "Agreement",
    "AssociativeScan",
    "ClosedForm",
    "Initializer",
    "Layer",
    "Product",
    "Report",
    "Retrial",
    "Scan",
    "Unroll",
    "again",
    "check",
    "load_subject",
    "parametrize_with_laws",
]

_HOMES = {
    "Agreement": "dynprop.check.agreement",
    "AssociativeScan": "dynprop.check.associative",
    "ClosedForm": "dynprop.check.closed_form",
    "Initializer": "dynprop.check.initializer",
    "Layer": "dynprop.check.layer",
    "Product": "dynprop.check.product",
    "Report": "dynprop.check.report",
    "Retrial": "dynprop.check.api",
    "Scan": "dynprop.check.scan",
    "Unroll": "dynprop.check.unroll",
    "again": "dynprop.check.api",
    "check": "dynprop.check.api",
    "load_subject": "dynprop.check.targets",
    "parametrize_with_laws": "dynprop.check.pytest_laws",
}

__getattr__, __dir__ = loaded_when_used(__name__, _HOMES, __all__)
