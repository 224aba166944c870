"""The exact results of a case with their bounds: one solution serves every form and every law.

A bound is c u B (see ``bounds``). A kernel that computes in float32 whatever its arguments are declares it:
then u is that of float32, and each result may be rounded twice to the format of the arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from dynprop.arrays import BoolArray, FloatArray, NumericArray
from dynprop.contracts.formats import FORMATS
from dynprop.kinds.linear_attention.bounds import RowBounds, row_bounds
from dynprop.kinds.linear_attention.cases import LinearCase
from dynprop.kinds.linear_attention.convention import Convention, format_inside
from dynprop.kinds.linear_attention.exact import exact_rows
from dynprop.kinds.linear_attention.loop import loop
from dynprop.kinds.linear_attention.rows import Part, Rows, gathered, parts_of
from dynprop.laws.exact import Exact

__all__ = [
    "AXES",
    "LOSSES",
    "Answer",
    "bounded",
    "bounds_of",
    "cotangents",
    "cut",
    "solution",
    "whole_solution",
]

AXES = {
    "o": ("batch", "time", "head", "value"),
    "q": ("batch", "time", "key head", "key"),
    "k": ("batch", "time", "key head", "key"),
    "v": ("batch", "time", "head", "value"),
    "log_decay": ("batch", "time", "head", "key"),
    "beta": ("batch", "time", "head"),
    "a": ("batch", "time", "head", "key"),
    "b": ("batch", "time", "head", "key"),
    "bonus": ("head", "key"),
    "initial_state": ("sequence", "head", "key", "value"),
    "final_state": ("sequence", "head", "key", "value"),
}

# Which results a scalar loss weighs.
LOSSES = ("last output", "final state", "outputs", "everything")


@dataclass(frozen=True)
class Answer:
    """The exact value of one result, and what a sound kernel may make of it.

    Attributes:
        exact: the value.
        bound: largest error of a sound evaluation.
        unrounded: the same for a result in the format that the kernel computes in.
        scale: sum of the absolute values of what is summed over heads and rows.
        magnitude: size of what is added up by decays only.
        in_range: where no intermediate result leaves the safe range.
    """

    exact: Exact
    bound: FloatArray
    unrounded: FloatArray
    scale: FloatArray
    magnitude: FloatArray
    in_range: BoolArray

    def axes(self, name: str) -> tuple[str, ...]:
        """Return the names of the axes."""
        return ("head",) if name == "log_decay" and self.bound.ndim == 1 else AXES[name][: self.bound.ndim]


def cotangents(case: LinearCase, loss: str) -> tuple[FloatArray, FloatArray]:
    """Return the weights of outputs and final state in a loss of ``LOSSES``."""
    outputs, final = case.cotangents()
    if loss == "final state":
        return np.zeros_like(outputs), final
    if loss == "outputs":
        return outputs, np.zeros_like(final)
    if loss == "last output":
        last = np.zeros_like(outputs)
        ends = [case.steps] if case.boundaries is None else list(case.boundaries[1:])
        for end in ends:
            last[:, end - 1] = outputs[:, end - 1]
        return last, np.zeros_like(final)
    return outputs, final


_KNOWN: WeakKeyDictionary[LinearCase, dict[tuple[Convention, str], dict[str, Answer]]] = WeakKeyDictionary()


def solution(case: LinearCase, convention: Convention, loss: str = "") -> Mapping[str, Answer]:
    """Return outputs and final state, and with a loss the gradients; computed once for a case.

    Args:
        case: the case.
        convention: what the kernel computes.
        loss: one of ``LOSSES``, or "" for no gradients.
    """
    known = _KNOWN.setdefault(case, {})
    if not loss and known:
        return next(iter(known.values()))
    if (convention, loss) not in known:
        weights = cotangents(case, loss) if loss else (None, None)
        parts = parts_of(case, convention, *weights)
        exact = [exact_rows(part.rows) for part in parts]
        known[convention, loss] = _answers(case, convention, parts, exact)
    return known[convention, loss]


def whole_solution(
    case: LinearCase, convention: Convention, loss: str = "everything"
) -> Mapping[str, Answer]:
    """Return the results for whole numbers, exact in float64, with the gradients of a loss."""
    parts = parts_of(case, convention, *cotangents(case, loss))
    nothing = [{n: Exact(v, np.zeros_like(v)) for n, v in loop(p.rows).items()} for p in parts]
    return _answers(case, convention, parts, nothing)


def bounded(case: LinearCase, convention: Convention) -> Mapping[str, Answer]:
    """Return outputs and final state in float64: laws that compare the kernel with itself need bounds."""
    parts = parts_of(case, convention)
    with np.errstate(all="ignore"):
        found = [{n: Exact(v, np.zeros_like(v)) for n, v in loop(part.rows).items()} for part in parts]
    return _answers(case, convention, parts, found)


def bounds_of(rows: Rows, dtype: str, convention: Convention) -> RowBounds:
    """Return the bounds of rows in the format that a kernel computes in."""
    return row_bounds(rows, FORMATS[format_inside(dtype, convention)])


def _answers(
    case: LinearCase, convention: Convention, parts: list[Part], exact: list[dict[str, Exact]]
) -> dict[str, Answer]:
    with np.errstate(all="ignore"):
        bounds = [bounds_of(part.rows, case.dtype, convention) for part in parts]
        return {name: _answer(name, case, convention, parts, exact, bounds) for name in exact[0]}


def _answer(
    name: str,
    case: LinearCase,
    convention: Convention,
    parts: list[Part],
    exact: list[dict[str, Exact]],
    bounds: list[RowBounds],
) -> Answer:
    """Return one result of all parts, with the axes of the case."""

    def gather(values: Iterable[FloatArray]) -> FloatArray:
        return gathered(case, convention, name, list(zip(parts, values, strict=True)))

    outside = FORMATS[case.dtype]
    inside = FORMATS[format_inside(case.dtype, convention)]
    value = Exact(gather(found[name].high for found in exact), gather(found[name].low for found in exact))
    size = gather(np.abs(found[name].high) for found in exact)
    bound = bounds[0].constant * inside.unit * gather(of.bound[name] for of in bounds)
    beyond = gather(_per_row(~of.in_range, found[name].high) for of, found in zip(bounds, exact, strict=True))
    in_range = beyond == 0.0
    # The number of values that are summed to one, over value heads, rows or steps.
    count = float(case.heads // case.key_heads)
    if name == "bonus" or (name == "log_decay" and convention.decay == "constant"):
        # In any order and in either format (Higham 2002, lemma 3.1).
        count = float(case.batch * case.steps)
        bound = bound + count * outside.unit * size
    unrounded = bound
    if inside is not outside:
        # Each value, and their sum, is rounded to the format outside, in which it may be subnormal.
        bound = bound + 2.0 * outside.unit * size + 2.0 * count * outside.tiny
        in_range = in_range & (size < outside.safe)
    return Answer(value, bound, unrounded, size, gather(of.magnitude[name] for of in bounds), in_range)


def _per_row(flags: BoolArray, like: FloatArray) -> FloatArray:
    shape = (-1, *(1,) * (like.ndim - 1))
    return np.asarray(np.broadcast_to(flags.reshape(shape), like.shape), dtype=np.float64)


def cut(answer: Answer, index: tuple[slice | NumericArray, ...]) -> Answer:
    """Return part of an answer."""
    return replace(
        answer,
        exact=Exact(answer.exact.high[index], answer.exact.low[index]),
        bound=answer.bound[index],
        unrounded=answer.unrounded[index],
        scale=answer.scale[index],
        magnitude=answer.magnitude[index],
        in_range=answer.in_range[index],
    )
