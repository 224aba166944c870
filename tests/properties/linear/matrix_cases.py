"""Matrices for the tests of this room, and an exact reference for powers that shares no code with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import acb_mat, arb, arb_mat, ctx, fmpz_mat
from hypothesis import strategies as st

from dynprop.kinds.power.families.families import FAMILIES, draw_matrices, families_for

BAD_MATRICES: dict[str, Any] = {
    "not square": np.ones((2, 3)),
    "a vector": np.ones(3),
    "a stack": np.ones((1, 2, 2)),
    "NaN": np.array([[1.0, math.nan], [0.0, 1.0]]),
    "infinite": np.array([[math.inf]]),
    "complex infinite": np.array([[complex(0.0, math.inf)]]),
    "integers beyond 2**53": np.array([[2**53 + 1, 0], [0, 1]]),
    "booleans": np.eye(2, dtype=np.bool_),
    "objects": np.array([[1.0]], dtype=object),
    "a ragged list": [[1.0, 0.0], [1.0]],
    "a list with a number beyond 2**53": [[2**53 + 1, 0.5], [0.0, 1.0]],
    "a list of booleans": [[True, False], [False, True]],
    "masked": np.ma.masked_array(np.eye(2), mask=np.eye(2) == 1),
    "masked without a mask": np.ma.masked_array(np.eye(2)),
    "a number": 1.0,
    "None": None,
    "text": "W",
}
BAD_COUNTS: dict[str, Any] = {"negative": -1, "a float": 2.0, "a bool": True, "text": "3", "None": None}

ALL = tuple(FAMILIES)
NORMAL = families_for(traits=["normal"], without=["complex"])
SYMMETRIC = families_for(traits=["symmetric"])


@st.composite
def matrices(draw: st.DrawFn, *, names: Sequence[str] = ALL, smallest: int = 1, largest: int = 8) -> Any:
    """Draw a member of one of the families; extreme ones are scaled near the ends of the range."""
    name = draw(st.sampled_from(names))
    n = draw(st.integers(max(smallest, FAMILIES[name].smallest), largest))
    seed = draw(st.integers(0, 2**32 - 1))
    made = draw_matrices(np.random.default_rng(seed), name, 1, n)[0]
    extreme = FAMILIES[name].extreme
    return made / np.abs(made).max() * 2.0 ** (1000 * extreme) if extreme and made.any() else made


def unimodular(rng: np.random.Generator, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return an integer matrix of determinant one with small entries, and its integer inverse."""
    s, inverse = np.eye(n), np.eye(n)
    for _ in range(2 * n):
        i, j = rng.choice(n, 2, replace=False) if n > 1 else (0, 0)
        if i != j:
            c = float(rng.integers(-1, 2))
            s[i] += c * s[j]
            inverse[:, j] -= c * inverse[:, i]
    assert np.array_equal(s @ inverse, np.eye(n))
    return s, inverse


def jordan(blocks: Sequence[tuple[complex, int]]) -> np.ndarray[Any, Any]:
    """Return the Jordan matrix of (eigenvalue, size) blocks."""
    n = sum(size for _, size in blocks)
    made = np.zeros((n, n), dtype=np.complex128)
    at = 0
    for value, size in blocks:
        made[at : at + size, at : at + size] = value * np.eye(size) + np.eye(size, k=1)
        at += size
    return made if any(complex(v).imag for v, _ in blocks) else made.real


@dataclass(frozen=True)
class Structure:
    """A matrix of known Jordan structure: the eigenvalues are value * 2**exponent, exactly."""

    W: Any
    blocks: tuple[tuple[complex, int], ...]
    exponent: int

    def multiplicities(self) -> dict[complex, int]:
        """Return the algebraic multiplicity of each distinct eigenvalue."""
        found: dict[complex, int] = {}
        for value, size in self.blocks:
            found[value] = found.get(value, 0) + size
        return found


@st.composite
def structures(draw: st.DrawFn, *, complex_: bool, largest_block: int = 3) -> Structure:
    """Draw a Jordan structure of whole numbers, hidden by a similarity that is exact in floats."""
    value = st.builds(complex, st.integers(-2, 2), st.integers(-2, 2) if complex_ else st.just(0))
    blocks = draw(st.lists(st.tuples(value, st.integers(1, largest_block)), min_size=1, max_size=4))
    n = sum(size for _, size in blocks)
    s, inverse = unimodular(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), n)
    exponent = draw(st.integers(-900, 900))
    return Structure(s @ jordan(blocks) @ inverse * 2.0**exponent, tuple(blocks), exponent)


def exact_log_norms(W: np.ndarray[Any, Any], horizon: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return log ‖Wᵗ‖₂ from powers in so many bits that nothing is rounded that a float could see.

    What is not certainly different from zero with 4,000 bits counts as zero: minus infinity.
    """
    n, found = len(W), []
    kind: Any = acb_mat if np.iscomplexobj(W) else arb_mat
    convert: Any = complex if np.iscomplexobj(W) else float
    before, ctx.prec = ctx.prec, 4000
    try:
        step, power = kind(n, n, W.ravel().tolist()), kind(n, n, np.eye(n).ravel().tolist())
        for _ in range(horizon + 1):
            found.append(_log_norm(power, convert))
            power = power * step
    finally:
        ctx.prec = before
    return np.array(found)


def _log_norm(power: Any, convert: Any) -> float:
    sizes = [abs(x) for x in power.entries()]
    if not any(s > 0 for s in sizes):
        return -math.inf
    mantissa, exponent = max(s.mid() for s in sizes).man_exp()
    shift = int(exponent) + int(mantissa).bit_length()
    unit = [convert((x * arb((1, -shift))).mid()) for x in power.entries()]
    norm = float(np.linalg.norm(np.array(unit).reshape(power.nrows(), -1), 2))
    return math.log(norm) + shift * math.log(2.0)


def is_nilpotent(W: np.ndarray[Any, Any]) -> bool:
    """Say whether the n-th power of an integer matrix is zero, by integer arithmetic."""
    n = len(W)
    power = fmpz_mat(n, n, [int(x) for x in W.ravel()]) ** n
    return all(int(x) == 0 for x in power.entries())
