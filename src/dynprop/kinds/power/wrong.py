"""Results of implementations with a known mistake, by its name: hypotheses about a failure."""

from __future__ import annotations

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.kinds.power.cases import PowerCase

__all__ = ["wrong_states"]


def wrong_states(case: PowerCase, *, only_last: bool = False) -> dict[str, NumericArray]:
    """Return the states, shape (steps + 1, n), or the last one, of wrong unrolls and closed forms.

    Args:
        case: the input.
        only_last: return shape (1, n), the state after t steps, including mistakes of closed forms alone.
    """
    w, h, t = case.W, case.h, case.t
    with np.errstate(all="ignore"):
        run = _last_state if only_last else _all_states
        states = {"untransposed: W h in place of W^T h": run(w.T, h, t)}
        if case.is_complex:
            states["conjugated: W^H in place of W^T"] = run(w.conj(), h, t)
            states["real part only"] = run(w, h, t).real + 0j
            states["imaginary part of W dropped"] = run(w.real, h, t) + 0j
        if only_last:
            if t > 0:
                states["one step too few"] = run(w, h, t - 1)
            states["one step too many"] = run(w, h, t + 1)
            states |= _eigen(case)
    return states


def _last_state(w: NumericArray, h: NumericArray, t: int) -> NumericArray:
    return np.asarray(h @ np.linalg.matrix_power(w, t))[None]


def _all_states(w: NumericArray, h: NumericArray, t: int) -> NumericArray:
    rows = [h]
    for _ in range(t):
        rows.append(rows[-1] @ w)
    return np.stack(rows)


def _eigen(case: PowerCase) -> dict[str, NumericArray]:
    """Return states of mistaken eigenvector formulas, with LAPACK's eigenvectors in the case's format."""
    w, h, t = case.W, case.h, case.t
    kind = np.dtype(np.float32 if case.dtype == "float32" else np.float64)
    kind = np.result_type(kind, np.complex64) if case.is_complex else kind
    states: dict[str, NumericArray] = {}
    try:
        values, v = np.linalg.eig(w.astype(kind))
        values, v = values.astype(complex), v.astype(complex)
        inside = v.T @ h
        states["eigenvectors of an ill-conditioned W are trusted"] = np.linalg.solve(v.T, values**t * inside)
        if np.array_equal(w, w.conj().T):
            modes, q = np.linalg.eigh(w.astype(kind))
            power = modes.astype(np.float64) ** t
            q = q.astype(w.dtype)
            states["Q^T L^t Q in place of Q L^t Q^T (the textbook's slip)"] = (q.T * power) @ (q @ h)
            if case.is_complex:
                states["Q L^t Q^T in place of Q* L^t Q^T (a conjugate is missing)"] = (q * power) @ (q.T @ h)
        for name, spectrum in (("real parts", values.real), ("absolute values", np.abs(values))):
            states[f"{name} of the eigenvalues only"] = np.linalg.solve(v.T, spectrum**t * inside)
        states["V L^t V^T in place of V^-T L^t V^T"] = (v * values**t) @ inside
        states["V^H in place of V^T"] = np.linalg.solve(v.conj().T, values**t * (v.conj().T @ h))
    except np.linalg.LinAlgError:
        pass
    finite = {name: state for name, state in states.items() if np.isfinite(state).all()}
    return {name: np.asarray(s if case.is_complex else s.real)[None] for name, s in finite.items()}
