r"""Norms through many layers: exact moments, walks of simulated nets, and shared beside fresh weights (C5).

A linear layer of n fresh Gaussian weights of variance :math:`g^2/n` multiplies the squared norm by
:math:`g^2\chi^2_n/n`, so after D layers the log norm has

.. math:: \text{mean } D\left(\ln g + \tfrac12(\psi(n/2) - \ln(n/2))\right), \qquad
          \text{variance } \tfrac D4\,\psi'(n/2).

A ReLU layer has :math:`\chi^2_\beta`, :math:`\beta\sim\mathrm{Bin}(n,\tfrac12)`, hence
:math:`\mathrm E\|x\|^4/(\mathrm E\|x\|^2)^2=\prod(1+5/n_l)`. With one shared matrix the steps are dependent,
and the spread of the log norm grows like D, not like its root.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_number
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.exact import working_precision
from dynprop.laws.law import law
from dynprop.laws.statistics import (
    STATEMENT,
    log_chi_square_tail,
    median_of_means,
    median_of_means_reach,
)

WALK = "Sussillo and Abbott 2014, arXiv:1412.6558, section 2"
NETS = 4000
# P22: one shared matrix of this width, after as many steps, has at least this multiple of the spread.
WIDTH, STEPS, RATIO = 50, 100, 2.5
PAIRS = 150
# Pairs of nets are counted that are further apart than this many deviations of a net of fresh weights.
FAR = 7.0


def _log_chi_square(n: int) -> tuple[float, float]:
    """Return mean and variance of log chi^2 of n degrees in 160 bits; psi'(x) is Hurwitz's zeta(2, x)."""
    from flint import arb

    with working_precision():
        half = arb(n) / 2
        return float(half.digamma() + arb(2).log()), float(arb(2).zeta(half))


def _square_ratio(n: int, activation: str) -> Fraction:
    """Return E X^2 / (E X)^2 of one layer's chi^2 variable X, summed over its degrees in fractions."""
    if activation == "linear":
        return Fraction(n * (n + 2), n * n)
    mass = [Fraction(math.comb(n, k), 2**n) for k in range(n + 1)]
    first = sum((p * k for k, p in enumerate(mass)), Fraction(0))
    second = sum((p * k * (k + 2) for k, p in enumerate(mass)), Fraction(0))
    return second / first**2


@law(
    "agreement/moments-of-layers",
    claim="C5",
    statement="through rectangular layers the log norm of linear ones has mean sum(ln g + (psi(n_l/2) + ln 2 "
    "- ln n_(l-1))/2) and variance sum psi'(n_l/2)/4, and E|x|^4/(E|x|^2)^2 is prod(1 + 2/n_l) for "
    "linear and prod(1 + 5/n_l) for ReLU layers, by the sum over a binomial "
    "number of degrees of chi-square variables",
    source=f"{WALK}; Hanin 2018, arXiv:1801.03744, theorem 1",
    draw=partial(depth_case, depths=(1, 40), widths=(1, 60)),
    applies=needs("layer_norm_law"),
    script="from math import log\nfrom scipy.special import psi, polygamma\n"
    "g = f.layer_norm_law([width] * (depth + 1), 1.0)\n"
    "print(g.log_mean, depth * (psi(width / 2) - log(width / 2)) / 2)\n"
    "print(g.log_variance, depth * polygamma(1, width / 2) / 4)\n"
    "print(f.layer_norm_law([width] * (depth + 1), 1.0, 'relu').square_ratio, (1 + 5 / width) ** depth)",
    share=0.5,
)
def moments_of_layers(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with sums in 160 bits and in fractions.

    A term of the mean errs by a few units of its digamma and logarithms, at most 4 + ln n each, and the sum
    of D of them D times that. Terms of the variance and factors of the ratio are positive: 1e-12 is
    relative, room for 10^4 roundings of u.
    """
    rng = case.generator()
    widths = [int(n) for n in rng.integers(1, case.width + 1, case.depth + 1)]
    gain = float(rng.integers(2, 33)) / 16.0
    read = partial(subject.number, "layer_norm_law", widths, gain)
    moments = [_log_chi_square(n) for n in widths[1:]]
    mean = math.fsum(m for m, _ in moments) - math.fsum(math.log(n) for n in widths[:-1])
    mean = case.depth * math.log(gain) + 0.5 * mean
    variance = 0.25 * math.fsum(v for _, v in moments)
    slack = 64.0 * UNIT * case.depth * (4.0 + math.log(case.width))
    value = read("linear", read="log_mean")
    found = [
        compare_number("E log norm, linear", value, mean, mean, slack),
        _ratio("Var log norm, linear", read("linear", read="log_variance"), variance),
    ]
    for activation in ("linear", "relu"):
        exact = math.prod((_square_ratio(n, activation) for n in widths[1:]), start=Fraction(1))
        value = read(activation, read="square_ratio")
        found.append(_ratio(f"E|x|^4/(E|x|^2)^2, {activation}", value, float(exact)))
    return Evidence(tuple(found))


def _ratio(label: str, value: float, expected: float) -> Comparison:
    return compare_number(f"{label}, over the exact value", value / expected, 1.0, 1.0, 1e-12)


@law(
    "agreement/norm-at-depth",
    claim="C5",
    statement="the log norm after D linear layers of n fresh Gaussian weights, forward and backward, has "
    "mean D (ln g + (psi(n/2) - ln(n/2))/2) and standard deviation sqrt(D psi'(n/2)/4); each of the four "
    "statements fails a right implementation with probability at most 2e-10",
    source=f"{WALK}; Chernoff's bound; Devroye, Lerasle, Lugosi and Oliveira 2016",
    draw=partial(depth_case, depths=(2, 40), widths=(1, 8)),
    applies=needs("norm_walks"),
    script="from math import log\nfrom scipy.special import psi, polygamma\n"
    "last = f.norm_walks(width, depth, 'linear', 0.9, 'fresh', 4000, seed).forward[:, -1]\n"
    "print(last.mean(), depth * (log(0.9) + (psi(width / 2) - log(width / 2)) / 2))\n"
    "print(last.std(), (depth * polygamma(1, width / 2) / 4) ** 0.5)",
    share=0.05,
)
def norm_at_depth(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Test mean and variance of the last log norm in many nets.

    The sum of 2 log norm - D ln(g^2/n) over nets is a sum of independent log chi^2_n: Chernoff's bound on
    its side is at least half the rate. The variance is a median of means of squares about the exact mean,
    whose kurtosis is 3 + psi'''(n/2)/(D psi'(n/2)^2), since cumulants of independent terms add.
    """
    from scipy.special import polygamma

    n, depth, gain = case.width, case.depth, 0.9
    mean, variance = _log_chi_square(n)
    centre = depth * (math.log(gain) + 0.5 * (mean - math.log(n)))
    spread = 0.25 * depth * variance
    kurtosis = 3.0 + float(polygamma(3, 0.5 * n)) / (depth * variance**2)
    reach = median_of_means_reach(NETS, kurtosis)
    least = math.log(0.5 * STATEMENT)
    found = []
    ends = [
        walk[:, column]
        for walk, column in zip(subject.norm_walks(n, depth, gain, NETS, case.seed), (-1, 0), strict=True)
    ]
    for direction, last in zip(("forward", "backward"), ends, strict=True):
        total = float((2.0 * last).sum()) - NETS * depth * (2.0 * math.log(gain) - math.log(n))
        tail = log_chi_square_tail(float(n), NETS * depth, total) if math.isfinite(total) else 0.0
        where = f"{direction}, {depth} layers of {n}"
        chance = math.log(tail) if tail > 0.0 else -math.inf
        text = f"log probability of a mean as far out as {float(last.mean()):.6g}, {where}"
        found.append(compare_number(text, chance, least, 0.0, 1e-9))
        ratio = median_of_means((last - centre) ** 2) / spread
        text = f"variance of the log norm over D psi'(n/2)/4, {where}"
        found.append(compare_number(text, ratio, 1.0 - reach, 1.0 + reach, 1e-9))
    return Evidence(tuple(found))


@law(
    "agreement/orthogonal-layers",
    claim="C5",
    statement="D orthogonal layers of N units keep the norm of a signal and of a gradient within 8 D N u",
    source="Saxe, McClelland and Ganguli 2014, arXiv:1312.6120",
    draw=partial(depth_case, depths=(1, 40), widths=(1, 24)),
    applies=needs("orthogonal"),
    script="import numpy as np\nrng, x = np.random.default_rng(seed), np.ones(width)\n"
    "for _ in range(depth):\n    x = x @ f.orthogonal((width, width), rng)\n"
    "print(np.linalg.norm(x), width ** 0.5)",
    share=0.3,
)
def orthogonal_layers(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Multiply through fresh layers and back.

    A product with a row of N terms errs by at most N u of its absolute terms, and the columns of a QR factor
    are orthonormal to a few N u: 8 N u a layer has room for both, and for the two norms.
    """
    n, rng = case.width, case.generator()
    draw = partial(subject.numbers, "orthogonal", (n, n), shape=(n, n))
    layers = [draw(rng) for _ in range(case.depth)]
    slack = 8.0 * case.depth * n * UNIT
    found = []
    for label, path in (("forward", layers), ("backward", [q.T for q in reversed(layers)])):
        start = x = rng.standard_normal(n)
        for q in path:
            x = x @ q
        ratio = float(np.linalg.norm(x) / np.linalg.norm(start))
        found.append(compare_number(f"norm ratio {label}", ratio, 1.0, 1.0, slack))
    return Evidence(tuple(found))


def _has_room(subject: AgreementSubject) -> str | None:
    missing = needs("norm_walks", "critical_gain", "layer_norm_law")(subject)
    if missing is None and subject.domain.max_length < STEPS:
        return f"the namespace promises {subject.domain.max_length} steps, and this law needs {STEPS}"
    return missing


def _log_tail(count: int, pairs: int, share: float) -> float:
    """Return ln of the probability of a count or fewer under a binomial distribution of this share."""
    ways = (math.comb(pairs, k) * share**k * (1.0 - share) ** (pairs - k) for k in range(count + 1))
    return math.log(math.fsum(ways))


@law(
    "agreement/recurrent-spread",
    claim="C5",
    statement="at the gain without drift the log norm after 100 steps of one shared matrix of 50 units has "
    "at least 2.5 times the spread that fresh weights have; a pair of nets is 7 of those deviations apart so "
    "often that the count fails a right implementation with probability at most 2e-10",
    source="Sussillo and Abbott 2014, arXiv:1412.6558, section 3, and its recurrent counterpart",
    draw=partial(depth_case, depths=(STEPS, STEPS), widths=(WIDTH, WIDTH)),
    applies=_has_room,
    script="g = f.critical_gain(width, 'linear')\n"
    "fresh = f.layer_norm_law([width] * (depth + 1), g).log_variance ** 0.5\n"
    "print(f.norm_walks(width, depth, 'linear', g, 'shared', 300, seed).forward[:, -1].std() / fresh)",
    share=0.01,
)
def recurrent_spread(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Count pairs of independent nets that are far apart, whatever the distribution.

    With s the spread of fresh weights, 2 sd^2 = E d^2 >= (7 s)^2 P(d > 7 s) for the distance d of a pair, so
    that P(d > 7 s) >= 2 (2.5/7)^2 = 0.255 implies sd >= 2.5 s. The probability is 0.35 (measured over 2000
    pairs; sd 5.3 s). A count whose binomial tail at 0.255 is below 2e-10 rejects it; pairs with fresh
    weights are that far apart once in a million.
    """
    if (case.depth, case.width) != (STEPS, WIDTH):
        raise ValueError("the statement is about 100 steps of 50 units")
    gain = subject.number("critical_gain", WIDTH, "linear")
    read = partial(subject.number, "layer_norm_law", [WIDTH] * (STEPS + 1), gain, "linear")
    spread = math.sqrt(read(read="log_variance"))
    walks = subject.norm_walks(WIDTH, STEPS, gain, 2 * PAIRS, case.seed, weights="shared")
    found = []
    for direction, last in zip(("forward", "backward"), (walks[0][:, -1], walks[1][:, 0]), strict=True):
        pairs: FloatArray = np.abs(np.diff(last.reshape(PAIRS, 2), axis=1))
        count = int((pairs > FAR * spread).sum())
        chance = _log_tail(count, PAIRS, 2.0 * (RATIO / FAR) ** 2)
        text = f"log probability of {count} or fewer of {PAIRS} pairs {FAR:g} deviations apart, {direction}"
        found.append(compare_number(text, chance, math.log(STATEMENT), 0.0, 1e-9))
    return Evidence(tuple(found))
