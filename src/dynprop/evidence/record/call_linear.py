"""Strata of the functions of `dynprop.linear`: random arguments, judged by FLINT, mpmath and fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from dynprop import linear
from dynprop.arrays import FloatArray, NumericArray
from dynprop.evidence.record.call_case import UNDECIDED, Call, Stratum, mpmath, worst
from dynprop.evidence.record.call_matrices import (
    FAMILIES,
    Ball,
    Rng,
    balls,
    bits,
    defective,
    drawn,
    eigenvalues,
    exact_power,
    largest,
    shift,
    upper,
)
from dynprop.linear.closed.closed_form import Route

__all__ = ["STRATA"]

Judge = Callable[[Any], float]
_U = 2.0**-53


def _text(**given: Any) -> str:
    return ", ".join(f"{k}={v.tolist() if isinstance(v, np.ndarray) else v!r}" for k, v in given.items())


def _state(rng: Rng, W: NumericArray, *batch: int) -> NumericArray:
    shape = (*batch, len(W))
    real = rng.standard_normal(shape)
    return np.asarray(real + 1j * rng.standard_normal(shape)) if np.iscomplexobj(W) else np.asarray(real)


def _time(rng: Rng) -> int:
    return int(rng.integers(0, 20)) if rng.random() < 0.3 else int(2.0 ** rng.uniform(0, 62.9))


# unroll


def _unroll(rng: Rng, W: NumericArray) -> Call:
    batch = (int(rng.integers(1, 4)),) if rng.random() < 0.4 else ()
    h0, steps = _state(rng, W, *batch), int(rng.integers(0, 80))
    inputs = None
    if rng.random() < 0.4:
        inputs = np.stack([_state(rng, W, *batch) for _ in range(steps)]) if steps else None
    if rng.random() < 0.2 and not np.iscomplexobj(W):
        h0 = h0 + 1j * rng.standard_normal(h0.shape)
        inputs = None if inputs is None else inputs.astype(np.complex128)

    def judge(states: Any) -> float:
        if states.shape != (steps + 1, *h0.shape) or not np.array_equal(states[0], h0):
            return np.inf
        terms = np.zeros((steps, *h0.shape)) if inputs is None else inputs
        return worst(0.0, *(_unrolled(W, *parts) for parts in _members(states, h0, terms)))

    return Call(
        _text(W=W, h0=h0, steps=steps, inputs=inputs), lambda: linear.unroll(W, h0, steps, inputs), judge
    )


def _members(states: Any, h0: Any, terms: Any) -> list[tuple[Any, Any, Any]]:
    if h0.ndim == 1:
        return [(states, h0, terms)]
    return [(states[:, i], h0[i], terms[:, i]) for i in range(len(h0))]


def _unrolled(W: NumericArray, states: Any, h0: Any, terms: Any) -> float:
    """Return the worst error over γ_{ct} (|Wᵀ|ᵗ|h0| + ...), with what underflow may add."""
    n, ratios = len(W), [0.0]
    each = (n + 1) * (4 if np.iscomplexobj(states) else 1)
    A, size = balls(W.T), np.abs(W.T)
    scale, floor = np.abs(h0).astype(np.longdouble), np.zeros(n, dtype=np.longdouble)
    with bits(2200):
        exact = balls(h0)
        for t in range(1, len(states)):
            exact = A * exact + balls(terms[t - 1])
            scale = size @ scale + np.abs(terms[t - 1])
            floor = size @ floor + 4 * n * np.longdouble(2.0**-1074)
            if not np.isfinite(states[t]).all():
                # An intermediate may overflow before the state does; far below the limit neither may. From
                # there on nothing is promised.
                return max(ratios) if scale.max() > 1e290 else np.inf
            error = [upper(entry) for entry in (exact - balls(states[t])).entries()]
            gamma = each * t * _U / (1 - each * t * _U)
            allowed = gamma * scale + floor
            ratios += [float(e / a) if e else 0.0 for e, a in zip(error, allowed, strict=True)]
    return max(ratios)


# Powers


def _against(value: NumericArray, exponent: int, bound: float, exact: tuple[Ball, int] | None) -> float:
    """Return max|error| over bound·max|value| of a value with an exponent."""
    if exact is None:
        return UNDECIDED
    reference, power = exact
    if not np.any(value):
        return 0.0 if largest(reference) == 0.0 else np.inf
    if abs(power - exponent) > 200:
        return np.inf
    with bits(400):
        error = largest(shift(reference, power - exponent) - balls(value))
        allowed = bound * float(np.abs(value).max())
    return error / allowed if allowed else (0.0 if error == 0.0 else np.inf)


def _closed_form(rng: Rng, W: NumericArray, route: Route = "auto") -> Call:
    batch = (int(rng.integers(1, 4)),) if rng.random() < 0.3 else ()
    t = int(rng.integers(0, 2000)) if route == "loop" else _time(rng)
    h0 = _state(rng, W, *batch)
    if rng.random() < 0.15:
        h0 = h0 + 1j * rng.standard_normal(h0.shape)

    def judge(found: Any) -> float:
        if found.value.shape != h0.shape:
            return np.inf
        exact = [exact_power(W.T, t, h) for h in h0.reshape(-1, len(W))]
        rows = (found.value.reshape(-1, len(W)), np.ravel(found.exponent), np.ravel(found.relative_bound))
        return worst(*(_against(v, int(e), float(b), x) for v, e, b, x in zip(*rows, exact, strict=True)))

    return Call(
        _text(W=W, h0=h0, t=t, route=route),
        lambda: linear.closed_form(W, h0, t, route, max_seconds=4.0),
        judge,
    )


def _certified_power(rng: Rng, W: NumericArray) -> Call:
    t = _time(rng)
    return Call(
        _text(W=W, t=t),
        lambda: linear.certified_power(W, t, max_seconds=4.0),
        lambda found: _against(found.value, found.exponent, found.relative_bound, exact_power(W, t)),
    )


# Norms


def _log_norm(W: NumericArray, t: int) -> Any:
    """Return log ‖Wᵗ‖₂ as an mpmath number of 40 digits, minus infinity for zero; None if not known."""
    found = exact_power(W, t)
    if found is None:
        return None
    power, exponent = found
    with mpmath.workdps(40), bits(400):
        table = [[_mp(entry) for entry in row] for row in power.tolist()]
        if not any(entry for row in table for entry in row):
            return -mpmath.inf
        matrix = mpmath.matrix(table)
        size = max(mpmath.svd_c(matrix, compute_uv=False))
        return mpmath.log(size) + exponent * mpmath.log(2)


def _mp(x: Ball) -> Any:
    parts = [mpmath.ldexp(int(man), int(exp)) for man, exp in (p.mid().man_exp() for p in (x.real, x.imag))]
    return mpmath.mpc(*parts)


def _certified_growth(rng: Rng, W: NumericArray) -> Call:
    t = _time(rng)

    def judge(found: Any) -> float:
        log = _log_norm(W, t)
        if log is None:
            return UNDECIDED
        with mpmath.workdps(40):
            outside = _outside(found.norm, mpmath.exp(log))
            return worst(outside, _outside(found.log_norm, log), _radius_outside(found.radius, W))

    return Call(_text(W=W, t=t), lambda: linear.certified_growth(W, t), judge)


def _outside(interval: Any, value: Any) -> float:
    """Return 0 where an interval holds a number known to 30 digits, otherwise infinity."""
    if mpmath.isinf(value):
        return 0.0 if interval.lower == interval.upper == float(value) else np.inf
    slack = abs(value) * mpmath.mpf(10) ** -30
    return 0.0 if interval.lower <= value + slack and interval.upper >= value - slack else np.inf


def _radius_outside(interval: Any, W: NumericArray) -> float:
    with mpmath.workdps(40):
        return _outside(interval, max(abs(_mp(root)) for root, _ in eigenvalues(W)))


def _certified_radius(rng: Rng, W: NumericArray) -> Call:
    wanted = int(rng.integers(20, 50))

    def judge(found: Any) -> float:
        wide = (found.upper - found.lower) / max(found.upper, 5e-324)
        # Two ends rounded outward may each add a unit in the last place, or the least subnormal number.
        allowed = 2.0**-wanted + 4 * _U + 1e-323 / max(found.upper, 5e-324)
        return worst(_radius_outside(found, W), wide / allowed if np.isfinite(found.upper) else 0.0)

    return Call(_text(W=W, bits=wanted), lambda: linear.certified_radius(W, wanted), judge)


def _growth(rng: Rng, W: NumericArray) -> Call:
    horizon = int(rng.integers(0, 120))
    steps = sorted({0, horizon, *rng.integers(0, horizon + 1, 3).tolist()})

    def judge(found: Any) -> float:
        return worst(*(_log_error(found, W, t) for t in steps))

    return Call(_text(W=W, horizon=horizon), lambda: linear.growth(W, horizon), judge)


def _log_error(found: Any, W: NumericArray, t: int) -> float:
    log, given, bound = _log_norm(W, t), float(found.log_norms[t]), float(found.log_errors[t])
    if log is None:
        return UNDECIDED
    if np.isinf(float(log)) or np.isinf(given):
        return 0.0 if float(log) == given else np.inf
    error = float(abs(log - given))
    return error / bound if bound else (0.0 if error == 0.0 else np.inf)


def _kreiss(rng: Rng, W: NumericArray) -> Call:
    def judge(found: float) -> float:
        with bits(600):
            sizes = [abs(root) for root, _ in eigenvalues(W)]
            beyond, within = any(size > 1 for size in sizes), all(size < 1 for size in sizes)
        if not within:
            return (0.0 if np.isinf(found) else np.inf) if beyond else UNDECIDED
        reference = _resolvent_peak(W)
        # Singular values in float64 do not decide a peak that is this high.
        return abs(found - reference) / (2e-6 * reference) if reference < 1e9 else UNDECIDED

    return Call(_text(W=W), lambda: linear.kreiss_constant(W), judge)


def _resolvent_peak(W: NumericArray) -> float:
    """Return sup (|z| - 1) / σ_min(zI - W) over |z| >= 1 + 1e-6, by a grid and simplices from its tops."""
    from scipy.optimize import minimize

    one = np.eye(len(W))

    def value(point: FloatArray) -> Any:
        gap = 1e-6 + np.exp(point[..., 0])
        z = (1 + gap) * np.exp(1j * point[..., 1])
        least = np.linalg.svd(z[..., None, None] * one - W, compute_uv=False)[..., -1]
        return gap / np.maximum(least, 1e-300)

    angles = np.concatenate([np.linspace(-np.pi, np.pi, 97), np.angle(np.linalg.eigvals(W))])
    grid = np.stack(np.meshgrid(np.linspace(-20, 20, 81), angles, indexing="ij"), -1)
    flat, values = grid.reshape(-1, 2), value(grid).ravel()
    tops = flat[np.argsort(values)[-4:]]

    def lowered(point: FloatArray) -> float:
        return -float(value(point))

    found = [minimize(lowered, [float(x) for x in top], method="Nelder-Mead", tol=1e-12) for top in tops]
    edge = value(np.stack([np.full(2000, -60.0), np.linspace(-np.pi, np.pi, 2000)], -1)).max()
    return max(1.0, float(values.max()), float(edge), *(-float(f.fun) for f in found))


# Eigenvalues


def _spectrum(rng: Rng, W: NumericArray) -> Call:
    def judge(found: Any) -> float:
        if len(found.eigenvalues) != len(W):
            return np.inf
        scale = 2.0 ** -np.frexp(np.abs(W).max())[1] if W.any() else 1.0
        unit = 16 * len(W) * _U * float(np.linalg.norm(W * scale)) or 1e-300
        ratios = [0.0 if found.defective is None or found.defective == defective(W) else np.inf]
        with mpmath.workdps(40):
            matrix = mpmath.matrix((W * scale).tolist())
            for value in found.eigenvalues * scale:
                moved = matrix - mpmath.eye(len(W)) * complex(value)
                least = float(min(mpmath.svd_c(moved, compute_uv=False)))
                ratios.append(least / unit)
        sizes = np.abs(found.eigenvalues * scale)
        radius = abs(found.radius * scale - sizes.max()) / (4 * _U * max(sizes.max(), 1e-300))
        return worst(*ratios, float(radius))

    return Call(_text(W=W), lambda: linear.spectrum(W), judge)


def _certified_eigenvalues(rng: Rng, W: NumericArray) -> Call:
    def judge(found: Any) -> float:
        roots = eigenvalues(W)
        if sum(f.multiplicity for f in found) != len(W) or len(found) != len(roots):
            return np.inf
        return worst(*(_nearest(f, roots, real=not np.iscomplexobj(W)) for f in found))

    return Call(_text(W=W), lambda: linear.certified_eigenvalues(W), judge)


def _nearest(found: Any, roots: list[tuple[Ball, int]], *, real: bool) -> float:
    from flint import acb

    with bits(600):
        distances = [upper(root - acb(found.value)) for root, _ in roots]
    at = int(np.argmin(distances))
    if real and roots[at][1] != found.multiplicity:
        return np.inf
    # The reference's own radius, below 2**-500 of an eigenvalue, is part of the distance.
    allowed = found.error + 2.0**-200 * abs(found.value)
    return distances[at] / allowed if allowed else (0.0 if distances[at] == 0.0 else np.inf)


def _is_stable(rng: Rng, W: NumericArray) -> Call:
    def judge(found: Any) -> float:
        with bits(3000):
            sizes = [abs(root) for root, _ in eigenvalues(W, 3000)]
            # A modulus that 3,000 bits do not separate from 1 is 1.
            expected = "yes" if all(size < 1 for size in sizes) else "no"
        return UNDECIDED if str(found) == "undecided" else 0.0 if str(found) == expected else np.inf

    return Call(_text(W=W), lambda: linear.is_stable(W), judge)


def _components(W: NumericArray, h0: NumericArray) -> list[tuple[Ball, Any]]:
    """Return each eigenvalue of Wᵀ with P_λ h0, the product of (Wᵀ - μ)/(λ - μ) over the others."""
    from flint import acb_mat

    n, A = len(W), balls(W.T)
    one = acb_mat([[int(i == j) for j in range(n)] for i in range(n)])
    roots = [root for root, _ in eigenvalues(W, 4000)]
    found = []
    for i, root in enumerate(roots):
        part = balls(h0)
        for other in (other for j, other in enumerate(roots) if j != i):
            part = (A - one * other) * part * (1 / (root - other))
        found.append((root, part))
    return found


def _modes(rng: Rng, W: NumericArray) -> Call:
    h0 = _state(rng, W)

    def judge(found: Any) -> float:
        if defective(W):
            return np.inf
        with bits(4000):
            exact = _components(W, h0)
            if len(exact) != len(found.eigenvalues):
                return np.inf
            return worst(*(_mode(found, i, exact) for i in range(len(exact))))

    return Call(_text(W=W, h0=h0), lambda: linear.modes(W, h0), judge)


def _mode(found: Any, i: int, exact: list[tuple[Ball, Any]]) -> float:
    from flint import acb

    value = acb(complex(found.eigenvalues[i]))
    root, part = min(exact, key=lambda e: upper(e[0] - value))
    with mpmath.workdps(60):
        size = mpmath.sqrt(sum(abs(_mp(entry)) ** 2 for entry in part.entries()))
        # Rounded once, each part: half a unit of the length, or of the least subnormal number.
        allowed = float(2 * _U * size + mpmath.mpf(1e-323))
        shorter = float(abs(size - float(found.amplitudes[i])))
    return worst(
        largest(part - balls(found.components[i])) / allowed,
        shorter / allowed,
        upper(root - value) / (2 * _U * upper(root) + 1e-323),
    )


def _discard(rng: Rng, W: NumericArray, *, log: bool) -> Call:
    h0, t = _state(rng, W), _time(rng)

    def judge(found: float) -> float:
        if defective(W):
            return np.inf
        with bits(4000), mpmath.workdps(60):
            exact = [
                (_mp(root), mpmath.sqrt(sum(abs(_mp(e)) ** 2 for e in part.entries())))
                for root, part in _components(W, h0)
            ]
            return _discarded(float(found), exact, t, log=log)

    function = "log_discard_ratio" if log else "discard_ratio"
    return Call(_text(W=W, h0=h0, t=t), lambda: getattr(linear, function)(W, h0, t), judge)


def _discarded(found: float, exact: list[tuple[Any, Any]], t: int, *, log: bool) -> float:
    top = max(abs(root) for root, _ in exact)
    tied = [e for e in exact if abs(e[0]) >= top * (1 - mpmath.mpf(10) ** -35)]
    first = max(tied, key=lambda e: (mpmath.nint(e[0].real / (top or 1) * mpmath.mpf(10) ** 35), e[0].imag))
    rest = [e for e in exact if e is not first and e[1] != 0]
    logs = [
        2 * (mpmath.log(a / first[1]) + (t * mpmath.log(abs(r) / top) if t else 0))
        for r, a in rest
        if r or not t
    ]
    if not logs:
        return 0.0 if found == (-np.inf if log else 0.0) else np.inf
    peak = max(logs)
    value = (peak + mpmath.log(sum(mpmath.exp(x - peak) for x in logs))) / 2
    if not log:
        value = mpmath.exp(value)
    error = abs(value - found) if np.isfinite(found) else (0.0 if not log and value > 1.7e308 else np.inf)
    # The logarithm is rounded once from an enclosure of 60 bits; the ratio is its exponential.
    allowed = (
        _U * abs(value) + mpmath.mpf(2) ** -60 if log else _U * (abs(mpmath.log(value)) + 3) * abs(value)
    )
    return float(error / (allowed + mpmath.mpf(1e-323)))


# scan


def _scan(rng: Rng, scale: float) -> Call:
    shape = tuple(int(rng.integers(1, m)) for m in (3, 40, 3))
    gates = rng.standard_normal(shape) * scale
    if rng.random() < 0.3:
        gates[rng.random(shape) < 0.2] = 0.0
    inputs = rng.standard_normal(shape)
    initial = rng.standard_normal((shape[0], shape[2])) if rng.random() < 0.5 else None
    reverse = bool(rng.random() < 0.5)
    torch_too = bool(rng.random() < 0.2)
    # Imported here: the import is no part of the call's time.
    import torch

    def run() -> Any:
        if not torch_too:
            return linear.scan(gates, inputs, initial, reverse)
        start = None if initial is None else torch.from_numpy(initial)
        return linear.scan(torch.from_numpy(gates), torch.from_numpy(inputs), start, reverse).numpy()

    def judge(found: Any) -> float:
        if found.shape != shape:
            return np.inf
        order = slice(None, None, -1) if reverse else slice(None)
        a, x, states = (part[:, order] for part in (gates, inputs, found))
        start = np.zeros((shape[0], shape[2])) if initial is None else initial
        ratios = [
            _scanned(a[b, :, c], x[b, :, c], start[b, c], states[b, :, c])
            for b in range(shape[0])
            for c in range(shape[2])
        ]
        return worst(*ratios)

    given = _text(gates=gates, inputs=inputs, initial=initial, reverse=reverse)
    return Call(f"{given}, torch={torch_too}", run, judge)


def _scanned(gates: Any, inputs: Any, start: float, states: Any) -> float:
    """Return the worst error over γ_{2t} of the sum of moduli, with exact fractions."""
    exact, size, worst_ratio = Fraction(float(start)), abs(Fraction(float(start))), Fraction(0)
    for t, (a, x, state) in enumerate(zip(gates, inputs, states, strict=True), 1):
        gate, term = Fraction(float(a)), Fraction(float(x))
        exact, size = gate * exact + term, abs(gate) * size + abs(term)
        if not np.isfinite(state):
            return float(worst_ratio) if size > Fraction(10) ** 290 else np.inf
        allowed = size * Fraction(2 * t, 2**53 - 2 * t) + Fraction(t, 2**1074)
        worst_ratio = max(worst_ratio, abs(exact - Fraction(float(state))) / allowed)
    return float(worst_ratio)


# Registry

_FUNCTIONS: tuple[tuple[str, str, Callable[[Rng, NumericArray], Call]], ...] = (
    (
        "unroll",
        "module docstring: γ_{ct}, componentwise, of the sum of moduli; c = n + 1, times 4 if complex",
        _unroll,
    ),
    ("closed_form", "relative_bound", _closed_form),
    ("certified_power", "relative_bound", _certified_power),
    ("certified_growth", "its three intervals", _certified_growth),
    ("certified_radius", "its interval, of the relative width 2**-bits", _certified_radius),
    ("growth", "log_errors, at five steps", _growth),
    (
        "kreiss_constant",
        "docstring: 1e-6, relative; the reference, a grid with simplices, has another 1e-6",
        _kreiss,
    ),
    (
        "spectrum",
        "docstring: backward error 16 n u ‖W‖, u = 2**-53, Frobenius norm; `defective` exactly",
        _spectrum,
    ),
    ("certified_eigenvalues", "error, and multiplicities exactly", _certified_eigenvalues),
    ("is_stable", "exactly", _is_stable),
    ("modes", "docstring: rounded once, relative to the length of the component", _modes),
    (
        "discard_ratio",
        "docstring: (|log ratio| + 3) 2**-53, relative",
        lambda rng, W: _discard(rng, W, log=False),
    ),
    ("log_discard_ratio", "rounded once from 60 bits", lambda rng, W: _discard(rng, W, log=True)),
)


def _of(function: str, family: str, bound: str, make: Callable[[Rng, NumericArray], Call]) -> Stratum:
    return Stratum(f"linear.{function}", family, bound, lambda rng: make(rng, drawn(rng, family)))


def _routed(family: str, route: Route) -> Stratum:
    return Stratum(
        "linear.closed_form",
        f"{family}-{route}",
        "relative_bound",
        lambda rng: _closed_form(rng, drawn(rng, family), route),
    )


_ROUTED: tuple[tuple[str, Route], ...] = (
    ("gaussian", "loop"),
    ("gaussian", "squaring"),
    ("complex", "eigen"),
    ("symmetric", "symmetric"),
    ("triangular", "eigen"),
    ("jordan", "schur"),
    ("near-defective", "schur"),
    ("integer", "certified"),
)

STRATA: tuple[Stratum, ...] = (
    *(_of(name, family, bound, make) for name, bound, make in _FUNCTIONS for family in FAMILIES),
    *(_routed(family, route) for family, route in _ROUTED),
    *(
        Stratum("linear.scan", name, "γ_{2t} of the sum of moduli, any order", partial(_scan, scale=scale))
        for name, scale in (("decaying", 0.5), ("growing", 3.0), ("tiny", 1e-160), ("huge", 1e120))
    ),
)
