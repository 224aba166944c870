r"""Gradient laws of a scan: relative error per lag, every entry, and how the backward pass is called.

:math:`\partial h_T/\partial x_{T-k}` is one product of k gates, so that a sound evaluation keeps a
relative error of :math:`\gamma_{2\max(k,1)}` however small the product is (Bengio, Simard and Frasconi
1994; Pascanu, Mikolov and Bengio 2013, section 2.1). No fixed tolerance checks that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from dynprop.arrays import BoolArray, FloatArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.contracts.subject import Native, Program
from dynprop.kinds.scan import calling
from dynprop.kinds.scan.bounds import (
    LARGEST_TERM,
    ScanBound,
    absolute_adjoint,
    cancelling_log_bound,
    lag_bound,
    largest_products,
    normwise_gradient_bound,
)
from dynprop.kinds.scan.calling import LEAVES, ONE_CALL, PIECES
from dynprop.kinds.scan.cases import ScanCase, build_case, long_case, scan_case, sized_case
from dynprop.kinds.scan.judging import AXES
from dynprop.kinds.scan.plan import planned, planned_lengths
from dynprop.kinds.scan.references import adjoint, adjoint_is_exact
from dynprop.kinds.scan.regimes import gate_regimes
from dynprop.kinds.scan.subject import ScanSubject
from dynprop.laws.draw import Source
from dynprop.laws.evidence import Comparison, Evidence, LagProfile, compare
from dynprop.laws.exact import Exact, gate_products
from dynprop.laws.law import law
from dynprop.laws.rounding import gamma
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError

PLANNED = planned("layout", "form", shortest=2)
CALLS = ("layout", "wants", "form")
deep: partial[ScanCase] = partial(scan_case, shortest=2, usual=48)


def lag_cases(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    """Yield the planned cases, 2,047 lags, 300 lags with batch and state, 47 lags of every regime of gates.

    The long cases are called in every form.
    """
    yield from PLANNED(domain, subject)
    for dtype in domain.dtypes:
        yield long_case(dtype, domain)
        names = (name for regimes in gate_regimes(domain).values() for name in regimes)
        for i, name in enumerate(names):
            shape = (2, min(48, domain.max_length), 2)
            rng = np.random.default_rng([i, 13])
            yield build_case(rng, shape, name, dtype, domain, initial=False)
    if subject.differentiable and not subject.compiles:
        # The finest formats decide most lags.
        finest = sorted(domain.dtypes, key=lambda dtype: FORMATS[dtype].unit)[:2]
        forms = [name for values in calling.forms().values() for name in values]
        for i, form in enumerate(forms):
            dtype = finest[i % len(finest)]
            yield replace(_with_state(long_case(dtype, domain, 301)), form=form)
            if form != ONE_CALL:
                yield replace(long_case(dtype, domain), form=form)


def _with_state(case: ScanCase) -> ScanCase:
    """Return a case with three rows and an initial state."""
    tripled = replace(case, gates=np.repeat(case.gates, 3, axis=0), inputs=np.repeat(case.inputs, 3, axis=0))
    return replace(tripled, initial=tripled.inputs[:, 0])


def _has_lags(subject: ScanSubject) -> str | None:
    if not subject.differentiable and subject.domain.inputs == "positive":
        return "without autodiff the impulse response is judged, and inputs of 0 are not in the domain"
    return None


def profile(value: FloatArray, exact: Exact, bound: ScanBound, decided: BoolArray) -> LagProfile:
    """Return the worst relative error at each lag over batch rows and channels."""
    size = np.abs(exact.high)
    with np.errstate(all="ignore"):
        error = np.abs((value - exact.high) - exact.low) / size
        relative = bound.bound / size
    # Where the product is exactly 0 any gradient beyond underflow is a leak across the reset.
    leak = (size == 0.0) & ~(np.abs(value) <= bound.bound)
    error = np.where(size == 0.0, np.where(leak, np.inf, 0.0), error)
    relative = np.where(size == 0.0, 0.0, relative)
    error = np.where(np.isnan(error), np.inf, error)
    return LagProfile(
        np.arange(value.shape[1]),
        np.where(decided, error, 0.0).max(axis=(0, 2), initial=0.0),
        np.where(decided, relative, 0.0).max(axis=(0, 2), initial=0.0),
        np.asarray(decided.any(axis=(0, 2))),
    )


@law(
    "scan/gradient-by-lag",
    claim="C6",
    statement="dh(T)/dx(T-k) equals the product of the last k gates, relatively, at every lag k, "
    "however small it is",
    source="Bengio, Simard and Frasconi 1994; Goodfellow et al. 2016, section 10.7",
    draw=deep,
    fixed=lag_cases,
    applies=_has_lags,
    script={
        "torch": """\
x = inputs.clone().requires_grad_()
f(gates, x, None)[:, -1].sum().backward()
product = torch.ones_like(x[:, 0])
for lag in range(x.shape[1]):
    print(lag, x.grad[:, -1 - lag], product)
    product = product * gates[:, -1 - lag]""",
        "jax": """\
found = jax.grad(lambda x: f(gates, x, None)[:, -1].sum())(inputs)
product = jnp.ones_like(inputs[:, 0])
for lag in range(inputs.shape[1]):
    print(lag, found[:, -1 - lag], product)
    product = product * gates[:, -1 - lag]""",
        "numpy": """\
impulse = np.zeros_like(inputs)
impulse[:, 0] = 1
response, product = f(gates, impulse, None), np.ones_like(impulse[:, 0])
for lag in range(inputs.shape[1]):
    print(lag, response[:, lag], product)
    product = product * gates[:, min(lag + 1, inputs.shape[1] - 1)]""",
    },
    share=0.7,
)
def gradient_by_lag(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge one backward pass from the last state; without autodiff, the impulse response."""
    gates = case.gates
    if subject.differentiable:
        arrays = {"gates": gates, "inputs": case.inputs}
        if case.initial is not None:
            arrays["initial"] = case.initial
        program = _in_form(_last_state, case)
        found = subject.gradients(program, arrays, case.dtype, ("inputs",), case.layout)
        response = found["inputs"][:, ::-1]
    else:
        impulse = np.zeros_like(case.inputs)
        impulse[:, :1] = 1.0
        response = subject.values((gates, impulse, None), case.dtype)
        # The response at step k is the product of gates 2..k+1: lags count from the other end.
        gates = np.concatenate([gates[:, :1], gates[:, :0:-1]], axis=1)
    exact = gate_products(gates)
    bound = lag_bound(gates, case.inputs, exact.high, case.dtype, subject.domain)
    comparison = compare(
        "gradient dh(T)/dx(T-k)" if subject.differentiable else "impulse response",
        response,
        exact,
        bound.bound,
        dtype=case.dtype,
        axes=("batch", "lag", "channel"),
        scale=bound.scale,
        in_range=bound.in_range,
        relaxed=bound.relaxed,
    )
    lags = profile(response, exact, bound, comparison.decided)
    if subject.domain.reach is not None and case.steps:
        seen = case.steps - subject.domain.first_seen(case.steps - 1, case.steps)
        within = comparison.decided & (np.arange(case.steps) < seen)[None, :, None]
        comparison = replace(comparison, decided=within)
    return Evidence((comparison,), lags=lags, detail={"lag": _worst_lag(comparison)})


def _worst_lag(comparison: Comparison) -> int:
    return comparison.worst[1] if comparison.value.size else 0


def _in_form(program: Program, case: ScanCase) -> Program:
    """Return the program in the form of a case: resumed in the middle, or after another call."""
    if case.form == PIECES and case.steps > 1:
        return _last_resumed if program is _last_state else _resumed
    if case.form == ONE_CALL or case.steps == 0:
        return program

    def after(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
        inputs = None if case.form == "after an error" else a["gates"]
        with suppress(TargetRaisedError, TargetMismatchError, AttributeError):
            f(a["gates"], inputs, a.get("initial"))
        return program(f, a)

    return after


def _last_resumed(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    p = a["gates"].shape[1] // 2
    head = f(a["gates"][:, :p], a["inputs"][:, :p], a.get("initial"))
    return f(a["gates"][:, p:], a["inputs"][:, p:], head[:, -1])[:, -1].sum()


def _last_state(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    return f(a["gates"], a["inputs"], a.get("initial"))[:, -1].sum()


def all_states(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    """Return the sum of all states, weighted by the cotangent."""
    return (f(a["gates"], a["inputs"], a.get("initial")) * a["cotangent"]).sum()


def _shared_gates(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    return all_states(f, a) + (a["gates"] * a["gates"] * a["cotangent"]).sum()


def _chained(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    inner = f(a["gates"], a["inputs"], a.get("initial"))
    return (f(a["gates"], inner, a.get("initial")) * a["cotangent"]).sum()


def _resumed(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    p = a["gates"].shape[1] // 2
    head = f(a["gates"][:, :p], a["inputs"][:, :p], a.get("initial"))
    tail = f(a["gates"][:, p:], a["inputs"][:, p:], head[:, -1])
    return (head * a["cotangent"][:, :p]).sum() + (tail * a["cotangent"][:, p:]).sum()


def _residual(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    return ((f(a["gates"], a["inputs"], a.get("initial")) + a["inputs"]) * a["cotangent"]).sum()


def _permuted(f: Callable[..., Native], a: Mapping[str, Native]) -> Native:
    # The weights are stored channel first, and so is the gradient that arrives at the states.
    return (f(a["gates"], a["inputs"], a.get("initial")).swapaxes(1, 2) * a["swapped"]).sum()


def differentiable(subject: ScanSubject) -> str | None:
    """Return why the gradients of all states are not judged, or None."""
    if not subject.differentiable:
        return "the library has no automatic differentiation"
    if subject.domain.reach is not None:
        return "the target cuts its gradient on purpose (--reach)"
    return None


def gradients_of(
    subject: ScanSubject,
    case: ScanCase,
    cotangent: FloatArray,
    program: Program,
    wrt: tuple[str, ...],
) -> list[Comparison]:
    """Compare the gradients to the leaves in ``wrt`` with those of the adjoint recurrence."""
    arrays = {"gates": case.gates, "inputs": case.inputs, "cotangent": cotangent}
    if program is _permuted:
        arrays["swapped"] = np.ascontiguousarray(cotangent.swapaxes(1, 2))
    if case.initial is not None:
        arrays["initial"] = case.initial
    depth = 2 if program is _chained else 1
    exact = adjoint(case, cotangent, depth)
    *absolute, in_range = absolute_adjoint(case, cotangent, depth)
    gradients = subject.gradients(program, arrays, case.dtype, wrt, case.layout)
    format_, steps = FORMATS[case.dtype], case.steps
    relative_bound = gamma(4.0 * depth * (steps + 2.0), format_.unit)
    if not adjoint_is_exact(case, depth):
        relative_bound += gamma(4.0 * depth * (steps + 2.0), FORMATS["float64"].unit)
    with np.errstate(all="ignore"):
        largest = np.exp2(largest_products(case.gates).max(axis=1, initial=0.0))
    comparisons = []
    for leaf, reference, size in zip(LEAVES, exact, absolute, strict=True):
        if leaf not in wrt:
            continue
        direct = np.zeros_like(size)
        if leaf == "inputs" and program is _residual:
            direct = cotangent
        if leaf == "gates" and program is _shared_gates:
            direct = 2.0 * case.gates * cotangent
        scale = size + np.abs(direct)
        with np.errstate(all="ignore"):
            peak = largest if leaf == "initial" else largest[:, None]
            underflow = 8.0 * depth * (steps + 1.0) ** 2 * format_.tiny * peak
            bound = relative_bound * scale + underflow * np.maximum(scale.max(initial=0.0), 1.0)
        log_bound = cancelling_log_bound(case, cotangent, arrays[leaf], depth)
        normwise = normwise_gradient_bound(case, cotangent, leaf, depth) + 0.0 * scale
        if subject.domain.arithmetic == "log":
            bound = bound + log_bound
        value, exact_gradient = gradients[leaf], Exact(reference.high + direct, reference.low)
        axes: tuple[str, ...] = AXES
        within = in_range[:, None] & (scale >= 0.0)
        if leaf == "initial":
            axes, within = ("batch", "channel"), in_range
        elif leaf == "gates" and subject.domain.gates == "constant":
            # Only the sum over time is defined where all gates are one number.
            axes, within = ("batch", "channel"), in_range
            value, bound, scale, log_bound, normwise = (
                v.sum(axis=1) for v in (value, bound, scale, log_bound, normwise)
            )
            exact_gradient = Exact(exact_gradient.high.sum(axis=1), exact_gradient.low.sum(axis=1))
            bound = bound + 2.0 * steps * 2.0**-53 * scale
        relaxed = {"a log-space evaluation": bound + log_bound, LARGEST_TERM: bound + normwise}
        comparisons.append(
            compare(
                f"gradient to {leaf}",
                value,
                exact_gradient,
                bound,
                dtype=case.dtype,
                axes=axes,
                scale=scale,
                in_range=within,
                relaxed=partial(dict, relaxed),
            )
        )
    return comparisons


def _wanting(case: ScanCase) -> ScanCase:
    """Return the case with some wanted gradient: to every argument where none is."""
    return case if case.wanted else replace(case, wants="+".join(LEAVES))


def _drawn_wanting(source: Source, domain: Domain, subject: ScanSubject) -> ScanCase:
    return _wanting(scan_case(source, domain, subject, usual=48, varied=CALLS))


def _planned_wanting(domain: Domain, subject: ScanSubject) -> Iterator[ScanCase]:
    yield from map(_wanting, planned(*CALLS)(domain, subject))
    finest = sorted(domain.dtypes, key=lambda dtype: FORMATS[dtype].unit)[:2]
    for i, steps in enumerate(planned_lengths(domain, subject)):
        yield _wanting(sized_case(steps, finest[i % len(finest)], domain))


@law(
    "scan/gradient",
    claim="C6",
    statement="the gradients of a weighted sum of all states to gates, inputs and initial state equal "
    "the exact adjoint recurrence",
    source="Pascanu, Mikolov and Bengio 2013, eq. 3 to 5; state-spaces/mamba#75, #368",
    draw=_drawn_wanting,
    fixed=_planned_wanting,
    applies=differentiable,
    script={
        "torch": """\
leaves = [v.clone().requires_grad_() for v in (gates, inputs, initial) if v is not None]
weights = torch.ones_like(inputs)
(f(*leaves, *([None] if initial is None else [])) * weights).sum().backward()
h = torch.zeros_like(inputs[:, 0]) if initial is None else initial
same = [v.clone().requires_grad_() for v in (gates, inputs, h)]
state, states = same[2], []
for t in range(inputs.shape[1]):
    state = same[0][:, t] * state + same[1][:, t]
    states.append(state)
(torch.stack(states, 1) * weights).sum().backward()
for got, want in zip(leaves, same):
    print(got.grad, want.grad)"""
    },
)
def gradient(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge the dense gradient, within a running bound (Higham-style), never a fixed tolerance."""
    wrt = case.wanted
    cotangent = case.cotangent(case.inputs.shape)
    program = _in_form(all_states, case)
    # Of an empty scan there is a gradient to the initial state alone.
    checked = case.steps == 0 and "initial" not in wrt
    comparisons = gradients_of(subject, case, cotangent, program, wrt)
    return Evidence(tuple(comparisons), detail={"checked": checked})


WIRINGS: dict[str, tuple[Program, tuple[str, ...]]] = {
    "only the gates want a gradient": (all_states, ("gates",)),
    "only the inputs want a gradient": (all_states, ("inputs",)),
    "only the initial state wants a gradient": (all_states, ("initial",)),
    "all but the gates": (all_states, ("inputs", "initial")),
    "all but the inputs": (all_states, ("gates", "initial")),
    "all but the initial state": (all_states, ("gates", "inputs")),
    "only the last state is used": (_last_state, LEAVES),
    "the gates are used elsewhere too": (_shared_gates, LEAVES),
    "a residual connection adds the inputs": (_residual, LEAVES),
    "the gradient arrives in another memory layout": (_permuted, LEAVES),
    "two calls: the second half resumes from the first": (_resumed, LEAVES),
    "chained: the states are the inputs of a second scan": (_chained, LEAVES),
    "chained, only the initial state wants a gradient": (_chained, ("initial",)),
}


def _wirings(case: ScanCase) -> Iterator[tuple[str, tuple[Program, tuple[str, ...]]]]:
    """Yield every wiring for a short case, a few for a longer one."""
    every = list(WIRINGS.items())
    if case.steps <= 33:
        yield from every
    else:
        start = case.seed % len(every)
        yield from (every + every)[start : start + (3 if case.steps <= 129 else 1)]


@law(
    "scan/gradient-wiring",
    claim="C6",
    statement="the gradients do not depend on which leaves want one, on a discarded output, on a second "
    "use of the gates, or on another scan behind",
    source="pytorch/pytorch#184528, #172568, #153679; strides of grad_output in hand-written backwards",
    draw=partial(scan_case, shortest=2, usual=8),
    fixed=planned("layout", shortest=2, longest=1025),
    applies=differentiable,
    script="# wiring: {wiring}\n# give requires_grad to exactly those leaves, run f, and compare the "
    "gradients with those of a loop",
    share=0.3,
)
def gradient_wiring(subject: ScanSubject, case: ScanCase) -> Evidence:
    """Judge the gradients in every wiring."""
    comparisons: list[Comparison] = []
    detail: dict[str, str] = {}
    worst = -1.0
    for name, (program, leaves) in _wirings(case):
        wrt = tuple(w for w in leaves if w != "initial" or case.initial is not None)
        if not wrt:
            continue
        cotangent = case.cotangent(case.inputs.shape)
        if program is _last_state:
            cotangent = np.zeros_like(case.inputs)
            cotangent[:, -1] = 1.0
        for comparison in gradients_of(subject, case, cotangent, program, wrt):
            comparisons.append(replace(comparison, label=f"{comparison.label} ({name})"))
            if comparison.ratio > worst:
                worst, detail = comparison.ratio, {"wiring": name}
    return Evidence(tuple(comparisons), detail=detail)
