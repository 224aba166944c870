"""Independent draws of (W, h, t) in equal shares from strata of difficulty.

A stratum is a class of matrices by difficulty, a range of t and a scale of the stored
numbers: 10 x 5 x 4 of them. Within a stratum cases are independent and identically distributed: size,
family, gain, vector and t are drawn anew for each. They are filled with numbers many at a time, grouped by
family and size after these were drawn, which changes no distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dynprop.arrays import NumericArray
from dynprop.errors import ArgumentError
from dynprop.kinds.power.cases import VECTORS, PowerCase, vectors
from dynprop.kinds.power.families.families import FAMILIES, GAINS, draw_matrices, families_for
from dynprop.kinds.power.families.general import similar
from dynprop.kinds.power.families.normal import rotations, spectra

__all__ = ["MATRICES", "SCALES", "STRATA", "TIMES", "Stratum", "draw_strata", "times_between"]

Rng = np.random.Generator
Maker = Callable[[Rng, int, int], NumericArray]
Scaled = tuple[NumericArray, NumericArray]

# Ranges of t, both ends included; uniform in the first one, in the logarithm in the others.
TIMES: tuple[tuple[int, int], ...] = (
    (0, 16),
    (17, 10**3 - 1),
    (10**3, 10**6 - 1),
    (10**6, 10**12 - 1),
    (10**12, 2**63 - 1),
)
SCALES = ("near 1", "near overflow", "near underflow", "scaled by rows")
# Sizes and their odds: mostly at most 8, a few up to 16.
_SIZES = np.arange(1, 17)
_ODDS = np.where(_SIZES <= 8, 0.96 / 8, 0.04 / 8)


def _conditioned(fewest: float, most: float) -> Maker:
    def make(rng: Rng, count: int, n: int) -> NumericArray:
        """Real spectra, and complex pairs, in equal numbers."""
        real = np.eye(n) * spectra(rng, count, n)[:, None]
        paired = rng.random((count, 1, 1)) < 0.5
        return similar(rng, np.where(paired, rotations(rng, count, n), real), fewest, most)

    return make


def _complex_conditioned(fewest: float, most: float) -> Maker:
    def make(rng: Rng, count: int, n: int) -> NumericArray:
        values = spectra(rng, count, n) * np.exp(2j * np.pi * rng.random((count, n)))
        return similar(rng, np.eye(n) * values[:, None], fewest, most)

    return make


def _real_gaps(rng: Rng, count: int, n: int) -> NumericArray:
    """Eigenvalues with gaps of 1e-1 to 1e-15, some with the opposite sign."""
    gap = 10.0 ** rng.uniform(-15.0, -1.0, (count, 1))
    values = (1.0 - gap * rng.random((count, n))) * np.where(rng.random((count, n)) < 0.2, -1.0, 1.0)
    return similar(rng, np.eye(n) * values[:, None], 0.0, 2.0)


def _complex_gaps(rng: Rng, count: int, n: int) -> NumericArray:
    gap = 10.0 ** rng.uniform(-15.0, -1.0, (count, 1))
    offsets = gap * (rng.standard_normal((count, n)) + 1j * rng.standard_normal((count, n)))
    values = np.exp(2j * np.pi * rng.random((count, 1))) * (1.0 + offsets)
    return similar(rng, np.eye(n) * values[:, None], 0.0, 2.0)


def _times_one_plus_i(name: str) -> Maker:
    """Members of a family times 1 + i: complex numbers, and as defective as before."""
    return lambda rng, count, n: FAMILIES[name].make(rng, count, n) * (1.0 + 1.0j)


def _families(*names: str) -> dict[str, Maker]:
    return {name: partial(_members, name) for name in names}


def _members(name: str, rng: Rng, count: int, n: int) -> NumericArray:
    return draw_matrices(rng, name, count, n)


_NEAR = ("near-defective", "Jordan, hidden by a rotation", "Forsythe")
_VANISHING = ("nilpotent", "rank one", "zero", "graded")
_APART = (*families_for(traits=["normal"]), *families_for(traits=["defective"]), *_NEAR, *_VANISHING)
_REST = tuple(name for name in families_for(without=["named", "LAPACK"]) if name not in _APART)

# Class of matrices -> family -> maker; the families of a class are drawn with equal odds.
MATRICES: dict[str, dict[str, Maker]] = {
    "normal": _families(*families_for(traits=["normal"])),
    "condition up to 1e3": {
        "real": _conditioned(0.0, 3.0),
        "complex": _complex_conditioned(0.0, 3.0),
    },
    "condition 1e3 to 1e8": {
        "real": _conditioned(3.0, 8.0),
        "complex": _complex_conditioned(3.0, 8.0),
    },
    "condition 1e8 to 1e14": {
        "real": _conditioned(8.0, 14.0),
        "complex": _complex_conditioned(8.0, 14.0),
    },
    "small gaps": {"real": _real_gaps, "complex": _complex_gaps},
    "near-defective": {**_families(*_NEAR), "near-defective, complex": _times_one_plus_i("near-defective")},
    "defective": {
        **_families(*families_for(traits=["defective"])),
        "Jordan, hidden exactly, complex": _times_one_plus_i("Jordan, hidden exactly"),
    },
    "vanishing": {**_families(*_VANISHING), "nilpotent, complex": _times_one_plus_i("nilpotent")},
    "named": _families(*families_for(traits=["named"]), *families_for(traits=["LAPACK"])),
    "other": _families(*_REST),
}


@dataclass(frozen=True)
class Stratum:
    """One cell of the grid of difficulty: names in `MATRICES` and `SCALES`, and a range of t."""

    matrices: str
    times: tuple[int, int]
    scale: str

    @property
    def name(self) -> str:
        """Name in reports."""
        return f"{self.matrices}; t from {self.times[0]:.0e} to {self.times[1]:.0e}; {self.scale}"


STRATA: tuple[Stratum, ...] = tuple(
    Stratum(matrices, times, scale) for matrices in MATRICES for times in TIMES for scale in SCALES
)


def times_between(rng: Rng, first: int, last: int, count: int) -> list[int]:
    """Return integers from first to last, uniform where first is 0 and else in their logarithm."""
    if first == 0:
        return [int(t) for t in rng.integers(0, last + 1, count)]
    exponent = rng.uniform(np.log(first), np.log(last + 1), count)
    # Doubles of this size have gaps: the low digits are drawn as well.
    low = rng.integers(0, 1024, count)
    drawn = (int(t) + (int(t) >> 45) * int(extra) for t, extra in zip(np.exp(exponent), low, strict=True))
    return [min(max(t, first), last) for t in drawn]


def draw_strata(rng: Rng, matrices: str, each: int) -> list[tuple[int, PowerCase]]:
    """Draw cases from every stratum of a class of matrices, equally many from each.

    Args:
        rng: source of all random numbers.
        matrices: a name in `MATRICES`.
        each: cases per stratum.

    Returns:
        Pairs of an index in `STRATA` and a case.

    Raises:
        ArgumentError: no such class.
    """
    if matrices not in MATRICES:
        raise ArgumentError("matrices", repr(matrices), f"one of {', '.join(MATRICES)}")
    cells = [i for i, stratum in enumerate(STRATA) if stratum.matrices == matrices for _ in range(each)]
    makers = list(MATRICES[matrices].items())
    kinds = rng.integers(0, len(makers), len(cells))
    sizes = rng.choice(_SIZES, len(cells), p=_ODDS / _ODDS.sum())
    sizes = np.maximum(sizes, [_smallest(makers[kind][0]) for kind in kinds])
    drawn: dict[int, PowerCase] = {}
    for kind, n in sorted({(int(k), int(s)) for k, s in zip(kinds, sizes, strict=True)}):
        members = np.flatnonzero((kinds == kind) & (sizes == n)).tolist()
        name, make = makers[kind]
        batch = make(rng, len(members), n)
        if name not in FAMILIES:
            batch = batch * rng.choice(GAINS, (len(members), 1, 1))
        for index, w in zip(members, batch, strict=True):
            complex_ = np.iscomplexobj(w) or bool(rng.random() < 0.2)
            vector = vectors(rng, 1, n, VECTORS[int(rng.integers(len(VECTORS)))], complex_=complex_)[0]
            stratum = STRATA[cells[index]]
            drawn[index] = _case(rng, w, vector, stratum, f"{matrices}: {name}")
    return [(cells[index], drawn[index]) for index in sorted(drawn)]


def _smallest(name: str) -> int:
    return FAMILIES[name].smallest if name in FAMILIES else 1


def _case(rng: Rng, w: NumericArray, h: NumericArray, stratum: Stratum, family: str) -> PowerCase:
    w, h = _SCALED[stratum.scale](rng, w, h)
    t = times_between(rng, *stratum.times, 1)[0]
    return PowerCase(w + 0.0, h + 0.0, t, "float64", family, "free")


def _unscaled(rng: Rng, w: NumericArray, h: NumericArray) -> Scaled:
    del rng
    return w, h


def _near_edge(lowest: int, highest: int) -> Callable[[Rng, NumericArray, NumericArray], Scaled]:
    def scale(rng: Rng, w: NumericArray, h: NumericArray) -> Scaled:
        """Bring W to an edge of the format and, half of the time, h too."""
        first = _scaled_to_exponent(w, int(rng.integers(lowest, highest)))
        return first, _scaled_to_exponent(h, int(rng.integers(lowest, highest))) if rng.random() < 0.5 else h

    return scale


def _scaled_to_exponent(x: NumericArray, exponent: int) -> NumericArray:
    """Multiply by a power of two so that the largest part is near 2^exponent; digits may underflow."""
    largest = max(np.abs(x.real).max(initial=0.0), np.abs(x.imag).max(initial=0.0))
    if largest == 0.0:
        return x
    return _times_power_of_two(x, np.array(exponent - int(np.frexp(largest)[1])))


def _times_power_of_two(x: NumericArray, exponent: NumericArray) -> NumericArray:
    power = exponent.astype(np.int32)
    with np.errstate(under="ignore"):
        if np.iscomplexobj(x):
            return np.asarray(np.ldexp(x.real, power) + 1j * np.ldexp(x.imag, power))
        return np.asarray(np.ldexp(x, power))


def _diagonally_scaled(rng: Rng, w: NumericArray, h: NumericArray) -> Scaled:
    """Return D^-1 W D and h D with D of powers of two: the same spectrum, and entries far apart."""
    spread = int(rng.choice([4, 20, 100, 400]))
    d = rng.integers(-spread // 2, spread // 2 + 1, len(h))
    return _times_power_of_two(w, d[None, :] - d[:, None]), _times_power_of_two(h, d)


_SCALED: dict[str, Callable[[Rng, NumericArray, NumericArray], Scaled]] = {
    "near 1": _unscaled,
    "near overflow": _near_edge(1000, 1024),
    "near underflow": _near_edge(-1040, -960),
    "scaled by rows": _diagonally_scaled,
}
