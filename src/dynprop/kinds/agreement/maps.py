r"""Exponents of maps and nets, latches, clipping and the cliff (claims C0, C2, C5 and C6).

Known exactly (Ott 2002, chapters 2 and 4): Hénon's map shrinks areas by 0.3 at every step; the cat map is
linear, its eigenvalues :math:`(3 \pm \sqrt 5)/2`; the logistic map at r = 4 is conjugate to the tent map, so
that its derivatives multiply to :math:`\pm 2^T \sqrt{x_T(1 - x_T)/(x_0(1 - x_0))}` after T steps.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_interval, compare_number, compare_pair
from dynprop.kinds.agreement.nets import linear_module, map_module
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Comparison, Evidence
from dynprop.laws.law import law

AREA = 0.3
# Units and steps of random nets, their number, and the error of the mean field there: with 200 units the
# finite size lowers the rate by 0.013, and a net has a standard deviation of 0.011 at most (observed, 40
# nets at gains 2.2 to 3): 0.05 is beyond six deviations of the mean of three.
UNITS, STEPS, NETS, SHIFT = 200, 200, 3, 0.05


def _kick(start: FloatArray, steps: int) -> Any:
    """Return inputs that set the state at the first step."""
    import torch

    inputs = torch.zeros(steps + 1, 1, len(start), dtype=torch.float64)
    inputs[0, 0] = torch.from_numpy(start)
    return inputs


def _exponents(subject: AgreementSubject, step: Any, start: FloatArray, steps: int) -> FloatArray:
    """Return the exponents of a map from a state on; the first step, which sets it, is skipped."""
    module = map_module(step, added=True)
    shape = (1, len(start))
    given = (module, _kick(start, steps))
    options = {"skip": 1}
    found = subject.numbers("lyapunov_spectrum", *given, shape=shape, read="exponents", options=options)
    return np.asarray(found[0])


@law(
    "agreement/exponents-of-maps",
    claim="C2",
    statement="the exponents of Hénon's map add up to ln 0.3, those of the cat map are its eigenvalues' "
    "logarithms, "
    "and that of the logistic map at r = 4 is ln 2 but for what its first and last state say exactly",
    source="Ott 2002, Chaos in Dynamical Systems, chapters 2 and 4",
    draw=partial(depth_case, depths=(5, 80), widths=(1, 1)),
    applies=needs("lyapunov_spectrum"),
    script="import torch\nfrom math import log\n\nclass Doubling(torch.nn.Module):\n"
    "    def forward(self, x, state=None):\n        held, seen = torch.zeros_like(x[0]) if state is None "
    "else state, []\n"
    "        for now in x:\n            held = 2 * held + now\n            seen.append(held)\n"
    "        return torch.stack(seen), held\n\n"
    "print(f.lyapunov_spectrum(Doubling(), torch.zeros(depth, 1, 1).double()).exponents, log(2))",
    share=0.1,
)
def exponents_of_maps(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare each over a finite number of steps.

    A determinant and a scalar product are as exact as their factors: 1e-9 is what `lyapunov_exponents`
        bounds by
    1e-8. The cat map's products are whole numbers.
    """
    import torch

    rng, steps = case.generator(), case.depth

    def henon(z: Any) -> Any:
        return torch.stack([1.0 - 1.4 * z[:, 0] ** 2 + z[:, 1], AREA * z[:, 0]], dim=1)

    def logistic(z: Any) -> Any:
        return 4.0 * z * (1.0 - z)

    cat = torch.tensor([[2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    # The map of 0 is (1, 0): the kick leads back to about 0, in the basin of the attractor.
    kick = 0.05 * rng.standard_normal(2) - np.array([1.0, 0.0])
    area = _exponents(subject, henon, kick, steps).sum()
    turns = min(steps, 100)
    linear = np.sort(_exponents(subject, lambda z: z @ cat.T, rng.standard_normal(2), turns))
    # W^T e_1 in whole numbers, its norm in floats.
    first, second = 1, 0
    for _ in range(turns):
        first, second = 2 * first + second, first + second
    golden = math.log(math.hypot(first, second)) / turns
    x0 = float(rng.uniform(0.1, 0.4))
    few = min(steps, 40)
    state = torch.tensor([[x0]], dtype=torch.float64)
    for _ in range(few):
        state = logistic(state)
    last = float(state[0, 0])
    # A rounding of x_t moves the last state by 2^(T-t) of itself: beyond 40 steps it is another trajectory.
    exact = math.log(2.0) + 0.5 * math.log(last * (1.0 - last) / (x0 * (1.0 - x0))) / few
    single = _exponents(subject, logistic, np.array([x0]), few)
    spread = (2.0**few * 4.0 * UNIT / max(math.sqrt(last * (1.0 - last)), 1e-12)) / few + 1e-9
    return Evidence(
        (
            compare_number("sum of Hénon's exponents", float(area), math.log(AREA), math.log(AREA), 1e-8),
            compare_interval(
                "cat map", linear, np.array([-golden, golden]), np.array([-golden, golden]),
                1e-8, axes=("exponent",),
            ),
            compare_interval("logistic map", single, exact, exact, spread, axes=("exponent",)),
        )
    )  # fmt: skip


@law(
    "agreement/exponents-of-a-linear-net",
    claim="C2",
    statement="the exponents of a linear recurrence add up to ln |det W|, and are those of the same "
    "matrix, given "
    "again and again",
    source="Benettin, Galgani, Giorgilli and Strelcyn 1980",
    draw=partial(depth_case, depths=(2, 60), widths=(1, 6)),
    applies=needs("lyapunov_spectrum", "lyapunov_exponents"),
    script="import numpy as np\nprint(f.lyapunov_exponents([2.0 * np.eye(width)] * depth).exponents, "
    "np.log(2))",
    share=0.1,
)
def exponents_of_a_linear_net(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare two functions; both promise 1e-8 per exponent for matrices of this condition."""
    import torch

    rng, n = case.generator(), case.width
    frames = np.linalg.qr(rng.standard_normal((2, n, n)))[0]
    w = frames[0] * np.exp(rng.uniform(-0.5, 0.5, n)) @ frames[1]
    inputs = torch.zeros(case.depth, 1, n, dtype=torch.float64)
    shape = (1, n)
    given = (linear_module(w), inputs)
    found = subject.numbers("lyapunov_spectrum", *given, shape=shape, read="exponents")[0]
    other = subject.numbers("lyapunov_exponents", [w] * case.depth, shape=(n,), read="exponents")
    expected = math.log(abs(float(np.linalg.det(w))))
    return Evidence(
        (
            compare_interval("exponents", found, other, other, 4e-8, axes=("exponent",)),
            compare_number("their sum", float(found.sum()), expected, expected, 4e-8 * n),
        )
    )


@law(
    "agreement/mean-field-of-nets",
    claim="C5",
    statement="the gradient of a wide tanh net with random weights of gain above 2, left to itself, "
    "grows at the rate "
    "that the mean field gives",
    source="Sompolinsky, Crisanti and Sommers 1988; Poole et al. 2016, eq. 5",
    draw=partial(depth_case, depths=(1, 1), widths=(1, 1)),
    applies=needs("gradient_by_lag", "mean_field"),
    script="print(f.mean_field('tanh', 4.0, 0.0).exponent)",
    share=0.02,
)
def mean_field_of_nets(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare the rate after a transient with half the logarithm of χ, within the finite-size shift."""
    import torch

    rng = case.generator()
    gain = float(rng.uniform(2.2, 3.0))
    inputs = torch.zeros(STEPS + 100, 1, 1, dtype=torch.float64)
    inputs[0] = 1.0
    options = {"norm": "frobenius", "most": STEPS}
    shape = (1, STEPS + 1)
    rates = []
    for _ in range(NETS):
        net = torch.nn.RNN(1, UNITS, bias=False, dtype=torch.float64)
        weights = gain * rng.standard_normal((UNITS, UNITS)) / math.sqrt(UNITS)
        with torch.no_grad():
            net.get_parameter("weight_hh_l0").copy_(torch.from_numpy(weights))
            net.get_parameter("weight_ih_l0").copy_(torch.from_numpy(rng.standard_normal((UNITS, 1))))
        given = (net, inputs)
        logs = subject.numbers("gradient_by_lag", *given, shape=shape, read="log_norms", options=options)[0]
        rates.append(float(logs[-1] - logs[STEPS // 4]) / (STEPS - STEPS // 4))
    expected = subject.number("mean_field", "tanh", gain * gain, 0.0, read="exponent")
    return Evidence((compare_number("mean rate per step", float(np.mean(rates)), expected, expected, SHIFT),))


@law(
    "agreement/latch-trade-off",
    claim="C6",
    statement="a tanh unit of weight w > 1 keeps its bit under inputs of up to the stated share of the "
    "critical "
    "input, and loses it under a larger one; there its gradient falls by the stated slope per step at "
    "least: the "
    "larger the one, the smaller the other; at w <= 1 there is no latch",
    source="Bengio, Simard and Frasconi 1994, sections III and IV",
    draw=partial(depth_case, depths=(5, 60), widths=(1, 1)),
    applies=needs("latch"),
    script="from math import tanh\nfound = f.latch(2.0)\nprint(found.attractor, tanh(2.0 * found.attractor))",
    share=0.3,
)
def latch_trade_off(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Simulate: inputs within the share for the latch, a constant one beyond the critical for the loss.

    Close to w = 1 the two fixed points merge and rounding decides; w is at least 1.03.
    """
    rng = case.generator()
    w, share = float(np.exp(rng.uniform(math.log(1.03), math.log(11.0)))), float(rng.uniform(0.0, 0.95))
    read = ("attractor", "slope", "critical_input")
    shapes = dict.fromkeys(read, ())
    free = {k: float(v) for k, v in subject.parts("latch", w, shapes=shapes).items()}
    held = {k: float(v) for k, v in subject.parts("latch", w, share, shapes=shapes).items()}
    steeper = {k: float(v) for k, v in subject.parts("latch", 1.1 * w, shapes=shapes).items()}
    none = {k: float(v) for k, v in subject.parts("latch", min(1.0, 0.9 * w), shapes=shapes).items()}
    # The residual of the fixed point moves it by 1/(1 - slope).
    near = 64.0 * UNIT / max(1.0 - free["slope"], 1e-6) if free["slope"] < 1.0 else 1.0
    critical = math.sqrt(w * (w - 1.0)) - math.acosh(math.sqrt(w))
    x, log_slope, lowest = held["attractor"], 0.0, math.inf
    for _ in range(case.depth):
        x = math.tanh(w * x + share * free["critical_input"] * float(rng.uniform(-1.0, 1.0)))
        lowest = min(lowest, x)
        log_slope += math.log(w) + math.log(max(1.0 - x * x, 1e-300))
    pushed = free["attractor"]
    for _ in range(20_000):
        pushed = math.tanh(w * pushed - 1.05 * free["critical_input"])
    bound = case.depth * math.log(held["slope"]) if held["slope"] > 0.0 else math.nan
    attractor, switch = free["attractor"], free["critical_input"]
    slope, withstood = w * (1.0 - attractor**2), steeper["critical_input"]
    residual = attractor - math.tanh(w * attractor)
    return Evidence(
        (
            compare_number("x* - tanh(w x*)", residual, 0.0, 0.0, 16 * UNIT),
            compare_number("x* is no unstable point", attractor, math.sqrt(1.0 - 1.0 / w), 1.0, near),
            compare_number("slope", free["slope"], slope, slope, 16.0 * w * UNIT),
            compare_number("critical input", switch, critical, critical, 64.0 * w * UNIT),
            compare_number("lowest state under inputs", lowest, held["attractor"], 1.0, 1e-9),
            compare_number("ln of the gradient", log_slope, -math.inf, bound, 1e-9 * case.depth),
            compare_number("state after too large an input", pushed, -1.0, 0.0, UNIT),
            compare_number("withstands more", withstood, switch, math.inf, UNIT),
            compare_number("passes less", steeper["slope"], 0.0, free["slope"], UNIT),
            compare_number("no latch: attractor", none["attractor"], 0.0, 0.0, UNIT),
            compare_number("no latch: critical input", none["critical_input"], 0.0, 0.0, UNIT),
        )
    )  # fmt: skip


@law(
    "agreement/clipping",
    claim="C0",
    statement="clipping by norm keeps the direction, gives a norm of at most the threshold, and leaves "
    "what is below "
    "it as it is; clipping by value keeps signs and gives entries of at most the threshold",
    source="Pascanu, Mikolov and Bengio 2013, algorithm 1; Goodfellow, Bengio and Courville 2016, "
    "section 10.11.1",
    draw=partial(depth_case, depths=(1, 5), widths=(1, 6)),
    applies=needs("clip_by_norm", "clip_by_value"),
    script="import numpy as np\nprint(f.clip_by_norm([np.array([3.0]), np.array([4.0])], 1.0), [0.6, 0.8])",
    share=0.5,
)
def clipping(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Take several arrays, at any scale whose squares may leave the floats."""
    rng = case.generator()
    scale = 10.0 ** float(rng.uniform(-200.0, 200.0))
    parts = [scale * rng.standard_normal((case.width, int(rng.integers(1, 4)))) for _ in range(case.depth)]
    flat = np.concatenate([part.ravel() / scale for part in parts])
    norm = float(np.linalg.norm(flat))
    share = float(rng.uniform(0.05, 0.95))
    comparisons: list[Comparison] = []

    def flattened(name: Any, threshold: float) -> FloatArray:
        found = subject.arrays(
            name, [part.copy() for part in parts], threshold, shapes=[p.shape for p in parts]
        )
        return np.concatenate([part.ravel() / scale for part in found])

    clipped = flattened("clip_by_norm", share * norm * scale)
    # A sum of squares of m numbers, a root, a quotient and a product.
    slack = 8.0 * (len(flat) + 8.0) * UNIT
    comparisons.append(compare_pair("clipped", clipped, share * flat, slack * np.abs(flat), axes=("entry",)))
    same = flattened("clip_by_norm", norm * scale / share)
    comparisons.append(compare_pair("below the threshold", same, flat, 0.0, axes=("entry",)))
    cut = share * float(np.abs(flat).max())
    by_value = flattened("clip_by_value", cut * scale)
    comparisons.append(
        compare_pair(
            "by value", by_value, np.clip(flat, -cut, cut), 4.0 * UNIT * np.abs(flat), axes=("entry",)
        )
    )
    return Evidence(tuple(comparisons))


@law(
    "agreement/cliff",
    claim="C0",
    statement="the loss of a logistic unit after 50 steps has a wall: its gradient is that of complex "
    "steps, on the "
    "wall as large as (w/4)^50 says and beside it next to nothing, so that a descent from the wall "
    "leaves the "
    "surface, and a clipped one does not",
    source="Pascanu, Mikolov and Bengio 2013, section 2.3 and figure 6",
    draw=partial(depth_case, depths=(50, 50), widths=(1, 1)),
    applies=needs("cliff", "clip_by_norm"),
    script="print(f.cliff(6.0, -3.0).by_bias, f.cliff(6.0, -2.9).by_bias)",
    share=0.2,
)
def cliff(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Evaluate at three places: on the wall, beside it, and where one step of descent from the wall leads.

    On the wall x_0 = 1/2 is a fixed point, where a rounding grows like the derivative: 8 T u of the
    derivative times the derivative itself stays below a thousandth up to w = 7.
    """
    rng, steps = case.generator(), case.depth
    w = float(rng.uniform(5.0, 6.5))
    places = np.array([[w, w], [-0.5 * w, -0.5 * w + float(rng.uniform(0.05, 0.3))]])
    names = ("loss", "by_weight", "by_bias")
    found = subject.parts("cliff", places[0], places[1], steps, shapes=dict.fromkeys(names, (2,)))
    exact = [_complex_cliff(w, b, steps) for b in places[1]]
    reference = np.array(exact).T
    # The state after T steps errs by u times its derivative, the derivative by that times its own.
    growth = np.array([(0.25 * w) ** steps, 1.0])
    slack = 64.0 * steps * UNIT * (1.0 + growth)
    comparisons = [
        compare_pair(
            name, found[name], reference[i], slack * np.maximum(np.abs(reference[i]), 1e-300), axes=("place",)
        )
        for i, name in enumerate(names)
    ]
    closed = 0.4 * 0.25 * ((0.25 * w) ** steps - 1.0) / (0.25 * w - 1.0)
    comparisons.append(
        compare_interval(
            "on the wall, by bias",
            np.abs(found["by_bias"][:1]) / closed,
            1.0,
            1.0,
            slack[:1],
            axes=("place",),
        )
    )
    gradient = np.array([found["by_weight"][0], found["by_bias"][0]])
    clipped = subject.arrays("clip_by_norm", [gradient], 1.0, shapes=[(2,)])[0]
    comparisons.append(
        compare_number(
            "a descent at rate 0.1, clipped", 0.1 * float(np.linalg.norm(clipped)), 0.1, 0.1, 1e-15
        )
    )
    comparisons.append(
        compare_number("a descent at rate 0.1", 0.1 * float(np.linalg.norm(gradient)), 10.0, math.inf, 1e-9)
    )
    return Evidence(tuple(comparisons))


def _complex_cliff(w: float, b: float, steps: int) -> tuple[float, float, float]:
    """Return loss and derivatives by complex steps."""
    h = 1e-30
    found = []
    for dw, db in ((h, 0.0), (0.0, h)):
        x = 0.5 + 0.0j
        for _ in range(steps):
            x = 1.0 / (1.0 + np.exp(-((w + 1j * dw) * x + (b + 1j * db))))
        loss = (x - 0.7) ** 2
        found.append((float(loss.real), float(loss.imag / h)))
    return found[0][0], found[0][1], found[1][1]
