"""Products by lag: log scale at any length, sequences of any length, probes with an honest error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dynprop.gradients import ElmanStep, LstmStep, gradient_by_lag
from dynprop.gradients.lags.chain import Matrices, probed_norms, product_norms
from dynprop.linear import growth


def test_the_profile_of_a_linear_cell_is_the_growth_of_its_matrix() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((6, 6)) / 3.0
    cell = ElmanStep(np.ones((6, 1)), w, np.zeros(6), "linear")
    found = gradient_by_lag(cell, np.zeros((200, 1))).log_norms[0]
    # Both are good to rounding, t times n u (observed 2e-14).
    np.testing.assert_allclose(found, growth(w, 200).log_norms, rtol=0, atol=1e-12)


def test_nothing_underflows_or_overflows() -> None:
    """Factors of 1e-200 and 1e+200, whose products leave the floats within one block."""
    for size in (1e-200, 1e200):
        matrices = np.full((1, 3000, 2, 2), 0.0) + size * np.eye(2)
        for singular in (True, False):
            found = product_norms(Matrices(matrices), 3000, singular=singular)
            expected = np.arange(3001) * math.log(size)
            if found.spectral is not None:
                np.testing.assert_allclose(found.spectral[0], expected, rtol=1e-14)
            np.testing.assert_allclose(found.frobenius[0], expected + 0.5 * math.log(2.0), rtol=1e-14)
        probes = probed_norms(Matrices(matrices), 3000, 50, 0)
        away = probes.frobenius[0] - expected - 0.5 * math.log(2.0)
        assert np.abs(away[1:] / probes.error[0, 1:]).max() < 5.0


def test_an_exact_zero_is_minus_infinity() -> None:
    matrices = np.zeros((1, 5, 3, 3)) + np.eye(3, k=1)
    found = product_norms(Matrices(matrices), 5, singular=True)
    assert found.spectral is not None
    np.testing.assert_array_equal(found.spectral[0], [0.0, 0.0, 0.0, -np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(found.frobenius[0, 3:], -np.inf)


def test_singular_values_below_the_rounding_of_the_largest_are_not_given() -> None:
    matrices = np.zeros((1, 40, 2, 2)) + np.diag([1.0, 0.1])
    found = product_norms(Matrices(matrices), 40, singular=True)
    assert found.singular is not None
    small = found.singular[0, :, 1]
    np.testing.assert_allclose(small[:15], np.arange(15) * math.log(0.1), rtol=1e-12)
    assert np.isnan(small[17:]).all()


@pytest.mark.parametrize("size", [4, 90])
def test_blocks_and_groups_do_not_show(size: int) -> None:
    """Sizes at which sequences, or steps, are taken apart."""
    rng = np.random.default_rng(size)
    matrices = rng.standard_normal((40, 70, size, size)) / math.sqrt(size)
    chain = Matrices(matrices)
    chain.lengths = rng.integers(1, 71, size=40)
    found = product_norms(chain, 20, singular=False)
    for row in (0, 17, 39):
        product, last = np.eye(size), int(chain.lengths[row])
        for lag in range(1, min(20, last) + 1):
            product = product @ matrices[row, last - lag]
            assert found.frobenius[row, lag] == pytest.approx(math.log(np.linalg.norm(product)), abs=1e-11)
        assert np.isnan(found.frobenius[row, last + 1 :]).all()


def test_probes_state_an_error_that_they_keep() -> None:
    rng = np.random.default_rng(3)
    n = 8
    cell = LstmStep(rng.standard_normal((4 * n, 2)), 0.4 * rng.standard_normal((4 * n, n)), np.zeros(4 * n),
                    np.ones(4 * n))  # fmt: skip
    inputs = rng.standard_normal((60, 25, 2))
    exact = gradient_by_lag(cell, inputs, norm="frobenius")
    probed = gradient_by_lag(cell, inputs, probes=64)
    assert probed.probes == 64
    assert probed.norm == "frobenius"
    scores = (probed.log_frobenius - exact.log_frobenius)[:, 1:] / probed.log_errors[:, 1:]
    # Lags of one sequence share their probes, sequences do not: 60 independent scores at each lag.
    spread = np.sqrt((scores**2).mean(axis=0))
    assert spread.min() > 0.6
    assert spread.max() < 1.7
