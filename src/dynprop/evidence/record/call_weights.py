"""Random laws of one weight, with their moments by mpmath, apart from `dynprop.products`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from dynprop.evidence.record.call_case import mpmath

__all__ = ["CONTINUOUS", "DISCRETE", "Rng", "Weight", "drawn_weight"]

Rng = np.random.Generator


@dataclass(frozen=True)
class Standard:
    """A continuous law at location 0 and scale 1.

    Attributes:
        moment: E x^k, exact to the working precision of mpmath.
        density: its density.
        breaks: ends of the support, cut where less than 1e-60 is beyond, and points between.
    """

    moment: Callable[[int], Any]
    density: Callable[[Any], Any]
    breaks: Sequence[float]


@dataclass(frozen=True)
class Weight:
    """A law of scipy beside its moments.

    Attributes:
        text: how scipy makes it.
        law: the frozen distribution. Any: scipy's frozen classes share no public base.
        location, scale: w = location + scale x, x of the standard law.
        standard: the standard law, None for a discrete weight.
        atoms: value and probability of each atom of a discrete weight, exact.
    """

    text: str
    law: Any
    location: float = 0.0
    scale: float = 1.0
    standard: Standard | None = None
    atoms: Sequence[tuple[Fraction, Fraction]] = ()

    def moment(self, order: int) -> Any:
        """Return E w^order, to the working precision of mpmath."""
        if self.standard is None:
            return sum(_mp(chance) * _mp(value) ** order for value, chance in self.atoms)
        a, s = mpmath.mpf(self.location), mpmath.mpf(self.scale)
        terms = (
            mpmath.binomial(order, k) * a ** (order - k) * s**k * self.standard.moment(k)
            for k in range(order + 1)
        )
        return mpmath.fsum(terms)

    def log_moments(self) -> tuple[Any, Any]:
        """Return mean and variance of log |w|; (-inf, inf) where the weight can be 0."""
        if self.standard is None:
            if any(value == 0 for value, _ in self.atoms):
                return -mpmath.inf, mpmath.inf
            logs = [(_mp(chance), mpmath.log(abs(_mp(value)))) for value, chance in self.atoms]
            mean = mpmath.fsum(p * log for p, log in logs)
            return mean, mpmath.fsum(p * (log - mean) ** 2 for p, log in logs)
        shift, density = mpmath.mpf(self.location) / self.scale, self.standard.density
        low, high = self.standard.breaks[0], self.standard.breaks[-1]
        points = sorted({*map(mpmath.mpf, self.standard.breaks), *([-shift] if low < -shift < high else [])})

        def log(x: Any) -> Any:
            size = abs(x + shift)
            return mpmath.log(size) if size else mpmath.mpf(0)

        first = mpmath.quad(lambda x: density(x) * log(x), points)
        second = mpmath.quad(lambda x: density(x) * (log(x) - first) ** 2, points)
        return mpmath.log(self.scale) + first, second


def _mp(value: Fraction) -> Any:
    return mpmath.mpf(value.numerator) / value.denominator


def _double_factorial(k: int) -> Any:
    return mpmath.fac2(k - 1) if k % 2 == 0 else mpmath.mpf(0)


def _logistic_moment(k: int) -> Any:
    return (
        mpmath.mpf(0) if k % 2 else mpmath.mpf(1) if k == 0 else 2 * mpmath.factorial(k) * mpmath.altzeta(k)
    )


def _triangle(c: float) -> Standard:
    def moment(k: int) -> Any:
        top = mpmath.mpf(c)
        falling = (1 - top ** (k + 1)) / (k + 1) - (1 - top ** (k + 2)) / (k + 2)
        return 2 * top ** (k + 1) / (k + 2) + 2 * falling / (1 - top)

    return Standard(moment, lambda x: 2 * (x / c if x < c else (1 - x) / (1 - mpmath.mpf(c))), (0.0, c, 1.0))


def _gamma(shape: float) -> Standard:
    def density(x: Any) -> Any:
        return x ** (mpmath.mpf(shape) - 1) * mpmath.exp(-x) / mpmath.gamma(shape) if x > 0 else mpmath.mpf(0)

    return Standard(lambda k: mpmath.rf(mpmath.mpf(shape), k), density, (0.0, 1.0, 4.0, 12.0, 40.0, 170.0))


def _standard(rng: Rng, family: str) -> tuple[Standard, str]:
    """Return a standard law and its shape as an argument of scipy's."""
    tail = (0.0, 1.0, 6.0, 30.0, 150.0)
    both = (-150.0, -30.0, -6.0, -1.0, *tail)
    if family == "gamma":
        shape = float(rng.uniform(1, 5))
        return _gamma(shape), f"{shape!r}, "
    if family == "triang":
        top = float(rng.uniform(0.1, 0.9))
        return _triangle(top), f"{top!r}, "
    found = {
        "norm": Standard(_double_factorial, mpmath.npdf, (-18.0, -6.0, 0.0, 6.0, 18.0)),
        "uniform": Standard(lambda k: 1 / mpmath.mpf(k + 1), lambda x: mpmath.mpf(1), (0.0, 1.0)),
        "expon": Standard(mpmath.factorial, lambda x: mpmath.exp(-x), tail),
        "laplace": Standard(
            lambda k: mpmath.mpf(0) if k % 2 else mpmath.factorial(k), lambda x: mpmath.exp(-abs(x)) / 2, both
        ),
        "halfnorm": Standard(
            lambda k: (
                mpmath.mpf(2) ** (mpmath.mpf(k) / 2)
                * mpmath.gamma(mpmath.mpf(k + 1) / 2)
                / mpmath.sqrt(mpmath.pi)
            ),
            lambda x: 2 * mpmath.npdf(x),
            (0.0, 1.0, 6.0, 18.0),
        ),
        "logistic": Standard(_logistic_moment, lambda x: 1 / (4 * mpmath.cosh(x / 2) ** 2), both),
    }
    return found[family], ""


def _continuous(rng: Rng, family: str, scale: float) -> Weight:
    from scipy import stats

    standard, shape = _standard(rng, family)
    location = float(rng.choice([0.0, -1.0, rng.normal(), rng.normal()]) * scale)
    text = f"stats.{family}({shape}loc={location!r}, scale={scale!r})"
    law = getattr(stats, family)(*([float(shape[:-2])] if shape else []), loc=location, scale=scale)
    return Weight(text, law, location, scale, standard)


CONTINUOUS = ("norm", "uniform", "expon", "laplace", "gamma", "halfnorm", "triang", "logistic")
DISCRETE = ("signs", "integers", "binom")


def _discrete(rng: Rng, family: str) -> Weight:
    from scipy import stats

    if family == "binom":
        n, shift = int(rng.integers(1, 4)), int(rng.integers(-2, 2))
        text, made = f"stats.binom({n}, 0.25, loc={shift})", stats.binom(n, 0.25, loc=shift)
        quarter = Fraction(1, 4)
        ways = [(1,), (1, 1), (1, 2, 1), (1, 3, 3, 1)][n]
        atoms = [
            (Fraction(k + shift), count * quarter**k * (1 - quarter) ** (n - k))
            for k, count in enumerate(ways)
        ]
        return Weight(text, made, atoms=atoms)
    values = [-1, 1] if family == "signs" else sorted({int(v) for v in rng.integers(-3, 4, 4)})
    weights = rng.multinomial(64 - len(values), [1 / len(values)] * len(values)) + 1
    chances = [float(w) / 64 for w in weights]
    text = f"stats.rv_discrete(values=({values!r}, {chances!r}))()"
    law = stats.rv_discrete(values=(values, chances))()
    atoms = [(Fraction(v), Fraction(p)) for v, p in zip(values, chances, strict=True)]
    return Weight(text, law, atoms=atoms)


def drawn_weight(rng: Rng, family: str, scale: float = 1.0) -> Weight:
    """Draw a law of a family; the scale is that of a continuous one."""
    return _continuous(rng, family, scale) if family in CONTINUOUS else _discrete(rng, family)
