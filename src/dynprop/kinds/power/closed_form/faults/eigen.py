"""Faults of kind closed-form in numpy that use eigenvectors: a wrong formula, or a missing guard."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]

closed: Catalogue = Catalogue("closed-form", "numpy")
CATALOGUES = (closed,)


def power(W: Array, h0: Array, t: int) -> Array:
    """Return the right state, for matrices that a fault does not touch."""
    state = h0.copy()
    for _ in range(t):
        state = W.T @ state
    return state


def as_given(state: Array, like: Array) -> Array:
    """Return a state in the dtype of h0, real for real arguments."""
    return np.asarray(state if np.iscomplexobj(like) else state.real, dtype=like.dtype)


def guarded(W: Array) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors, or refuse."""
    values, v = np.linalg.eig(W)
    limit = 1e4 if W.dtype in (np.float64, np.complex128) else 10.0
    if not np.linalg.cond(v) < limit:
        raise ValueError("the eigenvectors are ill-conditioned")
    return values, v


# The formula


@closed.fault(
    "closed-form/textbook-order",
    source="Goodfellow, Bengio and Courville 2016, eq. 10.39",
    caught_by={"symmetric": "wrong"},
)
def textbook_order(W: Array, h0: Array, t: int) -> Array:
    """Takes Q^T L^t Q for symmetric W, as the textbook prints it, where Q L^t Q^T is right."""
    if np.iscomplexobj(W) or not np.array_equal(W, W.T):
        return power(W, h0, t)
    values, q = np.linalg.eigh(W)
    return np.asarray(q.T @ (values**t * (q @ h0)), dtype=h0.dtype)


@closed.fault("closed-form/eigenvectors-not-inverted", caught_by={"exact-or-refused": "wrong"})
def eigenvectors_not_inverted(W: Array, h0: Array, t: int) -> Array:
    """Takes V L^t V^T where V^-T L^t V^T is right: correct for orthogonal V only."""
    values, v = guarded(W)
    return as_given(v @ (values**t * (v.T @ h0)), h0)


@closed.fault("closed-form/eigenvectors-conjugated", caught_by={"exact-or-refused": "wrong"})
def eigenvectors_conjugated(W: Array, h0: Array, t: int) -> Array:
    """Takes V^H where V^T is right: the same for real V only."""
    values, v = guarded(W)
    return as_given(np.linalg.solve(v.conj().T, values**t * (v.conj().T @ h0)), h0)


@closed.fault("closed-form/hermitian-not-conjugated", gross=False, caught_by={"exact-or-refused": "wrong"})
def hermitian_not_conjugated(W: Array, h0: Array, t: int) -> Array:
    """Takes Q L^t Q^T for Hermitian W, where the first Q has to be conjugated."""
    if not np.array_equal(W, W.conj().T):
        return power(W, h0, t)
    values, q = np.linalg.eigh(W)
    return as_given(q @ (values**t * (q.T @ h0)), h0)


@closed.fault("closed-form/schur-not-conjugated", gross=False, caught_by={"exact-or-refused": "wrong"})
def schur_not_conjugated(W: Array, h0: Array, t: int) -> Array:
    """Forgets that the Schur vectors of a complex W have to be conjugated on the way back."""
    if not np.iscomplexobj(W):
        return power(W, h0, t)
    from scipy.linalg import schur

    form, z = schur(W, output="complex")
    return np.asarray(z @ (np.linalg.matrix_power(form, t).T @ (z.T @ h0)), dtype=h0.dtype)


@closed.fault("closed-form/real-part-of-eigenvalues", caught_by={"exact-or-refused": "wrong"})
def real_part_of_eigenvalues(W: Array, h0: Array, t: int) -> Array:
    """Drops the imaginary parts of the eigenvalues: wrong for complex pairs."""
    values, v = guarded(W)
    return as_given(np.linalg.solve(v.T, values.real**t * (v.T @ h0)), h0)


@closed.fault("closed-form/modulus-of-eigenvalues", caught_by={"modes": "wrong"})
def modulus_of_eigenvalues(W: Array, h0: Array, t: int) -> Array:
    """Takes the moduli of the eigenvalues: wrong for negative ones at odd t."""
    values, v = guarded(W)
    return as_given(np.linalg.solve(v.T, np.abs(values) ** t * (v.T @ h0)), h0)


@closed.fault("closed-form/dominant-mode-only", gross=False, caught_by={"exact-or-refused": "wrong"})
def dominant_mode_only(W: Array, h0: Array, t: int) -> Array:
    """Keeps only the eigenvalues of the largest modulus once t is above 8."""
    values, v = guarded(W)
    modulus = np.abs(values)
    if t > 8:
        values = np.where(modulus < 0.999 * modulus.max(), 0.0, values)
    return as_given(np.linalg.solve(v.T, values**t * (v.T @ h0)), h0)


@closed.fault("closed-form/tie-broken", gross=False, caught_by={"modes": "wrong", "discarding": "wrong"})
def tie_broken(W: Array, h0: Array, t: int) -> Array:
    """Keeps one mode from t = 2 on, also where two eigenvalues share the largest modulus."""
    if np.iscomplexobj(W) or not np.array_equal(W, W.T) or t < 2:
        return power(W, h0, t)
    values, q = np.linalg.eigh(W)
    first = np.argmax(np.abs(values))
    return np.asarray(q[:, first] * values[first] ** t * (q[:, first] @ h0), dtype=h0.dtype)


# The guard


@closed.fault("closed-form/unguarded-eigen", caught_by={"exact-or-refused": "wrong"})
def unguarded_eigen(W: Array, h0: Array, t: int) -> Array:
    """Trusts the eigenvectors of every W: noise for defective and nearly defective ones."""
    values, v = np.linalg.eig(W)
    return as_given(np.linalg.solve(v.T, values**t * (v.T @ h0)), h0)


@closed.fault(
    "closed-form/perturbed-until-diagonalisable", gross=False, caught_by={"exact-or-refused": "wrong"}
)
def perturbed_until_diagonalisable(W: Array, h0: Array, t: int) -> Array:
    """Moves a defective W by 1e-8 so that it has eigenvectors."""
    values, v = np.linalg.eig(W)
    if np.linalg.cond(v) > 1e12:
        perturbed = W + 1e-8 * np.diag(np.arange(1.0, len(h0) + 1.0))
        values, v = np.linalg.eig(perturbed.astype(W.dtype))
    return as_given(np.linalg.solve(v.T, values**t * (v.T @ h0)), h0)


@closed.fault("closed-form/refuses-what-is-easy", caught_by={"exact-or-refused": "error"})
def refuses_what_is_easy(W: Array, h0: Array, t: int) -> Array:
    """Refuses every W that is not symmetric, well-conditioned or not."""
    if not np.array_equal(W, W.T):
        raise ValueError("W is not symmetric")
    return power(W, h0, t)


@closed.fault("closed-form/complex-returned", caught_by={"shape-and-dtype": "wrong"})
def complex_returned(W: Array, h0: Array, t: int) -> Array:
    """Returns complex numbers for a real W with complex eigenvalues."""
    values, v = guarded(W)
    return np.asarray(np.linalg.solve(v.T, values**t * (v.T @ h0)))
