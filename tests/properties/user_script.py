"""A user's script: public functions of every room, with the types that type checkers see from outside.

`make lint` checks this file with mypy --strict against the installed package, without the project's settings:
what a user gets who has a py.typed and no other information. The tests run it.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from dynprop import ArgumentError, PrecisionError, linear, products
from dynprop.check import Report, Scan, check
from dynprop.linear import Growth, Modes, Spectrum, Stability
from dynprop.products import MeanField, ProductLaw
from dynprop.training import Sweep, proportion_interval

Floats = NDArray[np.float64]


def powers(W: Floats, h0: Floats) -> float:
    """Powers of one matrix: states, spectrum, growth, modes, verdicts."""
    found = linear.spectrum(W)
    assert_type(found, Spectrum)
    assert_type(found.defective, bool | None)
    assert_type(linear.modes(W, h0), Modes)
    growth = linear.growth(W, 20)
    assert_type(growth, Growth)
    assert_type(growth.peak_step, int)
    assert_type(linear.is_stable(W), Stability)
    lower, upper = linear.certified_radius(W)
    assert_type(lower, float)
    assert_type(linear.discard_ratio(W, h0, 10), float)
    assert_type(linear.unroll(W, h0, 3), np.ndarray[Any, np.dtype[np.float64]])
    assert_type(linear.unroll(torch.from_numpy(W), torch.from_numpy(h0), 3), torch.Tensor)
    state = linear.closed_form(W, h0, 10).state
    return found.radius + upper + growth.peak + float(abs(state).max())


def weights(rng: np.random.Generator) -> float:
    """Products of random weights: distributions, gains, mean field, initial weights."""
    law = products.product_law(stats.norm(), 10)
    assert_type(law, ProductLaw)
    assert_type(law.log_mean, float)
    field = products.mean_field("tanh", 1.5, 0.1)
    assert_type(field, MeanField)
    assert_type(field.variance_depth, float)
    products.mean_field(lambda x: np.exp(-x * x), 1.0, 0.1)
    products.mean_field(torch.nn.GELU(), 1.0, 0.1)
    assert_type(products.critical_gain(50, "relu"), float)
    signs, logs = products.running_log_products(rng.standard_normal((20, 3)))
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())
    factors = products.calibrate_(net, torch.randn(8, 4))
    assert_type(factors["0"], float)
    start = products.orthogonal((4, 4), rng)
    return law.variance + field.q + float(signs[-1, 0]) + float(logs[-1, 0]) + float(start[0, 0])


def scanned(gates: Floats, inputs: Floats, initial: Floats | None) -> Floats:
    """A scan to be judged."""
    states, state = np.empty_like(inputs), np.zeros_like(inputs[:, 0]) if initial is None else initial
    for t in range(inputs.shape[1]):
        states[:, t] = state = gates[:, t] * state + inputs[:, t]
    return states


def judged() -> Report:
    """The verdict on a scan."""
    return check(Scan(scanned, framework="numpy"), examples=2, laws=["forward"])


def refused() -> str:
    """Bad input raises one of the typed errors."""
    try:
        linear.spectrum(np.ones((2, 3)))
    except (ArgumentError, PrecisionError) as error:
        return str(error)
    return ""


def main() -> list[str]:
    """Call everything above."""
    W = np.array([[0.5, 1.0], [0.0, 0.4]])
    low, high = proportion_interval(3, 10)
    assert_type(low, float)
    sweep = Sweep("adding-tcn", (10, 20))
    sums = (powers(W, np.ones(2)), weights(np.random.default_rng(0)), high - low)
    return [*(f"{value:.4f}" for value in sums), sweep.task, judged().verdict, refused()]


if __name__ == "__main__":
    print("\n".join(main()))
