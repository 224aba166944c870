"""Faults of kind agreement: `dynprop.linear` with one wrong function in its place.

Each is right about something: it has the shape, the type and, on some matrices, the value of the function
that it replaces. Only another function of the same namespace tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop import linear
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Function = Callable[..., Any]

torch_faults: Catalogue = Catalogue("agreement", "torch")
numpy_faults: Catalogue = Catalogue("agreement", "numpy")
CATALOGUES = (torch_faults, numpy_faults)


def planted(
    slug: str,
    replaces: str,
    *,
    caught_by: Mapping[str, str],
    catalogue: Catalogue = numpy_faults,
    gross: bool = True,
) -> Callable[[Function], Function]:
    """Plant the decorated function in the place of one of `dynprop.linear`."""

    def plant(wrong: Function) -> Function:
        def build() -> object:
            names = {name: getattr(linear, name) for name in linear.__all__}
            return SimpleNamespace(**{**names, replaces: wrong})

        build.__doc__ = wrong.__doc__
        catalogue.fault(f"agreement/{slug}", gross=gross, fresh=True, caught_by=caught_by)(build)
        return wrong

    return plant


# Forms of the recurrence


@planted("unroll-untransposed", "unroll", caught_by={"unroll-closed-form": "wrong"})
def unroll_untransposed(W: Array, h0: Array, steps: int, inputs: Array | None = None) -> Array:
    """Unrolls with W where the closed form has its transpose."""
    return linear.unroll(W.T, h0, steps, inputs)


@planted("inputs-one-step-late", "unroll", gross=False, caught_by={"diagonal": "wrong"})
def inputs_one_step_late(W: Array, h0: Array, steps: int, inputs: Array | None = None) -> Array:
    """Lets an input enter one step after its own."""
    if inputs is None or not len(inputs):
        return linear.unroll(W, h0, steps, inputs)
    return linear.unroll(W, h0, steps, np.concatenate([0.0 * inputs[:1], inputs[:-1]]))


@planted("scan-first-gate-skipped", "scan", caught_by={"diagonal": "wrong"})
def scan_first_gate_skipped(gates: Array, inputs: Array, initial: Array | None = None) -> Array:
    """Adds the initial state to the first input without its gate."""
    first = inputs.copy()
    if initial is not None and inputs.shape[1]:
        first[:, 0] += initial
    return linear.scan(gates, first)


@planted("exponent-in-floats", "closed_form", caught_by={"certified-power": "wrong"})
def exponent_in_floats(W: Array, h0: Array, t: int) -> linear.ClosedForm:
    """Keeps the exponent within the range of float64: nothing is infinite, and nothing is right there."""
    found = linear.closed_form(W, h0, t)
    assert isinstance(found.exponent, int)
    return replace(found, exponent=min(max(found.exponent, -1073), 1024))


@planted("bound-without-time", "closed_form", gross=False, caught_by={"unroll-closed-form": "wrong"})
def bound_without_time(W: Array, h0: Array, t: int) -> linear.ClosedForm:
    """Computes powers by LAPACK's eigenvectors and states a bound of one product."""
    with np.errstate(all="ignore"):
        values, vectors = np.linalg.eig(W)
        try:
            state = np.linalg.solve(vectors.T, values**t * (vectors.T @ h0))
        except np.linalg.LinAlgError:
            return linear.closed_form(W, h0, t)
        state = state if np.iscomplexobj(W) or np.iscomplexobj(h0) else state.real
    if not np.isfinite(state).all():
        return linear.closed_form(W, h0, t)
    exponent = int(np.frexp(np.abs(state).max(initial=0.0))[1])
    return linear.ClosedForm(state * 2.0**-exponent, exponent, "eigen", 1e-15 * len(h0))


@planted("batch-in-one-exponent", "closed_form", caught_by={"batch-of-states": "wrong"})
def batch_in_one_exponent(W: Array, h0: Array, t: int) -> linear.ClosedForm:
    """Returns the first row's exponent and bound for every row of a batch."""
    found = linear.closed_form(W, h0, t)
    if np.ndim(h0) == 1:
        return found
    first = linear.closed_form(W, h0[0], t)
    count = len(h0)
    return replace(
        found,
        exponent=np.array([first.exponent] * count, dtype=object),
        relative_bound=np.full(count, first.relative_bound),
    )


@planted("imaginary-part-dropped", "unroll", caught_by={"complex-state": "wrong"})
def imaginary_part_dropped(W: Array, h0: Array, steps: int, inputs: Array | None = None) -> Array:
    """Casts a complex state to the format of a real matrix."""
    return linear.unroll(W, h0 if np.iscomplexobj(W) else np.real(h0), steps, inputs)


@planted("power-of-the-rounded", "certified_power", gross=False, caught_by={"certified-power": "wrong"})
def power_of_the_rounded(W: Array, t: int) -> linear.CertifiedPower:
    """Rounds W to single precision first: certified, and of another matrix."""
    single = W.astype(np.complex64 if np.iscomplexobj(W) else np.float32)
    return linear.certified_power(single.astype(W.dtype), t)


@planted("adjoint-by-the-transpose", "unroll", catalogue=torch_faults, caught_by={"adjoint": "wrong"})
def adjoint_by_the_transpose(W: Any, h0: Any, steps: int, inputs: Any = None) -> Any:
    """Sends gradients back by the matrix that sends states forward."""
    import torch

    class Unroll(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, W: Any, h0: Any) -> Any:
            ctx.save_for_backward(W)
            return linear.unroll(W.detach(), h0.detach(), steps, inputs)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (W,) = ctx.saved_tensors
            back = gradients[0].flip(0)
            # Should be W.T: gradients travel by W, rows of which are multiplied by its transpose.
            return None, linear.unroll(W, back[0], steps, back[1:])[-1]

    # torch's Function is untyped.
    apply: Any = Unroll.apply
    return apply(W, h0)


@planted(
    "matrix-gradient-without-its-first-step", "unroll", catalogue=torch_faults, caught_by={"adjoint": "wrong"}
)
def matrix_gradient_without_its_first_step(W: Any, h0: Any, steps: int, inputs: Any = None) -> Any:
    """Takes the first step with a detached W."""
    import torch

    if steps == 0 or inputs is not None:
        return linear.unroll(W, h0, steps, inputs)
    first = h0 @ W.detach()
    return torch.cat([h0[None], linear.unroll(W, first, steps - 1)])


# Norms


@dataclass(frozen=True)
class Logs:
    """Logarithms of norms that state no error."""

    log_norms: Array


@planted("frobenius-growth", "growth", caught_by={"growth-of-the-unrolled": "wrong"})
def frobenius_growth(W: Array, horizon: int) -> Logs:
    """Takes the Frobenius norm for the 2-norm."""
    found = linear.growth(W, horizon).log_norms
    powers = [np.linalg.matrix_power(W, t) for t in range(horizon + 1)]
    with np.errstate(all="ignore"):
        logs = np.array([np.log(np.linalg.norm(power)) for power in powers])
    return Logs(np.where(np.isfinite(logs), logs, found))


@planted("growth-by-the-radius", "growth", caught_by={"growth-of-the-unrolled": "wrong"})
def growth_by_the_radius(W: Array, horizon: int) -> Logs:
    """Takes the radius to the power t for the norm: right for normal W only."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.arange(horizon + 1) * np.log(linear.spectrum(W).radius)
    return Logs(np.where(np.arange(horizon + 1) == 0, 0.0, logs))


@planted("radius-of-the-real", "spectrum", caught_by={"normal-growth": "wrong"})
def radius_of_the_real(W: Array) -> linear.Spectrum:
    """Takes the largest real part for the radius: right where the dominant eigenvalue is positive."""
    found = linear.spectrum(W)
    return replace(found, radius=float(np.abs(found.eigenvalues.real).max(initial=0.0)))


@planted("radius-is-the-norm", "spectrum", caught_by={"radius-and-condition": "wrong"})
def radius_is_the_norm(W: Array) -> linear.Spectrum:
    """Takes the largest singular value for the radius: right for normal W, invisible on them."""
    return replace(linear.spectrum(W), radius=float(np.linalg.norm(W, 2)))


@planted("condition-of-the-unitary", "spectrum", gross=False, caught_by={"radius-and-condition": "wrong"})
def condition_of_the_unitary(W: Array) -> linear.Spectrum:
    """Returns the condition of Schur vectors, which is 1, for that of eigenvectors."""
    return replace(linear.spectrum(W), condition=1.0)


@planted("kreiss-of-the-spectrum", "kreiss_constant", gross=False, caught_by={"kreiss": "wrong"})
def kreiss_of_the_spectrum(W: Array) -> float:
    """Takes the distance to the eigenvalues for the resolvent: 1 for every W whose powers are bounded."""
    found = linear.kreiss_constant(W)
    return 1.0 if np.isfinite(found) else found


@planted("kreiss-without-the-distance", "kreiss_constant", caught_by={"kreiss": "wrong"})
def kreiss_without_the_distance(W: Array) -> float:
    """Maximises |z| times the resolvent on a circle: not the distance to the unit circle."""
    z = 1.05 * np.exp(2j * np.pi * np.arange(64) / 64)
    sizes = np.linalg.svd(z[:, None, None] * np.eye(len(W)) - W, compute_uv=False)
    return float((np.abs(z) / sizes[:, -1]).max())


# Eigenvalues and components


@planted("eigenvalues-by-real-part", "spectrum", caught_by={"eigenvalues": "wrong"})
def eigenvalues_by_real_part(W: Array) -> linear.Spectrum:
    """Sorts eigenvalues as numbers are sorted, not by modulus."""
    found = linear.spectrum(W)
    order = np.argsort(-found.eigenvalues.real, kind="stable")
    return replace(found, eigenvalues=found.eigenvalues[order])


@planted("eigenvalues-once", "modes", gross=False, caught_by={"eigenvalues": "wrong"})
def eigenvalues_once(W: Array, h0: Array) -> linear.Modes:
    """Forgets the dimension of eigenspaces."""
    found = linear.modes(W, h0)
    return replace(found, multiplicities=np.minimum(found.multiplicities, 1))


@planted("modes-of-the-matrix", "modes", caught_by={"modes-of-the-state": "wrong"})
def modes_of_the_matrix(W: Array, h0: Array) -> linear.Modes:
    """Projects onto the eigenvectors of W where the state moves by its transpose."""
    return linear.modes(np.ascontiguousarray(W.T), h0)


@planted("ratio-squared", "discard_ratio", caught_by={"discarding": "wrong"})
def ratio_squared(W: Array, h0: Array, t: int) -> float:
    """Returns the ratio of energies."""
    return linear.discard_ratio(W, h0, t) ** 2


@planted("ties-discarded", "discard_ratio", gross=False, caught_by={"discarding": "wrong"})
def ties_discarded(W: Array, h0: Array, t: int) -> float:
    """Lets a tie for the largest modulus fall like a gap of one in ten thousand."""
    found = linear.discard_ratio(W, h0, t)
    moduli = np.abs(linear.spectrum(W).eigenvalues)
    tied = len(moduli) > 1 and moduli[1] > 0.999 * moduli[0]
    return found * 0.9999**t if tied else found
