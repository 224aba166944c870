"""Laws of backward passes through a layer, in every form: gradients by lag, and to the given state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, round_to
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.states import State
from dynprop.kinds.layer.cases import LayerCase, layer_case, made_case
from dynprop.kinds.layer.chain import Chain, chain, jacobians
from dynprop.kinds.layer.judging import agree, given_state, steps_of
from dynprop.kinds.layer.pullback import Cotangents, Pullback
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, LagProfile, worst
from dynprop.laws.law import law

__all__ = ["first_state", "gradient_by_lag", "gradient_to_state", "has_jacobians", "uncut_jacobians", "ways"]

LONG = 100


def has_jacobians(subject: LayerSubject) -> str | None:
    """Return why no single step can be differentiated, or None."""
    if subject.bidirectional:
        return "its outputs depend on later inputs by design (bidirectional)"
    if not subject.differentiable:
        return "the library has no automatic differentiation"
    return subject.state_obstacle


def long_cases(domain: Domain, subject: Any) -> Iterator[LayerCase]:
    """Yield one case of 100 steps in every dtype, with inputs of unit variance."""
    for i, dtype in enumerate(domain.dtypes):
        rng = np.random.default_rng([LONG, i])
        steps = min(LONG, domain.max_length)
        yield made_case(rng, subject, dtype, batch=1, steps=steps, state=subject.takes_state)


def first_state(subject: LayerSubject, case: LayerCase) -> State | None:
    """Return an initial state: the given one, else the layer's own, else the one after the first step."""
    state = given_state(subject, case)
    if state is not None:
        return state
    own = subject.initial_state(case.batch, case.dtype)
    return own if own is not None else _after_first(subject, case)


def _after_first(subject: LayerSubject, case: LayerCase) -> State | None:
    return steps_of(subject, subject.stepper, case.part(0, 1), None)[1]


@dataclass(frozen=True)
class Backward:
    """One backward pass of one row in one form, and the chain of single-step Jacobians.

    Attributes:
        form: the form, such as "forward" or "step by step".
        inputs: gradient to the inputs, the last step first, shape (lags, features).
        state: gradient to the flattened state given; empty where none is given.
        expected: the expected gradients; fewer lags where the state before the first step is unknown.
    """

    form: str
    inputs: FloatArray
    state: FloatArray
    expected: Chain


def ways(subject: LayerSubject, steps: int) -> Iterator[tuple[str, str, int]]:
    """Yield (description, form, steps per call) of every way to run a row from a given state."""
    for form in ("forward", "chunk"):
        if form in subject.forms and subject.takes_state:
            yield form, form, steps
            if steps > 1:
                yield f"{form}, resumed half way", form, -(-steps // 2)
    if "step" in subject.forms:
        yield "step by step", "step", 1


def _weights(row: LayerCase, outputs: int) -> FloatArray:
    return round_to(np.random.default_rng(row.seed).choice([-1.0, 1.0, 0.5], outputs), row.dtype)


def _backward(
    subject: LayerSubject, row: LayerCase, state: State | None, weights: FloatArray, form: str, size: int
) -> tuple[FloatArray, FloatArray] | None:
    """Return the gradients to inputs and state of the weighted last output of one row.

    None for a form other than the primary one that carries no gradient, as a path for inference.
    """
    last = np.zeros((1, row.steps, weights.size))
    last[0, -1] = weights
    pulled = subject.pullback(
        row.inputs, state, row.dtype, row.sides, Cotangents(last), form, size, wanted=()
    )
    if pulled is None:
        if form != subject.primary:
            return None
        pulled = Pullback(np.zeros_like(row.inputs), tuple(np.zeros_like(v) for v in _leaves(state)), {}, {})
    return pulled.inputs[0, ::-1], np.zeros(0) if state is None else _flat(state, pulled.state)


def _leaves(state: State | None) -> tuple[NumericArray, ...]:
    return () if state is None else tuple(state.leaves[i] for i in state.floating)


def _flat(state: State, leaves: tuple[NumericArray, ...]) -> FloatArray:
    axes = [state.batch_axes[i] or 0 for i in state.floating]
    parts = [np.moveaxis(g, axis, 0).reshape(-1) for g, axis in zip(leaves, axes, strict=True)]
    return np.concatenate(parts)


def _passes(subject: LayerSubject, case: LayerCase) -> Iterator[Backward]:
    """Yield every backward pass of every row."""
    format_ = FORMATS[case.dtype]
    for r in range(case.batch):
        row = case.take(slice(r, r + 1))
        start = first_state(subject, row)
        if start is None:
            continue
        known = jacobians(subject, row, start)
        if not known.safe:
            continue
        weights = _weights(row, known.own[-1].to_state.shape[0])
        # Windows are counted within each call.
        pieces = subject.domain.windows is None
        for text, form, size in ways(subject, row.steps):
            if size < row.steps and not pieces:
                continue
            steps = known.own if (form, size) == (subject.primary, row.steps) else known.nearby
            gradients = _backward(subject, row, start, weights, form, size)
            if gradients is not None:
                yield Backward(text, *gradients, chain(steps, weights, format_))
        if "parallel" in subject.forms:
            # It starts from the layer's own initial state. Where that is unknown, lags up to that of the
            # second step are judged.
            own = subject.initial_state(1, row.dtype)
            rest = row if own is not None else row.part(1, None)
            begin = own if own is not None else _after_first(subject, row)
            if begin is None or not rest.steps:
                continue
            known = jacobians(subject, rest, begin)
            if known.safe:
                gradients = _backward(subject, row, None, weights, "parallel", row.steps)
                if gradients is not None:
                    yield Backward("parallel", *gradients, chain(known.nearby, weights, format_))


@law(
    "layer/gradient-by-lag",
    claim="C6",
    statement="d(v . y(T))/dx(T-k) from one backward pass, in every form, equals the product of the "
    "single-step Jacobians, relatively, at every lag k",
    source="Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, eq. 5; snntorch 1.0.0 "
    "(gradient of the parallel form zero at lag 0)",
    draw=partial(layer_case, usual=24, longest=48, batches=(1, 2), state=True),
    fixed=long_cases,
    applies=has_jacobians,
    script="# form: {form}; gradient of one output at the last step to x, step by step, against single\n"
    "# steps in float64",
    share=0.2,
)
def gradient_by_lag(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradient to the inputs at every lag."""
    pairs: list[tuple[str, Comparison]] = []
    for found in _passes(subject, case):
        lags = len(found.expected.inputs)
        norm = found.expected.inputs_bound.max(axis=1, keepdims=True)
        lag = agree(
            f"gradient d(v.y(T))/dx(T-k), {found.form}",
            found.inputs[None, :lags],
            found.expected.inputs[None],
            norm[None],
            case.dtype,
            axes=("batch", "lag", "feature"),
        )
        pairs.append((found.form, lag))
    profiles = [_profile(lag) for _, lag in pairs]
    if subject.domain.reach is not None:
        seen = case.steps - subject.domain.first_seen(case.steps - 1, case.steps)
        pairs = [(form, _within(lag, seen)) for form, lag in pairs]
    comparisons, detail = worst([({"form": form, "lag": lag.worst[1]}, lag) for form, lag in pairs])
    return Evidence(comparisons, lags=_joined(profiles), detail=detail)


def _within(lag: Comparison, seen: int) -> Comparison:
    near = np.arange(lag.value.shape[1]) < seen
    return replace(lag, decided=lag.decided & near[None, :, None])


def _profile(lag: Comparison) -> LagProfile:
    size = np.abs(lag.reference).max(axis=2)[0]
    with np.errstate(all="ignore"):
        error = lag.residual.max(axis=2)[0] / size
        bound = lag.bound.max(axis=2)[0] / size
    decided = np.asarray(lag.decided.all(axis=2))[0]
    error = np.where(decided, np.nan_to_num(error, nan=np.inf, posinf=np.inf), 0.0)
    return LagProfile(np.arange(len(size)), error, np.where(decided, bound, 0.0), decided)


def _joined(profiles: list[LagProfile]) -> LagProfile | None:
    """Return the worst of several profiles at each lag; a form may judge fewer lags than another."""
    if not profiles:
        return None
    longest = max(len(p.lags) for p in profiles)

    def padded(values: NumericArray) -> NumericArray:
        return np.pad(values, (0, longest - len(values)))

    error, bound, decided = (
        np.max([padded(getattr(p, name)) for p in profiles], axis=0) for name in ("error", "bound", "decided")
    )
    return LagProfile(np.arange(longest), error, bound, decided.astype(bool))


def uncut_jacobians(subject: LayerSubject) -> str | None:
    """Return why no gradient to the state given is promised, or None."""
    if subject.domain.uncut < 1:
        return "the target cuts its gradient at every step on purpose"
    return has_jacobians(subject)


def _before_a_cut(source: Source, domain: Domain, subject: LayerSubject) -> LayerCase:
    near = domain.limited(max(1, domain.uncut))
    return layer_case(source, near, subject, usual=12, longest=16, batches=(1, 2), state=True)


@law(
    "layer/gradient-initial-state",
    claim="C6",
    statement="d(v . y(T))/ds(0), in every form, equals the product of all single-step Jacobians",
    source="Pascanu, Mikolov and Bengio 2013, eq. 5; detached initial states",
    draw=_before_a_cut,
    applies=uncut_jacobians,
    script="# form: {form}; gradient of one output at the last step to the given state, against single\n"
    "# steps in float64",
    share=0.2,
)
def gradient_to_state(subject: LayerSubject, case: LayerCase) -> Evidence:
    """Compare the gradient to the given state."""
    pairs = []
    for found in _passes(subject, case):
        if found.state.size:
            bound = np.broadcast_to(found.expected.state_bound.max(initial=0.0), found.state.shape)
            label = f"gradient to the state given, {found.form}"
            expected = found.expected.state
            pairs.append(
                (
                    {"form": found.form},
                    agree(label, found.state, expected, bound, case.dtype, axes=("state",)),
                )
            )
    comparisons, detail = worst(pairs)
    return Evidence(comparisons, detail=detail)
