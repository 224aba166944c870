"""Namespaces that are right: what others have written for one of the functions, against the rest.

Each is a few lines of numpy or scipy that share nothing with `dynprop.linear`. Where floats cannot say,
they refuse with ArithmeticError, as a careful author does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

plain: Catalogue = Catalogue("agreement", "numpy")
differentiable: Catalogue = Catalogue("agreement", "torch")
CATALOGUES = (plain, differentiable)

UNIT = 2.0**-53


@dataclass(frozen=True)
class State:
    """A state with an exponent of its own, or a batch of them."""

    value: Array
    exponent: int | list[int]
    relative_bound: float | list[float]


def loop_state(W: Array, h0: Array, t: int) -> State:
    """Take the states of a batch one by one."""
    if h0.ndim == 1:
        return State(*one_state(W, h0, t))
    values, exponents, bounds = zip(*(one_state(W, row, t) for row in h0), strict=True)
    return State(np.array(values), list(exponents), list(bounds))


def one_state(W: Array, h0: Array, t: int) -> tuple[Array, int, float]:
    """Multiply step by step, with the exponent apart and a running bound."""
    y, exponent = h0.astype(np.result_type(W, h0)), 0
    size, error = np.abs(W), np.zeros(len(h0))
    if t > 10_000:
        raise ArithmeticError("a loop of so many steps")
    with np.errstate(all="ignore"):
        for _ in range(t):
            error = (error + 4.0 * (len(h0) + 3) * UNIT * np.abs(y)) @ size
            y = y @ W
            largest = float(np.abs(y).max(initial=0.0))
            if largest == 0.0 or not np.isfinite(largest):
                break
            shift = int(np.frexp(largest)[1])
            # Halves twice: two to the power of a large exponent is no float.
            half = 2.0 ** (-shift // 2)
            rest = 2.0 ** (-shift - (-shift // 2))
            y, error, exponent = y * half * rest, error * half * rest, exponent + shift
        largest = float(np.abs(y).max(initial=0.0))
        bound = float(error.max(initial=0.0)) + 2.0**-1000
    if largest == 0.0:
        return y, 0, 0.0
    if not bound < 1e-6 * largest:
        raise ArithmeticError("too many digits are cancelled for a loop in float64")
    return y, exponent, bound / largest


def loop_unroll(W: Array, h0: Array, steps: int, inputs: Array | None = None) -> Array:
    """Multiply step by step."""
    states = [h0]
    for k in range(steps):
        after = states[-1] @ W
        states.append(after if inputs is None else after + inputs[k])
    return np.array(states)


def loop_scan(gates: Array, inputs: Array, initial: Array | None = None) -> Array:
    """Go through time."""
    states, state = [], 0.0 * inputs[:, 0] if initial is None else initial
    for t in range(inputs.shape[1]):
        state = gates[:, t] * state + inputs[:, t]
        states.append(state)
    return np.stack(states, axis=1)


@dataclass(frozen=True)
class Measured:
    """A spectrum by LAPACK."""

    eigenvalues: Array
    radius: float
    condition: float
    departure: float


@dataclass(frozen=True)
class Logs:
    """Logarithms of norms."""

    log_norms: Array
    log_errors: Array


@dataclass(frozen=True)
class Split:
    """Components of a state."""

    eigenvalues: Array
    multiplicities: Array
    components: Array


def lapack_spectrum(W: Array) -> Measured:
    """Eigenvalues and eigenvectors by numpy, the departure from a Schur form by scipy."""
    from scipy.linalg import schur

    values, vectors = np.linalg.eigh(W) if np.array_equal(W, W.conj().T) else np.linalg.eig(W)
    triangle = schur(W.astype(complex), output="complex")[0]
    order = np.argsort(-np.abs(values), kind="stable")
    with np.errstate(all="ignore"):
        condition = float(np.linalg.cond(vectors))
    moduli = np.abs(values)
    departure = float(np.linalg.norm(np.triu(triangle, 1)))
    return Measured(values[order].astype(complex), float(moduli.max(initial=0.0)), condition, departure)


def looped_growth(W: Array, horizon: int) -> Logs:
    """Norms of powers in a loop, the exponent apart; products err by a share of their absolute values."""
    power, size = np.eye(len(W), dtype=W.dtype), np.eye(len(W))
    exponent, logs, errors = 0, [0.0], [0.0]
    for t in range(1, horizon + 1):
        power, size = power @ W, size @ np.abs(W)
        norm = float(np.linalg.norm(power, 2))
        lost = 4.0 * (len(W) + 3) * t * UNIT * float(np.linalg.norm(size)) + 1e-290
        if not lost < 1e-7 * norm:
            raise ArithmeticError("digits are cancelled, or a power has vanished")
        logs.append(np.log(norm) + exponent * np.log(2.0))
        errors.append(2.0 * lost / norm + 8.0 * UNIT * (1.0 + abs(logs[-1]) + abs(exponent)))
        shift = int(np.frexp(norm)[1])
        power, size, exponent = power * 2.0**-shift, size * 2.0**-shift, exponent + shift
    return Logs(np.array(logs), np.array(errors))


def searched_kreiss(W: Array) -> float:
    """A grid outside the unit circle and Nelder and Mead's search from its best points."""
    from scipy.optimize import minimize

    radius = float(np.abs(np.linalg.eigvals(W)).max())
    if abs(radius - 1.0) < 1e-3:
        raise ArithmeticError("the radius is too close to one for floats")
    if radius > 1.0:
        return float("inf")
    n = len(W)

    def height(z: Array) -> Array:
        sizes = np.linalg.svd(z[..., None, None] * np.eye(n) - W, compute_uv=False)
        return np.asarray((np.abs(z) - 1.0) / sizes[..., -1])

    def depth(point: Array) -> float:
        return -float(height(np.array((1.0 + np.exp(point[0])) * np.exp(1j * point[1]))))

    logs, angles = np.linspace(-12.0, 3.0, 40), 2.0 * np.pi * np.arange(60) / 60
    grid = height((1.0 + np.exp(logs))[:, None] * np.exp(1j * angles))
    best = np.argsort(grid, axis=None)[-4:]
    starts = [(logs[i], angles[j]) for i, j in zip(*np.unravel_index(best, grid.shape), strict=True)]
    found = [-minimize(depth, start, method="Nelder-Mead", tol=1e-10).fun for start in starts]
    return max(1.0, *found)


def projected(W: Array, h0: Array) -> Split:
    """Components along the eigenvectors of a Hermitian W, equal eigenvalues together."""
    if not np.array_equal(W, W.conj().T):
        raise ArithmeticError("for Hermitian matrices only")
    # h moves by the transpose, which is the conjugate.
    values, vectors = np.linalg.eigh(W.T)
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    groups: list[list[int]] = []
    for i in range(len(values)):
        if groups and abs(values[i] - values[groups[-1][-1]]) <= 1e-12 * scale:
            groups[-1].append(i)
        else:
            groups.append([i])
    if any(1e-12 * scale < gap < 1e-5 * scale for gap in np.diff(values)):
        raise ArithmeticError("two eigenvalues are too close to be told apart")
    levels = [float(np.mean(values[g])) for g in groups]
    order = sorted(range(len(groups)), key=lambda k: (-round(abs(levels[k]) / scale, 12), -levels[k]))
    parts = [vectors[:, groups[k]] @ (vectors[:, groups[k]].conj().T @ h0) for k in order]
    counts = np.array([len(groups[k]) for k in order])
    return Split(np.array([levels[k] for k in order], dtype=complex), counts, np.array(parts, dtype=complex))


def projected_ratio(W: Array, h0: Array, t: int) -> float:
    """The tangent of the angle from those components."""
    found = projected(W, h0)
    sizes = np.linalg.norm(found.components, axis=1)
    moduli = np.abs(found.eigenvalues)
    if sizes[0] < 1e-8 * np.linalg.norm(h0) or (moduli[0] == 0.0 and len(moduli) > 1):
        raise ArithmeticError("the dominant component is zero or nearly so")
    shares = (moduli[1:] / moduli[0]) ** t * sizes[1:] if len(moduli) > 1 else np.zeros(1)
    return float(np.linalg.norm(shares) / sizes[0])


@plain.control("control/agreement-loops")
class Loops:
    """States by loops in numpy: unrolled, closed and scanned."""

    unroll: staticmethod[..., Array] = staticmethod(loop_unroll)
    closed_form: staticmethod[..., State] = staticmethod(loop_state)
    scan: staticmethod[..., Array] = staticmethod(loop_scan)


@plain.control("control/agreement-norms")
class MeasuredNorms:
    """Norms, spectra and the Kreiss constant by LAPACK."""

    unroll: staticmethod[..., Array] = staticmethod(loop_unroll)
    growth: staticmethod[..., Logs] = staticmethod(looped_growth)
    spectrum: staticmethod[..., Measured] = staticmethod(lapack_spectrum)
    kreiss_constant: staticmethod[..., float] = staticmethod(searched_kreiss)


@plain.control("control/agreement-modes")
class HermitianModes:
    """Components of Hermitian matrices by eigh, beside states by loops."""

    closed_form: staticmethod[..., State] = staticmethod(loop_state)
    spectrum: staticmethod[..., Measured] = staticmethod(lapack_spectrum)
    modes: staticmethod[..., Split] = staticmethod(projected)
    discard_ratio: staticmethod[..., float] = staticmethod(projected_ratio)


def torch_unroll(W: Any, h0: Any, steps: int, inputs: Any = None) -> Any:
    """Multiply step by step, in torch."""
    import torch

    common = torch.promote_types(W.dtype, h0.dtype)
    W, states = W.to(common), [h0.to(common)]
    for k in range(steps):
        after = states[-1] @ W
        states.append(after if inputs is None else after + inputs[k])
    return torch.stack(states)


def torch_scan(gates: Any, inputs: Any, initial: Any = None) -> Any:
    """Go through time, in torch."""
    import torch

    states, state = [], torch.zeros_like(inputs[:, 0]) if initial is None else initial
    for t in range(inputs.shape[1]):
        state = gates[:, t] * state + inputs[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


@differentiable.control("control/agreement-torch")
class TorchLoops:
    """States by loops in torch, which differentiates them, beside closed forms in numpy."""

    unroll: staticmethod[..., Any] = staticmethod(torch_unroll)
    closed_form: staticmethod[..., State] = staticmethod(loop_state)
    scan: staticmethod[..., Any] = staticmethod(torch_scan)
