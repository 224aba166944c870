"""Which leaves of a given state a form reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.judging import steps_of
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.subjects.calls import TargetRaisedError

__all__ = ["leaves_read"]


def leaves_read(subject: LayerSubject, form: str, case: LayerCase, state: State) -> tuple[bool, ...]:
    """Return for each leaf of a state whether outputs, or another leaf of the last state, depend on it.

    Args:
        subject: the layer.
        form: the form that is run on the steps of the case.
        case: the case.
        state: the state given; leaves are changed by an eighth of each entry, zeros by an eighth, integers
            by 1. A leaf whose change makes the form raise is read.
    """
    size = 1 if form == "step" else case.steps
    plain = steps_of(subject, form, case, state, size)
    found = []
    for i, leaf in enumerate(state.leaves):
        leaves = (*state.leaves[:i], _changed(leaf), *state.leaves[i + 1 :])
        try:
            other = steps_of(subject, form, case, replace(state, leaves=leaves), size)
        except TargetRaisedError:
            found.append(True)
            continue
        found.append(not np.array_equal(plain[0], other[0], equal_nan=True) or _others(plain[1], other[1], i))
    return tuple(found)


def _changed(leaf: NumericArray) -> NumericArray:
    if leaf.dtype.kind == "b":
        return np.asarray(~leaf)
    if leaf.dtype.kind in "iu":
        return np.asarray(leaf + 1)
    return np.asarray(np.where(leaf == 0, 0.125, leaf * 1.125), dtype=leaf.dtype)


def _others(plain: State | None, other: State | None, place: int) -> bool:
    """Whether another leaf of the last state differs."""
    if plain is None or other is None or len(plain.leaves) != len(other.leaves):
        return False
    pairs = zip(plain.leaves, other.leaves, strict=True)
    return any(i != place and not np.array_equal(a, b) for i, (a, b) in enumerate(pairs))
