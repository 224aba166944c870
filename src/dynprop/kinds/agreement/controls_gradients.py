"""A control of kind agreement: gradients by lag and their kin, written the plain way.

Single steps are differentiated by `torch.autograd.functional.jacobian`, exponents by a QR factorisation at
every step, weight gradients by weights of their own at every step, roots by scipy. Nothing is shared with
`dynprop.gradients`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

agreements = Catalogue("agreement", "numpy")
CATALOGUES = (agreements,)


def rows_of(state: Any) -> torch.Tensor:
    """Return a state (layers, 1, hidden), or a pair of them, as one row; layer after layer."""
    if isinstance(state, tuple):
        return torch.cat([torch.cat(each) for each in zip(*(s[:, 0] for s in state), strict=True)])
    return torch.as_tensor(state.reshape(-1) if state.ndim > 2 else state[0])


def state_of(row: torch.Tensor, like: Any) -> Any:
    """Return a row as a state of the form of another."""
    if isinstance(like, tuple):
        layers, _, hidden = like[0].shape
        parts = row.reshape(layers, 2, hidden)
        return parts[:, 0][:, None].contiguous(), parts[:, 1][:, None].contiguous()
    return row.reshape(like.shape)


def steps_of(model: Any, sequence: torch.Tensor) -> list[Array]:
    """Return the Jacobians of the steps of one sequence, (time, 1, features)."""
    state = model(sequence[:1])[1]
    zero = state_of(torch.zeros_like(rows_of(state)), state)
    found = []
    for now in sequence:

        def after(row: torch.Tensor, x: Any = now[None], like: Any = zero) -> torch.Tensor:
            return rows_of(model(x, state_of(row, like))[1])

        held = rows_of(zero)
        jacobian: Any = torch.autograd.functional.jacobian(after, held)  # type: ignore[no-untyped-call]  # torch has no annotation
        found.append(jacobian.numpy())
        zero = state_of(after(held).detach(), zero)
    return found


def plain_sequences(inputs: Any) -> list[torch.Tensor]:
    """Return the sequences of a batch, packed or not, each (time, 1, features)."""
    if isinstance(inputs, torch.nn.utils.rnn.PackedSequence):
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(inputs)
        return [padded[:n, i : i + 1] for i, n in enumerate(lengths.tolist())]
    return [inputs[:, i : i + 1] for i in range(inputs.shape[1])]


def profile(
    model: Any, inputs: Any, *, probes: int = 0, seed: int = 0, most: int = 10**9, norm: str = "spectral"
) -> Any:
    """Multiply Jacobians with the norm taken out at every step; probes are Gaussian rows."""
    rng = np.random.default_rng(seed)
    batch = plain_sequences(inputs)
    longest = min(most, max(len(each) for each in batch)) + 1
    logs, roots, errors = (np.full((len(batch), longest), np.nan) for _ in range(3))
    order: Any = 2 if norm == "spectral" else None
    for row, sequence in enumerate(batch):
        with np.errstate(divide="ignore"):
            factors = steps_of(model, sequence)
            n = len(factors[0])
            product: Array = rng.standard_normal((probes, n)) if probes else np.eye(n)
            scale = 0.0
            logs[row, 0] = 0.0 if norm == "spectral" else 0.5 * math.log(n)
            roots[row, 0], errors[row, 0] = 0.5 * math.log(n), 0.0
            for lag, factor in enumerate(reversed(factors[-(longest - 1) :]), start=1):
                product = product @ factor
                size = float(np.linalg.norm(product, order)) or 1.0
                product, scale = product / size, scale + math.log(size)
                squares = (product * product).sum(axis=1)
                logs[row, lag] = scale + np.log(np.linalg.norm(product, order))
                if probes:
                    mean = squares.mean()
                    roots[row, lag] = scale + 0.5 * math.log(mean)
                    errors[row, lag] = 0.5 * squares.std(ddof=1) / math.sqrt(probes) / mean
    return SimpleNamespace(log_norms=logs, log_frobenius=roots, log_errors=errors)


def powers(w: Array, horizon: int) -> Any:
    """Multiply powers of a matrix with the norm taken out at every step."""
    logs, product, scale = [0.0], np.eye(len(w)), 0.0
    with np.errstate(divide="ignore"):
        for _ in range(horizon):
            product = product @ w
            size = float(np.linalg.norm(product, 2)) or 1.0
            product, scale = product / size, scale + math.log(size)
            logs.append(scale + float(np.log(np.linalg.norm(product, 2))))
    return SimpleNamespace(log_norms=np.array(logs))


def memory(model: Any, inputs: torch.Tensor) -> Any:
    """Differentiate the last output with respect to all inputs at once."""
    steps, batch, _ = inputs.shape
    jacobian: Any = torch.autograd.functional.jacobian(lambda x: model(x)[0][-1], inputs)  # type: ignore[no-untyped-call]  # torch has no annotation
    found = jacobian.numpy()
    logs = [
        [math.log(np.linalg.norm(found[i, :, steps - 1 - lag, i], 2)) for lag in range(steps)]
        for i in range(batch)
    ]
    return SimpleNamespace(log_norms=np.array(logs))


def by_own_weights(model: Any, inputs: torch.Tensor, loss: Callable[[Any], Any]) -> list[Array]:
    """Call the model step by step, each with weights of its own; return their gradients by lag.

    The outputs are read one at a time, the others as constants.
    """
    names = [name for name, _ in model.named_parameters()]
    steps, found = len(inputs), []
    for lag in range(steps):
        total = np.zeros(sum(p.numel() for p in model.parameters()))
        for read in range(lag, steps):
            own = {name: p.detach().clone().requires_grad_(True) for name, p in model.named_parameters()}
            fixed = {name: p.detach() for name, p in model.named_parameters()}
            state, seen = None, []
            for t, now in enumerate(inputs):
                weights = own if t == read - lag else fixed
                y, state = torch.func.functional_call(model, weights, (now[None], state))
                seen.append(y[0] if t == read else y[0].detach())
            value = loss((torch.stack(seen), state))
            if value.requires_grad:
                grads = torch.autograd.grad(value, [own[name] for name in names], materialize_grads=True)
                total = total + np.concatenate([g.numpy().ravel() for g in grads])
        found.append(total)
    return found


def weight_gradient(model: Any, inputs: torch.Tensor, loss: Callable[[Any], Any]) -> Any:
    """Add up the gradients of weights that act at one step each."""
    rows = np.array(by_own_weights(model, inputs, loss))
    whole = rows.sum(axis=0)
    gradients, start = {}, 0
    for name, parameter in model.named_parameters():
        gradients[name] = whole[start : start + parameter.numel()].reshape(tuple(parameter.shape))
        start += parameter.numel()
    with np.errstate(divide="ignore"):
        logs = np.log(np.linalg.norm(rows, axis=1))
    return SimpleNamespace(log_norms=logs, shares=rows @ whole / (whole @ whole), gradients=gradients)


def against(loss: Callable[[Any, Any], Any], targets: Any, outputs: Any) -> Any:
    """Return a loss with the targets first."""
    return loss(outputs, targets)


def signal(model: Any, batches: Any, loss: Callable[[Any, Any], Any], *, lags: list[int]) -> Any:
    """Average products of different batches, pair by pair."""
    own, differences = [], []
    for inputs, targets in batches:
        others = torch.cat([targets[-1:], targets[:-1]])
        one, two = (
            np.array(by_own_weights(model, inputs, partial(against, loss, y))) for y in (targets, others)
        )
        own.append(one.sum(axis=0))
        differences.append(one - two)
    count = len(own)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    found = [np.mean([differences[i][lag] @ differences[j][lag] for i, j in pairs]) for lag in lags]
    return SimpleNamespace(signal=np.array(found), noise=float(np.var(own, axis=0, ddof=1).sum()))


@dataclass(frozen=True)
class Exponents:
    """Exponents; of their rounding nothing is said."""

    exponents: Array
    bounds: Array


def by_qr(matrices: Any) -> Exponents:
    """Factorise at every step."""
    frame: Array | None = None
    total: Any = 0.0
    count = 0
    for matrix in matrices:
        frame = np.eye(len(matrix)) if frame is None else frame
        frame, triangle = np.linalg.qr(matrix @ frame)
        total, count = total + np.log(np.abs(np.diag(triangle))), count + 1
    exponents = np.asarray(total / count)
    return Exponents(exponents, np.full_like(exponents, math.inf))


def spectrum(model: Any, inputs: torch.Tensor, *, skip: int = 0) -> Exponents:
    """Factorise the Jacobians of each sequence."""
    found = [by_qr(steps_of(model, sequence)[skip:]).exponents for sequence in plain_sequences(inputs)]
    return Exponents(np.array(found), np.full_like(found, math.inf))


def latched(w: float, disturbance: float = 0.0) -> Any:
    """Search the largest fixed point between where the slope is one and one."""
    from scipy.optimize import brentq

    if w <= 1.0:
        return SimpleNamespace(attractor=0.0, slope=w, critical_input=0.0)
    corner = math.sqrt(1.0 - 1.0 / w)
    critical = w * corner - math.atanh(corner)

    def gap(x: float) -> float:
        return math.tanh(w * x - disturbance * critical) - x

    x = float(brentq(gap, corner, 1.0, xtol=1e-16, rtol=1e-15))
    return SimpleNamespace(attractor=x, slope=w * (1.0 - x * x), critical_input=critical)


def condition(w: Array, activation: str = "tanh") -> Any:
    """Compare a singular value with the limit, less what LAPACK may err by."""
    limit = {"tanh": 1.0, "sigmoid": 4.0}[activation]
    largest = float(np.linalg.svd(w, compute_uv=False)[0])
    return SimpleNamespace(largest=largest, vanishes=largest < limit * (1.0 - 1e-12))


def clipped(arrays: list[Array], threshold: float) -> list[Array]:
    """Clip in units of the largest entry."""
    largest = max(float(np.abs(each).max()) for each in arrays)
    norm = largest * math.sqrt(math.fsum(float(x) ** 2 for each in arrays for x in (each / largest).ravel()))
    return [each if norm <= threshold else each * (threshold / norm) for each in arrays]


def cut(arrays: list[Array], threshold: float) -> list[Array]:
    """Take the larger of the smaller."""
    return [np.maximum(-threshold, np.minimum(threshold, each)) for each in arrays]


def wall(w: Array, b: Array, steps: int) -> Any:
    """Differentiate by autograd."""
    given = [torch.tensor(np.asarray(each), dtype=torch.float64, requires_grad=True) for each in (w, b)]
    x = torch.full_like(given[0], 0.5)
    for _ in range(steps):
        x = torch.sigmoid(given[0] * x + given[1])
    loss = (x - 0.7) ** 2
    by_weight, by_bias = torch.autograd.grad(loss.sum(), given)
    return SimpleNamespace(loss=loss.detach().numpy(), by_weight=by_weight.numpy(), by_bias=by_bias.numpy())


agreements.add_control(
    "control/agreement-gradients",
    "Jacobians by autograd, QR at every step, weights of their own at every step, roots by scipy.",
    SimpleNamespace(
        gradient_by_lag=profile,
        growth=powers,
        memory_by_lag=memory,
        weight_gradient_by_lag=weight_gradient,
        signal_to_noise_by_lag=signal,
        lyapunov_spectrum=spectrum,
        lyapunov_exponents=by_qr,
        latch=latched,
        vanishing_condition=condition,
        clip_by_norm=clipped,
        clip_by_value=cut,
        cliff=wall,
    ),
)
