"""The statistics of the tests, tested: false alarms stay below the stated rate, discrepancies are found."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from tests.properties.products.budget import ALPHA, dkw_distance, log_chi_square_tail, min_num_samples_dkw


def test_the_budget_of_a_run_is_one_false_alarm_in_a_million() -> None:
    assert 200 * 2 * ALPHA <= 1e-6


def test_dkw_raises_no_more_false_alarms_than_stated() -> None:
    """5000 null runs at 1e-2: a true rate of 1e-2 gives more than 90 alarms with probability below 1e-6."""
    rng = np.random.default_rng(0)
    runs, size = 5000, 200
    assert stats.binom(runs, 1e-2).sf(90) < 1e-6
    sample = np.sort(rng.random((runs, size)), axis=1)
    steps = np.arange(size + 1) / size
    distance = np.maximum((steps[1:] - sample).max(axis=1), (sample - steps[:-1]).max(axis=1))
    assert 1 <= np.sum(distance > dkw_distance(size, 1e-2)) <= 90


def test_a_named_discrepancy_is_found_at_the_stated_size() -> None:
    """Uniform samples moved by 0.1, 200 runs: a miss rate of 1e-2 gives more than 15 at 1e-8."""
    size = min_num_samples_dkw(0.1, 1e-2)
    sample = np.sort(np.random.default_rng(1).random((200, size)), axis=1) + 0.1
    below = np.arange(1, size + 1) / size
    distance = np.abs(below - np.minimum(sample, 1.0)).max(axis=1)
    assert np.sum(distance <= dkw_distance(size, 1e-2)) <= 15


def test_chernoff_bounds_the_tail_of_log_chi_square_sums() -> None:
    """Both tails of a sum of 20, and one term exactly: the bound is above, and not idle."""
    rng = np.random.default_rng(2)
    for degrees in (1, 3, 40):
        single = math.log(stats.chi2(degrees).isf(1e-3))
        assert 1e-3 <= log_chi_square_tail(degrees, 1, single) <= 0.05
        sums = np.log(rng.chisquare(degrees, (20_000, 20))).sum(axis=1)
        for quantile in (0.01, 0.99):
            bound = log_chi_square_tail(degrees, 20, float(np.quantile(sums, quantile)))
            assert 0.008 <= bound <= 0.2
