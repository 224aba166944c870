"""Transient growth against a norm of matrix_power at every step."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.linalg import matrix_power, norm

from dynprop.linear import growth
from tests.bench.conftest import Compare


def test_growth_over_a_thousand_steps(compare: Compare) -> None:
    n, horizon = 64, 1000
    W = np.random.default_rng(1).standard_normal((n, n)) / math.sqrt(n)
    found = growth(W, horizon)
    for t in (0, 1, 10, 100, 1000):
        assert abs(found.log_norms[t] - math.log(norm(matrix_power(W, t), 2))) <= 1e-6

    def reference() -> list[float]:
        # Every tenth step; the ceiling counts that.
        return [float(norm(matrix_power(W, t), 2)) for t in range(0, horizon + 1, 10)]

    compare(partial(growth, W, horizon), reference, ceiling=10.0 / 3.0)
