"""Powers of integer matrices: cases of 64-bit integers and their exact states."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dynprop.arrays import IntArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.draw import Source
from dynprop.laws.draw import length as number_of_steps

__all__ = ["INTEGER_CLASSES", "as_floats", "every_integer_class", "exact_states", "integer_case"]

Rng = np.random.Generator


def _signed_permutation(rng: Rng, n: int) -> IntArray:
    signs = rng.choice([-1, 1], (n, 1))
    return np.asarray(np.eye(n, dtype=np.int64)[rng.permutation(n)] * signs, dtype=np.int64)


def _symmetric(rng: Rng, n: int) -> IntArray:
    upper = np.triu(rng.integers(-1, 2, (n, n)))
    return np.asarray(upper + np.triu(upper, 1).T, dtype=np.int64)


# The powers of a unipotent matrix grow as powers of t, and meet the end of 64 bits at every size of t.
INTEGER_CLASSES: dict[str, Callable[[Rng, int], IntArray]] = {
    "signed permutation": _signed_permutation,
    "small integers": lambda rng, n: rng.integers(-2, 3, (n, n)),
    "unipotent": lambda rng, n: np.eye(n, dtype=np.int64) + np.triu(rng.integers(0, 2, (n, n)), 1),
    "nilpotent": lambda rng, n: np.triu(rng.integers(-9, 10, (n, n)), 1),
    "symmetric integers": _symmetric,
    "large integers": lambda rng, n: rng.integers(-(2**20), 2**20 + 1, (n, n)),
}


def _build(rng: Rng, n: int, t: int, name: str) -> PowerCase:
    w, h = INTEGER_CLASSES[name](rng, n), rng.integers(1, 10, n) * rng.choice([-1, 1], n)
    return PowerCase(w, h, t, "int64", name, "integers", int(rng.integers(2**31)))


def every_integer_class(domain: Domain, subject: PowerSubject) -> Iterator[PowerCase]:
    """Yield every class of integer matrices, small and of 9 rows, at few steps and at more."""
    for i, name in enumerate(INTEGER_CLASSES):
        for n, t in [(3, 5)] if subject.compiles else [(2, 3), (4, 29), (3, 61), (9, 12)]:
            yield _build(np.random.default_rng([i, t, 97]), n, min(t, domain.max_length), name)


def integer_case(source: Source, domain: Domain, subject: PowerSubject) -> PowerCase:
    """Draw an integer matrix, an integer vector and a number of steps."""
    name = source.choice(tuple(INTEGER_CLASSES))
    few = bool(subject.compiles)
    t = number_of_steps(source, domain.max_length, shortest=1, few=few)
    n = 3 if few else source.integer(1, 6)
    return _build(source.generator(), n, t, name)


def exact_states(case: PowerCase) -> NumericArray:
    """Return h_0 to h_t as Python integers, an object array of shape (t + 1, n)."""
    w, states = case.W.astype(object), [case.h.astype(object)]
    for _ in range(case.t):
        states.append(states[-1] @ w)
    return np.stack(states)


def as_floats(case: PowerCase) -> PowerCase:
    """Return the same numbers as a case of float64, in which all of them are exact."""
    return PowerCase(
        case.W.astype(np.float64),
        case.h.astype(np.float64),
        case.t,
        "float64",
        case.family,
        "free",
        case.seed,
    )
