"""Probing calls: formats, batch axes of the state, and forms that need a state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dynprop.arrays import describe, dtype_name, is_array
from dynprop.errors import TargetError
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError

__all__ = ["Findings", "probe"]

BATCHES = (2, 3)
STEPS = 2
DEMAND = "kind layer takes forward(x, state=None) -> (y, state)"


@dataclass(frozen=True)
class Findings:
    """What probing calls found out about a layer.

    Attributes:
        dtypes: the formats in which it is judged.
        returns_state: whether the primary form returns a state.
        batch_axes: the batch axis of each leaf of the state, None for a leaf shared by all rows.
        complex_state: whether a leaf of the state is complex.
        units: size of the last axis of the first leaf of the state.
        needs_state: forms that do not take None for a state.
        note: the formats that are left out, with reasons; empty if none is.
    """

    dtypes: tuple[str, ...]
    returns_state: bool = False
    batch_axes: tuple[int | None, ...] = ()
    complex_state: bool = False
    units: int | None = None
    needs_state: frozenset[str] = frozenset()
    note: str = ""


def probe(calls: LayerCalls, dtypes: tuple[str, ...], optional: frozenset[str]) -> Findings:
    """Call a layer at two batch sizes in every format.

    Args:
        calls: the layer.
        dtypes: the formats to try.
        optional: formats that are left out if a call fails or returns another format.

    Raises:
        TargetError: the layer cannot be called as its kind demands, in one line.
    """
    findings = Findings(dtypes)
    kept: list[str] = []
    failures: list[tuple[str, TargetRaisedError | TargetMismatchError]] = []
    for dtype in dtypes:
        try:
            findings = _probe_primary(calls, dtype, findings, optional)
            kept.append(dtype)
        except (TargetRaisedError, TargetMismatchError) as error:
            failures.append((dtype, error))
    left_out = {dtype for dtype, _ in failures}
    if failures and not kept:
        dtype, reason = failures[0]
        if _is_misfit(reason):
            raise TargetError(" ".join(_call_text(calls, dtype, str(reason)).split())) from reason
        # It raises on ordinary input: the laws report that, with the input.
        findings = replace(findings, returns_state=True)
    elif left_out and left_out <= optional:
        note = "; ".join(f"{dtype} is not offered ({error})" for dtype, error in failures)
        findings = replace(findings, dtypes=tuple(kept), note=note)
    return _probe_pieces(calls, findings)


def _is_misfit(reason: TargetRaisedError | TargetMismatchError) -> bool:
    """Whether a failed call means that the arguments do not fit, rather than a defect of the layer."""
    if not isinstance(reason, TargetRaisedError):
        return True
    return isinstance(reason.cause, TypeError | ValueError | AttributeError)


def _call_text(calls: LayerCalls, dtype: str, failure: str) -> str:
    interface = calls.interface
    x = interface.axes.of_target(np.zeros((BATCHES[0], STEPS, interface.input_size)))
    called = "target" if interface.primary == "forward" else interface.primary
    return f"{DEMAND}; {called} called with x {dtype} {x.shape} ({calls.library.name}): {failure}"


def _probe_primary(calls: LayerCalls, dtype: str, findings: Findings, optional: frozenset[str]) -> Findings:
    """Call the primary form in one format at both batch sizes and update the findings.

    Raises:
        TargetMismatchError: y has the wrong shape, or, in an optional format, another format than x.
    """
    interface = calls.interface
    form, axes = interface.primary, interface.axes
    states = []
    for batch in BATCHES:
        rng = np.random.default_rng(batch)
        x = np.abs(rng.standard_normal((batch, STEPS, interface.input_size))) + 0.1
        sides = {n: np.ones((batch, STEPS, *shape)) for n, shape in interface.side_shapes.items()}
        natives = calls.native_inputs(x, sides, dtype)
        y, state = calls.native_outputs(form, calls.native_call(form, natives, None, dtype))
        if not is_array(y):
            raise TargetMismatchError(f"y is {describe(y)}, expected an array")
        if calls.batch_first(form, y).shape[:2] != (batch, STEPS):
            raise TargetMismatchError(
                f"y has shape {tuple(y.shape)}, expected batch {batch} at axis {axes.batch} and "
                f"time {STEPS} at axis {axes.time}"
            )
        if dtype in optional and dtype_name(y) != dtype:
            raise TargetMismatchError(f"y has dtype {dtype_name(y)} for x of {dtype}")
        states.append(calls.states.arrays(state))
    return _with_state(replace(findings, returns_state=bool(states[0])), calls, states)


def _with_state(findings: Findings, calls: LayerCalls, states: list[list[Any]]) -> Findings:
    """Add batch axes, units and number type of the states that calls at the two batch sizes returned."""
    two, three = states
    units = findings.units
    if two and two[0].ndim:
        units = int(two[0].shape[-1])
    return replace(
        findings,
        batch_axes=tuple(_batch_axis(calls, a, b) for a, b in zip(two, three, strict=True)),
        complex_state=any(dtype_name(leaf).startswith("complex") for leaf in two),
        units=units,
    )


def _batch_axis(calls: LayerCalls, two: Any, three: Any) -> int | None:
    """Return the declared batch axis of a leaf, or the first that has the two batch sizes."""
    if calls.states.declared_axis is not None:
        return calls.states.declared_axis
    sizes = list(zip(two.shape, three.shape, strict=True))
    return next((axis for axis, pair in enumerate(sizes) if pair == BATCHES), None)


def _probe_pieces(calls: LayerCalls, findings: Findings) -> Findings:
    """Find the forms that need a state, and the axes of a state that only steps keep.

    Raises:
        TargetError: a form needs a state and nothing offers one.
    """
    interface, dtype = calls.interface, findings.dtypes[0]
    stepper = interface.stepper(returns_state=findings.returns_state)
    states = []
    for form in [f for f in ("chunk", "step") if f in interface.forms and f != interface.primary]:
        for batch in BATCHES:
            x = np.ones((batch, *(() if form == "step" else (STEPS,)), interface.input_size))
            sides = {n: np.ones((*x.shape[:-1], *shape)) for n, shape in interface.side_shapes.items()}
            natives = calls.native_inputs(x, sides, dtype)
            try:
                _, state = calls.native_outputs(form, calls.native_call(form, natives, None, dtype))
            except TargetMismatchError:
                break  # The laws report that, with the input.
            except TargetRaisedError as error:
                if not findings.returns_state:
                    reason = " ".join(str(error).split())
                    raise TargetError(
                        f"{form} called without a state raised {reason}, and nothing offers one: give "
                        "initial_state=, or a whole call that returns a state"
                    ) from error
                findings = replace(findings, needs_state=findings.needs_state | {form})
                break
            if form == stepper:
                states.append(calls.states.arrays(state))
    if len(states) == len(BATCHES) and not findings.batch_axes:
        findings = replace(_with_state(findings, calls, states), units=findings.units)
    return findings
