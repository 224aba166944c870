r"""The gradient of a network at initialisation by lag, and its signal-to-noise ratio (claims C0 and C6).

:math:`\partial h(T)/\partial h(T-k)` is a product of k Jacobians. Of a linear diagonal cell it is
:math:`\Lambda^k`, with norm :math:`\rho^k` exactly; of a tanh net it is a product of
:math:`W\,\mathrm{diag}(1-h^2)`, which with an orthogonal W never grows.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.kinds.agreement.depths import DepthCase, depth_case
from dynprop.kinds.agreement.judging import UNIT, compare_interval, compare_number, compare_pair
from dynprop.kinds.agreement.subject import AgreementSubject, needs
from dynprop.laws.evidence import Evidence
from dynprop.laws.law import law
from dynprop.training import Setting

__all__ = ["PASCANU", "norms_of_products"]

PASCANU = "Pascanu, Mikolov and Bengio 2013, eq. 5"
RADIUS = 0.9
MODELS = 3


def _norm(matrix: FloatArray) -> float:
    return float(np.linalg.norm(matrix, 2))


def norms_of_products(jacobians: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return ln of the norm of each product from the last factor back, and its condition number.

    The condition number is sum_j ||P_<j|| ||J_j|| ||P_>j|| / ||P||, P_<j and P_>j the products of the factors
    before and after J_j.
    """
    unit = np.eye(len(jacobians[0]))
    logs, growth = [0.0], [0.0]
    factors = jacobians[::-1]
    before = [unit]
    for k, factor in enumerate(factors, start=1):
        behind, total = unit, 0.0
        for j in range(k - 1, -1, -1):
            total += _norm(before[j]) * _norm(factors[j]) * _norm(behind)
            behind = factors[j] @ behind
        before.append(before[-1] @ factor)
        logs.append(math.log(_norm(before[-1])))
        growth.append(total / _norm(before[-1]))
    return np.array(logs), np.array(growth)


@law(
    "agreement/jacobian-products",
    claim="C6",
    statement="the gradient of the last state of a tanh net at lag k is the product of k Jacobians "
    "diag(1 - h^2) W^T at the states that it visits: the logarithm of its 2-norm, at every lag",
    source=PASCANU,
    draw=partial(depth_case, depths=(1, 40), widths=(1, 6)),
    applies=needs("cell_gradient_by_lag"),
    script="import numpy as np, torch\nfrom dynprop.gradients import cell_named\n"
    "W, x = 0.5 * np.eye(2), np.zeros((depth, 1, 2))\nparameters = {'recurrent': torch.tensor(W)[None],\n"
    "    'inputs': torch.eye(2).double()[None], 'bias': torch.zeros(1, 2).double()}\n"
    "print(f.cell_gradient_by_lag(cell_named('tanh'), parameters, torch.tensor(x)), np.log(0.5))",
    share=0.3,
)
def jacobian_products(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Form the product in numpy.

    A factor errs by what n products round and by the rounding of a state, which moves 1 - h^2 by u/(1 - h^2)
    of itself; 16 covers the sums that lead to a state. Weights of gain at most 1: trajectories stay together.
    """
    rng, n = case.generator(), case.width
    weights = rng.uniform(0.1, 1.0) * rng.standard_normal((n, n)) / math.sqrt(n)
    drive = 0.5 * rng.standard_normal((case.depth, n))
    state, jacobians, steepest = np.zeros(n), [], 1.0
    for now in drive:
        state = np.tanh(now + state @ weights)
        slope = 1.0 - state * state
        jacobians.append(slope[:, None] * weights.T)
        steepest = max(steepest, float((1.0 / slope).max()))
    expected, growth = norms_of_products(jacobians)
    parameters = {"inputs": np.eye(n)[None], "recurrent": weights[None], "bias": np.zeros((1, n))}
    found = subject.cell_gradient_by_lag("tanh", parameters, drive[:, None, :])[0]
    slack = 16.0 * (n + case.depth) * steepest * UNIT * (1.0 + growth)
    return Evidence(
        (compare_interval("ln of the norm at each lag", found, expected, expected, slack, axes=("lag",)),)
    )


@law(
    "agreement/gradient-at-start",
    claim="C0",
    statement="freshly drawn nets have the gradients that their rule says: k ln r for a diagonal linear net "
    "on the ring of radius r, never above 0 and never rising for orthogonal tanh nets, none without weights",
    source=f"{PASCANU} to 7; Orvieto et al. 2023, section 3",
    draw=partial(depth_case, depths=(2, 60), widths=(1, 6)),
    applies=needs("initial_gradient_by_lag"),
    script="from dynprop.training import Setting\nfrom math import log\n"
    "ring = Setting('latch', depth, cell='lru', init='ring=0.9', hidden=width)\n"
    "print(f.initial_gradient_by_lag(ring, [seed])[0, -1], depth * log(0.9))",
    share=0.1,
)
def gradient_at_start(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare with what is known; radii are exponentials of exponentials, each step rounds a product."""
    rng, steps = case.generator(), case.depth
    seeds = [int(x) for x in rng.permutation(1000)[:MODELS]]
    shape = (MODELS, steps + 1)
    lags = np.arange(steps + 1.0)
    axes = ("model", "lag")

    def read(cell: str, init: str) -> FloatArray:
        setting = Setting("latch", steps, cell=cell, init=init, hidden=case.width)
        return subject.numbers("initial_gradient_by_lag", setting, seeds, shape=shape)

    ring = np.broadcast_to(lags * math.log(RADIUS), shape)
    slack = 64.0 * (lags + 1.0) * (case.width + 1.0) * UNIT
    orthogonal = read("tanh", "orthogonal")
    # Saturated units shrink the norm; rounding of a factor of norm 1 may raise it by a few units.
    falls = np.diff(orthogonal, axis=1)
    nothing = read("tanh", "small=0")
    return Evidence(
        (
            compare_interval("ring", read("lru", f"ring={RADIUS}"), ring, ring, slack, axes=axes),
            compare_interval("orthogonal", orthogonal, -math.inf, 0.0, slack, axes=axes),
            compare_interval("orthogonal, from lag to lag", falls, -math.inf, 0.0, slack[1:], axes=axes),
            compare_pair("no weights, lag 0", nothing[:, :1], np.zeros((MODELS, 1)), 0.0, axes=axes),
            compare_number("no weights, beyond", float(np.exp(nothing[:, 1:]).max()), 0.0, 0.0, 1e-300),
        )
    )


@law(
    "agreement/signal-by-lag",
    claim="C6",
    statement="a net without a path from its inputs to its answers shows no signal in the gradient, though a "
    "bias learns the mean answer; with a path the signal shows, and at a longer lag after more updates",
    source="Bengio, Simard and Frasconi 1994, section IV; Goodfellow, Bengio and Courville 2016, 10.7",
    draw=partial(depth_case, depths=(2, 6), widths=(4, 10)),
    applies=needs("signal_to_noise"),
    script="from dynprop.training import Setting\n"
    "for setting in (Setting('adding-urnn', 4, init='small=0'), Setting('latch', 2), Setting('latch', 6)):\n"
    "    print(setting, f.signal_to_noise(setting, 3, 256).updates)",
    share=0.02,
)
def signal_by_lag(subject: AgreementSubject, case: DepthCase) -> Evidence:
    """Compare tasks without a signal, with a fast and with a slow one.

    A false signal needs two of three models beyond three standard errors, 1e-5 in normal tails. With torch's
    default weights the numbers of updates at lags 2 and 6 differ by a factor of more than ten (0.3 and 50
    seen with 8 units).
    """
    rng = case.generator()

    def updates(task: str, length: int, init: str) -> float:
        # The rate does not enter a gradient; it selects other random numbers.
        rate = 0.1 + 1e-6 * float(rng.integers(10**6))
        setting = Setting(task, length, init=init, hidden=case.width, rate=rate)
        return subject.number("signal_to_noise", setting, MODELS, 256, read="updates")

    none = updates("adding-urnn", case.depth, "small=0")
    fast, slow = (updates("latch", length, "default") for length in (2, 6))
    return Evidence(
        (
            compare_number("1 over the updates without a path", 1.0 / max(none, 1e-300), 0.0, 0.0, UNIT),
            compare_number("updates at length 2", fast, 0.0, 50.0, UNIT),
            compare_number("updates at length 6", slow, fast, math.inf, UNIT),
        )
    )
