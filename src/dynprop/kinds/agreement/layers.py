r"""Random matrices over many layers: gains, exponents and the edge of chaos agree (claim C5).

At the gain without drift the first Lyapunov exponent is 0 and the expected log norm stays; the sum of all
exponents is the mean of log abs(det); on the edge of chaos :math:`\chi = 1`, below it gradients vanish, above
it they explode.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_number
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Evidence
from dynprop.laws.exact import working_precision
from dynprop.laws.law import law
from dynprop.laws.statistics import dkw_distance, empirical_distance

WALK = "Sussillo and Abbott 2014, arXiv:1412.6558, section 2"
NETS = 2000


@law(
    "agreement/gain-without-drift",
    claim="C5",
    statement="at the critical gain of a width the log norm has no drift through any number of linear or "
    "ReLU layers, and the first Lyapunov exponent of Gaussian matrices is 0: exactly, at every width",
    source=f"{WALK}; Newman 1986, Commun. Math. Phys. 103:121",
    draw=partial(depth_case, depths=(1, 60), widths=(1, 80)),
    applies=needs("critical_gain", "layer_norm_law", "gaussian_exponents"),
    script="for phi in ('linear', 'relu'):\n    g = f.critical_gain(width, phi)\n"
    "    print(g, f.layer_norm_law([width] * (depth + 1), g, phi).log_mean)\n"
    "g = f.critical_gain(width, 'linear')\nprint(f.gaussian_exponents(width, g ** 2 / width)[0])",
    share=0.5,
)
def gain_without_drift(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with 0, within a few units of the logarithms that cancel."""
    n, found = case.width, []
    # digamma, logarithm and exponential to a few units each; ReLU sums n of them.
    unit = 64.0 * UNIT * (4.0 + math.log(n))
    for activation in ("linear", "relu"):
        gain = subject.number("critical_gain", n, activation)
        drift = subject.number("layer_norm_law", [n] * (case.depth + 1), gain, activation, read="log_mean")
        slack = case.depth * unit * (n if activation == "relu" else 1)
        label = f"drift of the log norm, {activation}, width {n}, {case.depth} layers"
        found.append(compare_number(label, drift, 0.0, 0.0, slack))
        if activation == "linear":
            first = float(subject.numbers("gaussian_exponents", n, gain**2 / n, shape=(n,))[0])
            found.append(compare_number("first exponent at that gain", first, 0.0, 0.0, unit))
    return Evidence(tuple(found))


def _matrices(case: DepthCase) -> FloatArray:
    return case.generator().standard_normal((case.depth, case.width, case.width))


@law(
    "agreement/sum-of-exponents",
    claim="C5",
    statement="the sum of the Lyapunov exponents of a sequence is the mean of log abs(det), within the "
    "bounds that are stated, and reversing and transposing the sequence keeps it",
    source="volume of the frame; Benettin et al. 1980, Meccanica 15:9",
    draw=partial(depth_case, depths=(1, 60)),
    applies=needs("lyapunov_exponents"),
    script="import numpy as np\n"
    "A = np.random.default_rng(seed).standard_normal((depth, width, width))\n"
    "print(f.lyapunov_exponents(A).exponents.sum(), np.linalg.slogdet(A)[1].mean())",
    share=0.5,
)
def sum_of_exponents(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with determinants in exact arithmetic."""
    from flint import arb, arb_mat

    matrices = _matrices(case)
    with working_precision(200):
        total = sum((abs(arb_mat(m.tolist()).det()).log() for m in matrices), arb(0))
        mean = float(total) / case.depth
    read = partial(subject.numbers, "lyapunov_exponents", shape=(case.width,))
    bounds = float(read(list(matrices), read="bounds").sum())
    found = []
    for label, sequence in (("as given", matrices), ("back", matrices[::-1].swapaxes(1, 2))):
        value = float(read(list(sequence), read="exponents").sum())
        slack = 4.0 * bounds + 64.0 * case.width * UNIT * (1.0 + abs(mean))
        text = f"sum of exponents less the mean of log abs(det), {label}"
        found.append(compare_number(text, value - mean, 0.0, 0.0, slack))
    return Evidence(tuple(found))


@law(
    "agreement/edge-of-chaos",
    claim="C5",
    statement="on the edge chi is 1; with weights of less variance gradients vanish, with more they explode",
    source="Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232",
    draw=partial(depth_case, depths=(1, 100)),
    applies=needs("edge_of_chaos", "mean_field"),
    script="for phi in ('tanh', 'erf'):\n    edge = f.edge_of_chaos(phi, 0.05).weight_variance\n"
    "    print(edge, [f.mean_field(phi, c * edge, 0.05).exponent for c in (0.95, 1.0, 1.05)])",
    share=0.3,
)
def edge_of_chaos(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare the exponent with 0 on the edge, and check its sign 5 % away on either side.

    On the edge both functions stop at a relative 1e-15 of q, where chi changes by d log chi / d log q, at
    most 1. The bound 1e-8 is the accuracy that is stated for an edge at small q.
    """
    found = []
    bias = 10.0 ** case.generator().uniform(-3.0, 0.0)
    for activation in ("tanh", "erf"):
        edge = subject.number("edge_of_chaos", activation, bias, read="weight_variance")
        for label, share, low, high in (
            ("on the edge", 1.0, 0.0, 0.0),
            ("below the edge", 0.95, -math.inf, 0.0),
            ("above the edge", 1.05, 0.0, math.inf),
        ):
            value = subject.number("mean_field", activation, share * edge, bias, read="exponent")
            text = f"exponent {label} of {activation}, bias variance {bias:.4g}"
            found.append(compare_number(text, value, low, high, 1e-8))
    return Evidence(tuple(found))


@law(
    "agreement/norm-of-layers",
    claim="C5",
    statement="every linear layer of n fresh Gaussian weights multiplies the square of the norm by g^2/n "
    "times a chi-square variable of n degrees, forward and backward",
    source=f"{WALK}; Massart 1990",
    draw=partial(depth_case, depths=(1, 4), widths=(1, 12)),
    applies=needs("norm_walks"),
    script="import numpy as np\n"
    "walks = f.norm_walks(width, depth, 'linear', 0.9, 'fresh', 2000, seed)\n"
    "last = walks.forward[:, -1] - walks.forward[:, -2]\n"
    "print((width * np.exp(2 * last) / 0.81).mean(), 'for a chi-square law of mean', width)",
    share=0.1,
)
def norm_of_layers(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare the last layer's factor in many nets with the exact law."""
    from scipy.special import gammainc

    n, gain = case.width, 0.9
    walks = subject.norm_walks(n, case.depth, gain, NETS, case.seed)
    found = []
    for direction, logs in zip(("forward", "backward"), walks, strict=True):
        last = logs[:, -1] - logs[:, -2] if direction == "forward" else logs[:, 0] - logs[:, 1]
        degrees = n * np.exp(2.0 * last) / gain**2
        distance = empirical_distance(degrees, lambda x: np.asarray(gammainc(0.5 * n, 0.5 * x)))
        label = f"distance from chi-square of {n} degrees, {direction}"
        found.append(compare_number(label, distance, 0.0, 0.0, dkw_distance(NETS)))
    return Evidence(tuple(found))
