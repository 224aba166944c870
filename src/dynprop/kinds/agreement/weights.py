r"""Products of one weight per step: enumeration, closed forms and distributions agree (claim C4).

:math:`\mathrm{Var}\prod w = (v+m^2)^n - m^{2n}` for fresh weights, exactly, and E log abs(prod) = n E log
abs(w): two numbers that no scaling brings to 1 and 0 together unless abs(w) is constant. With one shared
Gaussian weight the variance is :math:`[(2n-1)!! - 1_{n\,even}((n-1)!!)^2]\,v^n`.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_number, compare_pair
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import ProductCase
from dynprop.kinds.product.judging import exact_products
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.exact import working_precision
from dynprop.laws.gates import GATE_CLASSES
from dynprop.laws.law import law

BOOK = "Goodfellow, Bengio and Courville 2016, section 10.7"
# The error that quadratures of moments promise (dynprop.products).
QUADRATURE = 1e-9


def _one(label: str, value: float, expected: float, bound: float) -> Comparison:
    return compare_pair(label, np.array([value]), np.array([expected]), bound, axes=("number",))


def _atoms(case: DepthCase) -> tuple[list[float], list[float]]:
    """Return two to four atoms and their masses, eighths and sixteenths: floats that are exact."""
    rng = case.generator()
    count = 2 + case.width % 3
    atoms = rng.choice(np.arange(-16, 17), size=count, replace=False) / 8.0
    cuts = np.sort(rng.choice(np.arange(1, 16), size=count - 1, replace=False))
    masses = np.diff(np.concatenate([[0], cuts, [16]])) / 16.0
    if case.width % 2:
        # Mean 0, by reflection.
        atoms, masses = np.concatenate([atoms, -atoms]), np.concatenate([masses, masses]) / 2.0
        kept = np.unique(atoms)
        masses = np.array([masses[atoms == a].sum() for a in kept])
        atoms = kept
    return atoms.tolist(), masses.tolist()


@law(
    "agreement/variance-of-products",
    claim="C4",
    statement="the variance of a product of independent weights is that of all sequences, enumerated in "
    "fractions: exactly v^n for mean 0, and no constant beside it",
    source=f"{BOOK}, where it stands as O(v^n)",
    draw=partial(depth_case, depths=(1, 4)),
    applies=needs("product_law"),
    script="from scipy import stats\nimport numpy as np\n"
    "law = stats.rv_discrete(values=([-1, 2], [2 / 3, 1 / 3]))()\n"
    "print(f.product_law(law, depth).variance, 2.0 ** depth)",
    share=0.5,
)
def variance_of_products(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Enumerate every sequence of atoms.

    Floats of the variance and the mean of one weight are off by 8 u of E w^2, a sum of at most eight terms;
    the n-th power multiplies that by n.
    """
    from scipy import stats

    atoms, masses = _atoms(case)
    pairs = list(zip(map(Fraction, atoms), map(Fraction, masses), strict=True))
    mean, square = Fraction(0), Fraction(0)
    for sequence in itertools.product(pairs, repeat=case.depth):
        product, mass = Fraction(1), Fraction(1)
        for atom, share in sequence:
            product, mass = product * atom, mass * share
        mean, square = mean + mass * product, square + mass * product**2
    found = subject.number(
        "product_law", stats.rv_discrete(values=(atoms, masses))(), case.depth, read="variance"
    )
    bound = 32.0 * (case.depth + 2) * UNIT * float(square)
    return Evidence((_one("variance of the product", found, float(square - mean**2), bound),))


@law(
    "agreement/step-variance",
    claim="C4",
    statement="the n-th power of the variance per step is the target, at any depth and from 1e-100 to 1e100",
    source=f"{BOOK}: v = v*^(1/n)",
    draw=partial(depth_case, depths=(1, 10_000)),
    applies=needs("step_variance"),
    script="print(f.step_variance(1e-10, depth) ** depth, 1e-10)",
)
def step_variance(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare logarithms in 160 bits: half a unit in v is n half units in v^n."""
    from flint import arb

    target = float(10.0 ** case.generator().uniform(-100.0, 100.0))
    found = subject.number("step_variance", target, case.depth)
    with working_precision():
        gap = float(case.depth * arb(found).log() - arb(target).log()) if found > 0.0 else math.inf
    slack = 4.0 * (case.depth + abs(math.log(target))) * UNIT
    label = f"log of v^n over the target {target!r}"
    return Evidence((compare_number(label, gap, 0.0, 0.0, slack),))


@law(
    "agreement/shared-variance",
    claim="C5",
    statement="with one Gaussian weight shared by all steps the variance is (2n-1)!! - [n even] ((n-1)!!)^2 "
    "times v^n, at least twice that of fresh ones",
    source="moments of a Gaussian",
    draw=partial(depth_case, depths=(1, 20)),
    applies=needs("product_law", "shared_product_law"),
    script="from scipy import stats\nfrom math import prod\n"
    "odd, even = prod(range(1, 2 * depth, 2)), prod(range(1, depth, 2)) ** 2\n"
    "print(f.shared_product_law(stats.norm(), depth).variance, odd - (even if depth % 2 == 0 else 0))",
    share=0.5,
)
def shared_variance(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with whole numbers."""
    from scipy import stats

    n = case.depth
    root = float(case.generator().integers(4, 17)) / 8.0
    factor = math.prod(range(1, 2 * n, 2)) - (math.prod(range(1, n, 2)) ** 2 if n % 2 == 0 else 0)
    fresh = float(Fraction(root) ** (2 * n))
    normal = stats.norm(0.0, root)
    # Four roundings per step and factor, beside the one of the standard deviation.
    reach = 16.0 * (n + 2) * UNIT
    found = subject.number("shared_product_law", normal, n, read="variance")
    independent = subject.number("product_law", normal, n, read="variance")
    return Evidence(
        (
            _one("variance with one shared weight", found, factor * fresh, reach * factor * fresh),
            _one("variance with fresh weights", independent, fresh, reach * fresh),
        )
    )


@law(
    "agreement/typical-size",
    claim="C4",
    statement="log abs(product) of Gaussian weights has mean n (log s - (gamma + log 2)/2) and variance "
    "n pi^2/8, and the product kurtosis 3^n: variance 1 is not size 1",
    source="E log chi^2_1 = psi(1/2) + log 2; Jensen's inequality",
    draw=partial(depth_case, depths=(1, 600)),
    applies=needs("product_law"),
    script="from scipy import stats\nlaw = f.product_law(stats.norm(), depth)\n"
    "print(law.log_mean, -0.6351814227307391 * depth, law.log_variance, 1.2337005501361697 * depth)\n"
    "print(law.kurtosis, 3.0 ** depth)",
    share=0.5,
)
def typical_size(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with the closed forms, which a quadrature may miss by what it promises."""
    from scipy import stats

    n, scale = case.depth, float(10.0 ** case.generator().uniform(-3.0, 3.0))
    weight = stats.norm(0.0, scale)
    mean = math.log(scale) - 0.5 * (np.euler_gamma + math.log(2.0))
    read = partial(subject.number, "product_law", weight, n)
    spread = n * math.pi**2 / 8.0
    found = [
        _one("E log abs(product)", read(read="log_mean"), n * mean, n * QUADRATURE * (1.0 + abs(mean))),
        _one("Var log abs(product)", read(read="log_variance"), spread, spread * QUADRATURE),
    ]
    if n <= 400:
        found.append(_one("kurtosis", read(read="kurtosis"), 3.0**n, 3.0**n * n * 4.0 * QUADRATURE))
    return Evidence(tuple(found))


@law(
    "agreement/zero-drift",
    claim="C4",
    statement="scaled to the variance without drift, a product has E log abs = 0 at every depth, and that "
    "variance is 1 for constant abs(w) and above 1 for every other law",
    source="Jensen's inequality: E log abs(w) <= log(E w^2)/2",
    draw=partial(depth_case, depths=(1, 100)),
    applies=needs("zero_drift_variance", "product_law"),
    script="from scipy import stats\nv = f.zero_drift_variance(stats.norm())\n"
    "print(v, 3.56214483598, f.product_law(stats.norm(0, v ** 0.5), depth).log_mean)",
    share=0.3,
)
def zero_drift(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Scale a few laws and look at the drift of their products."""
    from scipy import stats

    found = []
    for name, shape in (("norm", stats.norm), ("uniform", stats.uniform), ("laplace", stats.laplace)):
        unit = shape(-0.5, 1.0) if name == "uniform" else shape()
        wanted = subject.number("zero_drift_variance", unit)
        scale = math.sqrt(wanted / float(unit.var()))
        weight = shape(-0.5 * scale, scale) if name == "uniform" else shape(0.0, scale)
        drift = subject.number("product_law", weight, case.depth, read="log_mean")
        slack = 4.0 * case.depth * QUADRATURE
        found.append(compare_number(f"drift of a product of {name} weights", drift, 0.0, 0.0, slack))
        label = f"variance without drift of {name} weights"
        low = compare_number(label, wanted, 1.0 + 1e-6, math.inf, QUADRATURE)
        found.append(low)
    fair = stats.rv_discrete(values=([-1, 1], [0.5, 0.5]))()
    one = subject.number("zero_drift_variance", fair)
    found.append(_one("variance without drift of a fair sign", one, 1.0, QUADRATURE))
    return Evidence(tuple(found))


def _gates(case: DepthCase) -> FloatArray:
    rng = case.generator()
    names = sorted(GATE_CLASSES)
    draw = GATE_CLASSES[names[int(rng.integers(len(names)))]]
    return np.asarray(draw(rng, (1, case.depth, case.width))[0])


@law(
    "agreement/running-product",
    claim="C4",
    statement="a scan with gates w, inputs 0 and initial state 1 is the running product, and so are sign and "
    "exponential of its logarithm, exact zeros and all",
    source=BOOK,
    draw=partial(depth_case, depths=(1, 200)),
    applies=needs("scan", "running_log_products"),
    script="import numpy as np\nw = np.random.default_rng(seed).standard_normal((depth, width))\n"
    "signs, logs = f.running_log_products(w)\nscan = f.scan(w[None], 0 * w[None], np.ones((1, width)))[0]\n"
    "print(scan - np.cumprod(w, axis=0), scan - signs * np.exp(logs))",
)
def running_product(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare scan and logarithms with the exact product, which a scan forms in some order."""
    weights = _gates(case)
    known: Any = ProductCase(weights, "float64")
    exact, bound = exact_products(known), bound_of(known, subject.domain)
    scanned = subject.scan(weights, np.zeros_like(weights), np.ones(case.width))
    signs, logs = subject.running_log_products(weights)
    with np.errstate(all="ignore"):
        value = signs * np.exp(logs)
        sums = np.cumsum(np.abs(np.log(np.abs(weights))), axis=0)
    # One ulp each for logarithm and exponential, and one rounding of each partial sum.
    steps = np.arange(1.0, case.depth + 1.0)[:, None]
    through = np.expm1(2.0 * UNIT * ((steps + 2.0) * np.nan_to_num(sums, posinf=0.0) + 2.0)) * bound.scale
    axes = ("time", "series")
    # The initial state and the inputs are a factor of 1 and a term of 0: nothing is rounded there.
    allowed = np.where(bound.in_range, bound.bound, np.inf)
    through = np.where(bound.in_range, np.where(bound.scale == 0.0, 0.0, through), np.inf)
    return Evidence(
        (
            compare_pair(
                "scan beside the exact product", scanned, exact.high, allowed + UNIT * bound.scale, axes=axes
            ),
            compare_pair("exponential beside it", value, exact.high, through + UNIT * bound.scale, axes=axes),
        )
    )


@law(
    "agreement/scale-of-weights",
    claim="C4",
    statement="the scale s of a weight adds n log s to E log abs(product), multiplies its variance by s^(2n) "
    "and changes neither Var log abs(product) nor the kurtosis, from s = 1e-300 to 1e300",
    source="log abs(s w) = log s + log abs(w)",
    draw=partial(depth_case, depths=(1, 12)),
    applies=needs("product_law"),
    script="import numpy as np\nfrom scipy import stats\nfor s in (1.0, 1e-200, 1e200):\n"
    "    law = f.product_law(stats.norm(0, s), depth)\n"
    "    print(law.log_mean - depth * np.log(s), law.log_variance, law.kurtosis)",
    share=0.2,
)
def scale_of_weights(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare a law at one scale with that law at scale 1.

    Each answer errs by what a quadrature promises, relatively; a kurtosis is an n-th power, and n times that.
    The logarithm of a variance that is no float is not compared.
    """
    from scipy import stats

    n, rng = case.depth, case.generator()
    decades = float(rng.uniform(-300.0, 300.0))
    scale = float(10.0**decades)
    family = (stats.norm, stats.laplace, stats.uniform)[int(rng.integers(3))]
    left = -0.5 if family is stats.uniform else 0.0
    wide, one = family(loc=left * scale, scale=scale), family(loc=left, scale=1.0)
    found = []
    shifts = {"log_mean": n * math.log(scale), "log_variance": 0.0}
    for name, shift in shifts.items():
        here, there = (subject.number("product_law", w, n, read=name) for w in (wide, one))
        slack = 4.0 * n * QUADRATURE * (1.0 + abs(math.log(scale)))
        text = f"{name} at scale {scale:.3g} less that at 1"
        found.append(compare_number(text, here - there, shift, shift, slack))
    powers = {"kurtosis": 0.0, "variance": 2.0 * n * math.log(scale)}
    for name, shift in powers.items():
        here, there = (subject.number("product_law", w, n, read=name) for w in (wide, one))
        if abs(shift) < 600.0:
            ratio = math.log(here / there) if here > 0.0 and there > 0.0 else math.nan
            text = f"log of {name} at scale {scale:.3g} over that at 1"
            found.append(compare_number(text, ratio, shift, shift, 8.0 * n * QUADRATURE))
    return Evidence(tuple(found))


def _shifted(case: DepthCase) -> tuple[Any, float | None]:
    """Return a one-sided law at a place of its own, and E log abs(w) where that has a closed form.

    For X exponential, E log abs(X - a) is log a - e^-a Ei(a) for a > 0, and log(-a) + e^-a E_1(-a) for a < 0:
    integrate by parts.
    """
    from scipy import special, stats

    rng = case.generator()
    a = float(rng.integers(1, 25)) / 8.0
    if case.width % 3 == 0:
        return stats.expon(loc=-a), math.log(a) - math.exp(-a) * float(special.expi(a))
    if case.width % 3 == 1:
        return stats.expon(loc=a), math.log(a) + math.exp(a) * float(special.exp1(a))
    families = (
        stats.halfnorm,
        partial(stats.lomax, 9.0),
        partial(stats.weibull_min, 1.5),
        partial(stats.foldnorm, 1.0),
        partial(stats.gamma, 2.0),
        partial(stats.pareto, 9.0),
        partial(stats.truncnorm, -1.0, 2.0),
        partial(stats.genpareto, 0.1),
    )
    return families[int(rng.integers(len(families)))](loc=-a), None


def _log_moment(weight: Any) -> float:
    """Return E log abs(w), by adaptive quadrature of the density on both sides of 0."""
    from scipy.integrate import quad

    low, high = weight.support()
    far = [float(weight.ppf(1.0 - 10.0**-k)) for k in (1, 4, 9)]
    ends = sorted({float(low), *(x for x in (-1.0, 0.0, 1.0, *far) if low < x < high), float(high)})
    pieces = [
        quad(lambda x: float(weight.pdf(x)) * math.log(abs(x)), a, b, epsabs=1e-11, epsrel=1e-11, limit=200)[
            0
        ]
        for a, b in itertools.pairwise(ends)
    ]
    return math.fsum(pieces)


@law(
    "agreement/shifted-weights",
    claim="C4",
    statement="a one-sided weight at any place has the product of mean m^n, variance (v + m^2)^n - m^(2n) "
    "and E log abs of n E log abs(w), which for a shifted exponential is an exponential integral",
    source="Abramowitz and Stegun 1964, 5.1",
    draw=partial(depth_case, depths=(1, 6)),
    applies=needs("product_law"),
    script="from scipy import special, stats\nimport numpy as np\n"
    "law = f.product_law(stats.expon(-1), depth)\n"
    "print(law.variance, 1.0, law.log_mean, -depth * special.expi(1) / np.e)",
    share=0.2,
)
def shifted_weights(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Take mean and variance of one weight from scipy, its log moment in closed form or by quadrature.

    Two quadratures promise 1e-9 each.
    """
    weight, log = _shifted(case)
    n, (mean, variance) = case.depth, (float(x) for x in weight.stats("mv"))
    exact = (Fraction(variance) + Fraction(mean) ** 2) ** n - Fraction(mean) ** (2 * n)
    size = float((Fraction(variance) + Fraction(mean) ** 2) ** n)
    log = _log_moment(weight) if log is None else log
    text = f"of {weight.dist.name} at {weight.kwds['loc']:g}"
    read = partial(subject.number, "product_law", weight, n)
    slack = 2.0 * n * QUADRATURE * (1.0 + abs(log))
    return Evidence(
        (
            _one(f"variance {text}", read(read="variance"), float(exact), 2.0 * n * QUADRATURE * size),
            compare_number(f"E log abs(product) {text}", read(read="log_mean"), n * log, n * log, slack),
        )
    )
