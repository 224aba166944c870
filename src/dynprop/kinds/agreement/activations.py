r"""Mean field beside closed forms: kinks, homogeneity, falling variance maps, edges that attract (C5).

The variance of a pre-activation goes through layers by :math:`V(q)=\sigma_w^2\,\mathrm E\,\phi(\sqrt q z)^2
+\sigma_b^2`, z standard normal. Of a piecewise linear :math:`\phi` both averages are sums over its pieces: on
one from a to b, in z from :math:`\alpha=a/\sqrt q` to :math:`\beta=b/\sqrt q`,

.. math:: \mathrm E[1] = \Phi(\beta)-\Phi(\alpha), \quad \mathrm E[z] = \varphi(\alpha)-\varphi(\beta), \quad
          \mathrm E[z^2] = \mathrm E[1] + \alpha\varphi(\alpha)-\beta\varphi(\beta).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_number
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law

POOLE = "Poole et al. 2016, arXiv:1606.05340"
# What an average of a callable promises relatively: two resolutions of its quadrature agree to this.
AVERAGE = 1e-8

Curve = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Bent:
    """A piecewise linear activation, flat outside its knots.

    Attributes:
        knots: ascending.
        values: phi there.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, x: FloatArray) -> FloatArray:
        """Return phi(x)."""
        return np.interp(x, self.knots, self.values)

    def moments(self, q: float) -> tuple[float, float]:
        """Return E phi(sqrt(q) z)^2 and E phi'(sqrt(q) z)^2."""
        from scipy.special import ndtr

        root = math.sqrt(q)
        z = np.concatenate([[-np.inf], np.array(self.knots) / root, [np.inf]])
        density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        edge = np.where(np.isfinite(z), z, 0.0) * density
        mass, first = np.diff(ndtr(z)), -np.diff(density)
        second = mass - np.diff(edge)
        slopes = np.concatenate([[0.0], np.diff(self.values) / np.diff(self.knots), [0.0]])
        starts = np.array([self.values[0], *self.values])
        places = np.array([0.0, *self.knots])
        level = starts - slopes * places
        square = level**2 * mass + 2.0 * root * level * slopes * first + q * slopes**2 * second
        return float(square.sum()), float((slopes**2 * mass).sum())


def _bent(case: DepthCase) -> Bent:
    """Return an activation that grows away from 0 on both sides: its variance map rises."""
    rng = case.generator()
    sides = []
    for _ in range(2):
        count = 1 + int(rng.integers(1 + case.width % 3))
        places = np.sort(rng.choice(np.arange(1, 25), size=count, replace=False)) / 8.0
        heights = np.cumsum(rng.integers(0, 9, size=count)) / 8.0
        sides.append((places, heights))
    (left, down), (right, up) = sides
    # One side at least is not flat.
    up = up + 0.125
    knots = np.concatenate([-left[::-1], [0.0], right])
    return Bent(tuple(knots.tolist()), tuple(np.concatenate([-down[::-1], [0.0], up]).tolist()))


@law(
    "agreement/kinks",
    claim="C5",
    statement="the fixed point and chi that mean_field returns for a piecewise linear activation solve their "
    "equations in closed form, wherever its kinks are, and so does the edge of chaos of a hardtanh",
    source=f"{POOLE}, eqs. 3 to 5",
    draw=partial(depth_case, depths=(1, 1)),
    applies=needs("mean_field", "edge_of_chaos"),
    script="import numpy as np\nfrom math import erf, sqrt\n"
    "edge = f.edge_of_chaos(lambda x: np.clip(x, -1, 1), 0.05)\n"
    "print(edge.weight_variance * erf(1 / sqrt(2 * edge.q)), 1.0)",
    share=0.05,
)
def kinks(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Put q into closed forms.

    A q that solves its equation with averages that err by 1e-8 relatively leaves V(q)/q - 1 at that, and chi
    errs by that of its own average; on the edge both equations hold at once. 4e-8 leaves a factor for an
    estimate from two resolutions.
    """
    rng, slack = case.generator(), 4.0 * AVERAGE
    phi = _bent(case)
    sw2, sb2 = float(rng.integers(1, 13)) / 4.0, float(rng.integers(1, 17)) / 16.0
    read = partial(subject.number, "mean_field", phi, sw2, sb2)
    q, chi = read(read="q"), read(read="chi")
    square, slope = phi.moments(q) if 0.0 < q < math.inf else (math.nan, math.nan)
    text = f"with kinks at {phi.knots}"
    found = [
        compare_number(f"V(q)/q - 1 {text}", (sw2 * square + sb2) / (q or 1.0) - 1.0, 0.0, 0.0, slack),
        compare_number(
            f"chi - sigma_w^2 E phi'^2 {text}", chi - sw2 * slope, 0.0, 0.0, slack * max(1.0, chi)
        ),
    ]
    wide, high = (float(rng.integers(2, 17)) / 8.0 for _ in range(2))
    bias = wide**2 * float(rng.integers(1, 33)) / 32.0
    clipped = Bent((-wide, wide), (-high, high))
    read = partial(subject.number, "edge_of_chaos", clipped, bias)
    q, sw2 = read(read="q"), read(read="weight_variance")
    square, slope = clipped.moments(q) if 0.0 < q < math.inf else (math.nan, math.nan)
    text = f"of a hardtanh from {wide:g} to {high:g}, bias variance {bias:g}"
    found += [
        compare_number(f"chi - 1 on the edge {text}", sw2 * slope - 1.0, 0.0, 0.0, slack),
        compare_number(
            f"V(q)/q - 1 on the edge {text}", (sw2 * square + bias) / (q or 1.0) - 1.0, 0.0, 0.0, slack
        ),
    ]
    return Evidence(tuple(found))


@law(
    "agreement/homogeneity",
    claim="C5",
    statement="a callable a max(x, 0) - b max(-x, 0) has the mean field of any positively homogeneous "
    "activation: slope s = sigma_w^2 (a^2 + b^2)/2, q = sigma_b^2/(1 - s) below 1, 1 at s = 1 without bias, "
    'inf otherwise, chi = s; with a = 1, b = 0 that of "relu"',
    source=f"{POOLE}, eqs. 3 to 5; He et al. 2015, arXiv:1502.01852",
    draw=partial(depth_case, depths=(1, 1)),
    applies=needs("mean_field"),
    script="import numpy as np\nfor sw2 in (1.0, 2.0, 2.5):\n"
    "    print(f.mean_field(lambda x: np.maximum(x, 0), sw2, 0.0).q, f.mean_field('relu', sw2, 0.0).q)",
    share=0.2,
)
def homogeneity(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with the formula, at slopes that floats hold exactly, 1 among them.

    Averages of a callable err by 1e-8 relatively, which 1 - s >= 1/4 multiplies by at most 4; a name has a
    closed form and the roundings of it.
    """
    rng = case.generator()
    up, down = ((1.0, 0.0), (1.0, 1.0), (1.0, 0.5), (2.0, -1.0), (0.5, 0.25))[int(rng.integers(5))]
    moment = 0.5 * (up**2 + down**2)
    # Moments are dyadic: 0.5 and 1 divide exactly, others are taken at slopes that are not 1.
    exact = moment in (0.5, 1.0)
    slope = float(rng.choice((0.25, 0.5, 0.75, 1.0, 1.25, 2.0) if exact else (0.25, 0.5, 0.75, 1.25, 2.0)))
    sw2, sb2 = slope / moment, float(rng.integers(0, 5)) / 4.0
    still = slope == 1.0 and sb2 == 0.0
    q = sb2 / (1.0 - slope) if slope < 1.0 else (1.0 if still else math.inf)

    def bent(x: Any) -> Any:
        return up * np.maximum(x, 0.0) - down * np.maximum(-x, 0.0)

    given: list[tuple[str, Any, float]] = [(f"slopes {up:g} and {down:g}", bent, 4.0 * AVERAGE)]
    if (up, down) == (1.0, 0.0):
        given.append(("relu by name", "relu", 8.0 * UNIT))
    found: list[Comparison] = []
    for name, phi, relative in given:
        text = f"of {name} at slope {slope:g}, bias variance {sb2:g}"
        read = partial(subject.number, "mean_field", phi, sw2, sb2)
        found.append(
            compare_number(f"q {text}", read(read="q"), q, q, relative * (q if q < math.inf else 0.0))
        )
        found.append(compare_number(f"chi {text}", read(read="chi"), slope, slope, relative * slope))
    return Evidence(tuple(found))


def _gaussian(x: Any) -> Any:
    return np.exp(-np.square(x))


# Activations with E phi(sqrt(q) z)^2 and its derivative to q in closed form: two maps fall and two rise.
MAPS: tuple[tuple[Any, Callable[[float], float], Callable[[float], float]], ...] = (
    (_gaussian, lambda q: (1.0 + 4.0 * q) ** -0.5, lambda q: -2.0 * (1.0 + 4.0 * q) ** -1.5),
    (np.cos, lambda q: 0.5 * (1.0 + math.exp(-2.0 * q)), lambda q: -math.exp(-2.0 * q)),
    (np.sin, lambda q: -0.5 * math.expm1(-2.0 * q), lambda q: math.exp(-2.0 * q)),
    (
        "erf",
        lambda q: 2.0 / math.pi * math.asin(2.0 * q / (1.0 + 2.0 * q)),
        lambda q: 4.0 / math.pi / ((1.0 + 2.0 * q) * math.sqrt(1.0 + 4.0 * q)),
    ),
)


@law(
    "agreement/variance-depth",
    claim="C5",
    statement="the variance comes e times closer to its fixed point in -1/ln abs(dV/dq) layers, whether the "
    "variance map rises there or falls",
    source="Schoenholz et al. 2017, arXiv:1611.01232, eq. 9",
    draw=partial(depth_case, depths=(1, 1)),
    applies=needs("mean_field"),
    script="import numpy as np\nfield = f.mean_field(lambda x: np.exp(-x ** 2), 1.0, 0.0)\n"
    "print(field.variance_depth, -1 / np.log(2 * (1 + 4 * field.q) ** -1.5))",
    share=0.2,
)
def variance_depth(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Find the fixed point of the closed form by bisection and differentiate there.

    With averages off by 1e-8 q is off by at most 5 times that where abs(dV/dq) <= 0.8, dV/dq by 4 times as
    much relatively, and by up to 40 times 1e-8 where its quadrature cancels (dV/dq = 0.05): ln abs(dV/dq)
    by 64 in all.
    """
    from scipy.optimize import brentq

    rng = case.generator()
    phi, moment, slope_of = MAPS[case.width % len(MAPS)]
    q = slope = 0.0
    sw2 = sb2 = 1.0
    while not 0.05 <= abs(slope) <= 0.8:
        sw2, sb2 = float(rng.uniform(0.25, 1.5)), float(rng.uniform(0.1, 0.5))
        q = float(brentq(lambda x, w=sw2, b=sb2: w * moment(x) + b - x, sb2, sw2 + sb2, xtol=1e-15))
        slope = sw2 * slope_of(q)
    log = math.log(abs(slope))
    read = partial(subject.number, "mean_field", phi, sw2, sb2)
    text = f"at sigma_w^2 {sw2:.4g}, sigma_b^2 {sb2:.4g}, dV/dq {slope:.3g}"
    depth = read(read="variance_depth")
    rate = -1.0 / depth if depth != 0.0 else -math.inf
    found = (
        compare_number(f"q {text}", read(read="q"), q, q, 5.0 * AVERAGE * q),
        compare_number(f"-1 over the variance depth {text}", rate, log, log, 64.0 * AVERAGE),
    )
    return Evidence(found)


def _gelu(x: Any) -> Any:
    from scipy.special import ndtr

    return x * ndtr(x)


def _silu(x: Any) -> Any:
    return x / (1.0 + np.exp(-x))


def _mish(x: Any) -> Any:
    return x * np.tanh(np.logaddexp(0.0, x))


def _hardtanh(x: Any) -> Any:
    return np.clip(x, -1.0, 1.0)


def _softsign(x: Any) -> Any:
    return x / (1.0 + np.abs(x))


# Odd and bounded, with slope 1 at 0: at gain 1 the variance falls to 0. The others repel from 0 there.
RESTING = ("tanh", "erf", np.arctan, np.sin, _hardtanh, _softsign)
REPELLING = (_gelu, _silu, _mish)


def _layers(phi: Curve, weight_variance: float, layers: int) -> float:
    """Return ln q after so many layers from q = 1 without bias, by the trapezoidal rule on 4001 points."""
    z = np.linspace(-12.0, 12.0, 4001)
    weights = np.exp(-0.5 * z * z)
    weights /= weights.sum()
    q = 1.0
    for _ in range(layers):
        q = weight_variance * float(weights @ phi(math.sqrt(q) * z) ** 2)
        if not 0.0 < q < 1e100:
            break
    return math.log(q) if q > 0.0 else -math.inf


@law(
    "agreement/edge-that-attracts",
    claim="C5",
    statement="at the critical gain of an activation without bias the variance goes from 1 towards the fixed "
    "point of the edge and not beyond, through any number of layers; where no fixed point with chi = 1 "
    "attracts, the gain is refused",
    source=f"{POOLE}, figure 1; Roberts, Yaida and Hanin 2022, The Principles of Deep Learning Theory, 5.3",
    draw=partial(depth_case, depths=(1, 50)),
    applies=needs("critical_gain", "edge_of_chaos"),
    script="import numpy as np\nfrom scipy.special import ndtr\n"
    "g = f.critical_gain(300, lambda x: x * ndtr(x))\n"
    "z, q = np.random.default_rng(seed).standard_normal(10**5), 1.0\nfor _ in range(depth):\n"
    "    x = q ** 0.5 * z\n    q = g ** 2 * np.mean((x * ndtr(x)) ** 2)\nprint(q)",
    share=0.05,
)
def edge_that_attracts(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Iterate the variance map from 1, which rises for each of these activations: so q moves one way.

    The rule errs by at most 1e-5 a layer, from a kink between two of its points (their distance, 0.006,
    squared and divided by 8, with a factor); near a fixed point that attracts the map adds no more to that.
    """
    index = case.generator().integers(len(RESTING)), case.generator().integers(len(REPELLING))
    found = []
    for phi, may_refuse in ((RESTING[int(index[0])], False), (REPELLING[int(index[1])], True)):
        if may_refuse and subject.refuses("critical_gain", 300, phi):
            continue
        gain = subject.number("critical_gain", 300, phi)
        rest = 0.0
        if not (may_refuse and subject.refuses("edge_of_chaos", phi, 0.0)):
            rest = subject.number("edge_of_chaos", phi, 0.0, read="q")
        low = math.log(min(rest, 1.0)) if rest > 0.0 else -math.inf
        log = _layers(_curve(phi), gain**2, case.depth)
        name = phi if isinstance(phi, str) else phi.__name__.strip("_")
        text = f"ln of the variance of {name} after {case.depth} layers at gain {gain:.6g}"
        found.append(compare_number(text, log, low, math.log(max(rest, 1.0)), 1e-5 * case.depth))
    return Evidence(tuple(found))


def _curve(phi: Any) -> Curve:
    from scipy.special import erf

    named: dict[str, Curve] = {"tanh": np.tanh, "erf": erf}
    return named[phi] if isinstance(phi, str) else phi
