"""Comparison of results with the exact recurrence, and with other results of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.formats import FORMATS, coarser
from dynprop.kinds.linear_attention.cases import LinearCase
from dynprop.kinds.linear_attention.convention import Convention, format_inside
from dynprop.kinds.linear_attention.loop import loop, normalised
from dynprop.kinds.linear_attention.rows import gathered, parts_of
from dynprop.kinds.linear_attention.solution import Answer, cotangents, cut
from dynprop.laws.evidence import Alternatives, Comparison, compare

__all__ = ["NAMES", "agree", "is_rounded", "judge", "mistaken"]

NAMES = {"o": "outputs", "final_state": "final state"}
STATES = ("initial_state", "final_state")
# Errors below this part of the largest entry may be lost digits.
GROSS = 1e-2
CHUNKS = (64, 32, 16, 8, 4)


def judge(
    label: str,
    name: str,
    value: FloatArray,
    answer: Answer,
    case: LinearCase,
    convention: Convention,
    loss: str = "",
) -> Comparison:
    """Compare a result with the exact one, within the bound of any form.

    Args:
        label: what is compared; the form.
        name: "o", "final_state", or the argument whose gradient the value is.
        value: the result, with the axes of the case.
        answer: the exact result and its bound.
        case: the case.
        convention: what the kernel computes.
        loss: for gradients, the loss.
    """
    what = NAMES.get(name, f"gradient to {name}")
    axes = answer.axes(name)
    if name in STATES and not is_rounded(value, case.dtype):
        answer = replace(answer, bound=answer.unrounded)
    alternatives: Alternatives = partial(_alternatives, case, convention, name, loss)
    repaired: Alternatives = dict
    if "time" in axes and loss == "last output":
        # Lags count from the last step.
        axes = tuple("lag" if axis == "time" else axis for axis in axes)
        value, answer = value[:, ::-1], cut(answer, (slice(None), slice(None, None, -1)))
        alternatives = partial(_by_lag, alternatives)
    elif "time" in axes:
        repaired = partial(_from_a_chunk, value, answer, convention, axes.index("time"))
    return compare(
        f"{what} ({label})",
        value,
        answer.exact,
        answer.bound,
        dtype=format_inside(case.dtype, convention),
        axes=axes,
        scale=answer.scale,
        in_range=answer.in_range,
        relaxed=partial(_coarser, answer, format_inside(case.dtype, convention)),
        alternatives=alternatives,
        repaired=repaired,
    )


def _by_lag(alternatives: Alternatives) -> dict[str, FloatArray]:
    return {mistake: value[:, ::-1] for mistake, value in alternatives().items()}


def is_rounded(values: FloatArray, dtype: str) -> bool:
    """Whether every number is one of a format: states may come back in that of the arguments."""
    return bool(np.array_equal(round_to(values, dtype), values))


def agree(
    label: str, name: str, value: FloatArray, other: FloatArray, answer: Answer, dtype: str
) -> Comparison:
    """Compare two results of the kernel for the same exact result, within twice the bound."""
    return compare(
        f"{NAMES.get(name, name)} {label}",
        value,
        other,
        2.0 * answer.bound,
        dtype=dtype,
        axes=answer.axes(name),
        scale=answer.scale,
        in_range=answer.in_range,
    )


def _coarser(answer: Answer, dtype: str) -> dict[str, FloatArray]:
    """Return the bounds of kernels that keep the state, or operands, in a format with fewer digits."""
    unit = FORMATS[dtype].unit
    return {f"state or operands in {f.name}": answer.bound * (f.unit / unit) for f in coarser(dtype)}


def _from_a_chunk(
    value: FloatArray, answer: Answer, convention: Convention, axis: int
) -> dict[str, FloatArray]:
    """Return the value repaired from the first wrong step on, if that step begins a chunk."""
    error = np.moveaxis(np.abs(value - answer.exact.high), axis, 0)
    limit = np.moveaxis(answer.bound, axis, 0)
    bad = (~(error <= limit)).reshape(len(error), -1).any(axis=1)
    gross = not float(np.nan_to_num(error, nan=np.inf).max(initial=0.0)) < GROSS * float(
        np.abs(answer.exact.high).max(initial=0.0)
    )
    first = int(bad.argmax())
    sizes = (convention.chunk_size,) if convention.chunk_size else CHUNKS
    size = next((c for c in sizes if first % c == 0), None)
    if not bad.any() or first == 0 or size is None or not gross:
        return {}
    repaired = np.moveaxis(value.copy(), axis, 0)
    repaired[first:] = np.moveaxis(answer.exact.high, axis, 0)[first:]
    text = f"error begins at a multiple of {size}: step {first}"
    return {text: np.moveaxis(repaired, 0, axis)}


def _alternatives(case: LinearCase, convention: Convention, name: str, loss: str) -> Mapping[str, FloatArray]:
    # Another convention may lack this gradient, such as that of a bonus where outputs read after the write.
    found = mistaken(case, convention, loss).items()
    return {mistake: results[name] for mistake, results in found if name in results}


def mistaken(case: LinearCase, convention: Convention, loss: str = "") -> dict[str, dict[str, FloatArray]]:
    """Return the results of kernels with a known mistake, by the name of the mistake.

    Args:
        case: the case.
        convention: what the kernel should compute.
        loss: gradients are those of this loss; "" for none.
    """
    weights = cotangents(case, loss) if loss else (None, None)

    def results(other: LinearCase, computed: Convention) -> dict[str, FloatArray]:
        parts = parts_of(other, computed, *weights)
        with np.errstate(all="ignore"):
            found = [loop(part.rows) for part in parts]
        pairs = [list(zip(parts, [f[n] for f in found], strict=True)) for n in found[0]]
        return {n: gathered(other, computed, n, pair) for n, pair in zip(found[0], pairs, strict=True)}

    right = results(case, convention)
    made: dict[str, Callable[[], dict[str, FloatArray]]] = {}
    keys, values = case.state_shape[2:]
    if case.initial is not None:
        made["initial state ignored"] = lambda: {**right, **results(replace(case, initial=None), convention)}
        first = np.repeat(case.initial[:1], case.sequences, axis=0)
        made["initial state of the first row given to all rows"] = lambda: results(
            replace(case, initial=first), convention
        )
        if keys == values:
            turned = np.ascontiguousarray(case.initial.swapaxes(2, 3))
            made["initial state transposed (K and V exchanged)"] = lambda: results(
                replace(case, initial=turned), convention
            )
    if keys == values:
        made["state transposed (K and V exchanged)"] = lambda: {
            n: v.swapaxes(2, 3) if n in ("final_state", "initial_state") else v for n, v in right.items()
        }
    if convention.takes_decay:
        other_space = {"log": "linear", "log2": "log", "linear": "log"}[convention.decay_space]
        made["decay taken for its logarithm, or for another base"] = lambda: results(
            case, replace(convention, decay_space=other_space)
        )
        if convention.decay_space == "log":
            made["decay to base 2"] = lambda: results(case, replace(convention, decay_space="log2"))
        order = "decay-after" if convention.order == "decay-first" else "decay-first"
        word = "after" if order == "decay-after" else "before"
        made[f"decay {word} the update"] = lambda: results(case, replace(convention, order=order))
        made["no decay"] = lambda: results(_undecayed(case, convention), convention)
    read = "before" if convention.read == "after" else "after"
    made[f"outputs read the state {read} the update"] = lambda: results(
        replace(case, bonus=None), replace(convention, read=read, bonus=False)
    )
    if case.beta is not None:
        made["beta ignored"] = lambda: results(replace(case, beta=np.ones_like(case.v[..., 0])), convention)
    if convention.groups != "none" and case.key_heads > 1 and case.heads > case.key_heads:
        groups = "tile" if convention.groups == "interleave" else "interleave"
        word = {"tile": "tiled for interleaved", "interleave": "interleaved for tiled"}[groups]
        made[f"heads {word}"] = lambda: results(case, replace(convention, groups=groups))
    if not loss:
        for text, names in (("keys", ("k",)), ("queries", ("q",)), ("q and k", ("q", "k"))):
            unit: dict[str, Any] = {n: normalised(getattr(case, n), 0.0) for n in names}
            made[f"{text} normalised inside"] = partial(results, replace(case, **unit), convention)
        for text, factor in (("applied twice", case.scale**2), ("left out", 1.0)):
            made[f"scale {text}"] = partial(results, replace(case, scale=factor), convention)
    elif convention.normalises is None:
        made["q and k normalised inside"] = lambda: results(case, replace(convention, normalises=1e-12))
    if convention.normalises is not None:
        made["q and k not normalised"] = lambda: results(case, replace(convention, normalises=None))
    if case.boundaries is not None and not loss:
        start = None if case.initial is None else case.initial[:1]
        joined = replace(case, boundaries=(0, case.steps), initial=start)
        made["state not reset at the boundaries"] = lambda: _as_packed(right, results(joined, convention))
    return {text: make() for text, make in made.items()}


def _undecayed(case: LinearCase, convention: Convention) -> LinearCase:
    neutral = convention.neutral_decay
    decay, constant = case.decay, case.constant_decay
    return replace(
        case,
        decay=None if decay is None else np.full_like(decay, neutral),
        constant_decay=None if constant is None else np.full_like(constant, neutral),
    )


def _as_packed(right: Mapping[str, FloatArray], joined: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the results of one long sequence in the place of several: the last state is its own."""
    final = right["final_state"].copy()
    final[-1] = joined["final_state"][0]
    return {"o": joined["o"], "final_state": final}
