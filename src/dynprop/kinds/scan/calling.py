"""How a scan is called: layouts, gradient modes, arguments that require a gradient, calls before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray

__all__ = ["LEAVES", "ONE_CALL", "PIECES", "constant_along", "forms", "layouts", "modes", "wants"]

LEAVES = ("gates", "inputs", "initial")
ONE_CALL = "one call"
PIECES = "in two pieces"

# Values by coarse class, for the library of a subject; without a subject, those of every library.
Classes = Mapping[str, tuple[str, ...]]


def layouts(subject: Any = None) -> Classes:
    """Return the memory layouts that a caller of the subject's library can choose."""
    if not getattr(subject, "has_layouts", True):
        return {"contiguous": ("contiguous",)}
    return {
        "contiguous": ("contiguous",),
        "transposed": ("transposed",),
        "sliced with a step": ("sliced",),
        "expanded (stride 0)": (
            *("gates over time", "gates over batch", "gates over channel"),
            *("inputs over time", "inputs over batch", "inputs over channel", "initial over batch"),
        ),
    }


def modes(subject: Any = None) -> Classes:
    """Return the gradient modes of the subject's library."""
    named: Sequence[str] = getattr(subject, "gradient_modes", ("grad", "no_grad", "inference_mode"))
    return {name: (name,) for name in named or ("grad",)}


def wants(subject: Any = None) -> Classes:
    """Return which arguments require a gradient, joined by "+"."""
    if not getattr(subject, "gradient_modes", ("grad",)):
        return {"none": ("",)}
    return {
        "none": ("",),
        "one": LEAVES,
        "two": ("gates+inputs", "inputs+initial", "gates+initial"),
        "all": ("gates+inputs+initial",),
    }


def forms(subject: Any = None) -> Classes:
    """Return what surrounds the call: nothing, a call before it, or a second call that resumes it."""
    return {
        ONE_CALL: (ONE_CALL,),
        "after another call": ("after the same shape", "after an error"),
        PIECES: (PIECES,),
    }


def constant_along(layout: str, name: str, values: FloatArray) -> FloatArray:
    """Return an argument, made constant along the axis of stride 0 if the layout expands it."""
    expanded, _, along = layout.partition(" over ")
    if expanded != name or not along:
        return values
    axis = ("batch", "time", "channel").index(along)
    return np.repeat(values.take([0], axis), values.shape[axis], axis) if values.shape[axis] else values
