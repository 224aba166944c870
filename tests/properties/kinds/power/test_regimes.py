"""Integers, integers of numpy as t, and larger sizes: cases, exact references, and what may be refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.check.run.outcome import judge_case
from dynprop.check.run.runner import Options
from dynprop.contracts.domain import Domain
from dynprop.kinds import law_by_id
from dynprop.kinds.power.bounds import MOST_NORMS, eigen_bound
from dynprop.kinds.power.bounds import _late_eigen_bound as late_eigen_bound
from dynprop.kinds.power.cases import LARGEST, PowerCase, build_case, power_case
from dynprop.kinds.power.closed_form.batch import draw_groups
from dynprop.kinds.power.closed_form.controls import power_numpy, power_of_python_integers
from dynprop.kinds.power.closed_form.target import ClosedForm
from dynprop.kinds.power.integers import INTEGER_CLASSES, every_integer_class, exact_states, integer_case
from dynprop.kinds.power.unroll.target import Unroll
from dynprop.laws.draw import RandomSource
from tests.properties.kinds.kinds import assert_caught, catalogue, judged, planted

INTEGERS = {"closed-form": "closed-form/integers", "unroll": "unroll/integers"}


@pytest.mark.parametrize(
    "name",
    [
        "closed-form/refuses-late-times",
        "closed-form/blocks-of-eight",
        "closed-form/numpy-time-by-eigenvectors",
        "closed-form/integers-wrap",
        "closed-form/integers-rounded",
        "unroll/tile-of-eight",
        "unroll/numpy-steps-one-too-few",
        "unroll/integers-wrap",
        "unroll/integers-in-single",
    ],
)
def test_a_fault_of_one_regime_is_caught_by_its_law(name: str) -> None:
    caught_by: Any = getattr(catalogue()[name], "caught_by")  # noqa: B009  (of a fault)
    ((law, verdict),) = caught_by.items()
    result = judged(f"{name.partition('/')[0]}/{law}", planted(name), Options(examples=8, patience=0.0))
    assert_caught(result, verdict)


def test_sizes_reach_sixteen_and_most_are_small() -> None:
    source = RandomSource(0)
    sizes = [power_case(source, Domain(max_length=2)).n for _ in range(300)]
    assert max(sizes) == LARGEST == 16
    assert np.mean(np.array(sizes) > 8) < 0.2
    grouped = {g.W.shape[1] for g in draw_groups(np.random.default_rng(1), Domain(), 600)}
    assert grouped >= set(range(1, 17))


# Integers


def test_integer_cases_reach_the_edge_are_exact_in_float64_and_survive_json() -> None:
    source, subject = RandomSource(3), ClosedForm(power_numpy)
    drawn = [integer_case(source, Domain(), subject) for _ in range(60)]
    cases = [*every_integer_class(Domain(), subject), *drawn]
    assert {case.family for case in cases} == set(INTEGER_CLASSES)
    assert {case.refusable() for case in cases} == {True, False}
    sizes = [abs(int(v)) for case in cases for v in exact_states(case).ravel()]
    assert max(size for size in sizes if size < 2**63) > 2**60
    assert max(sizes) > 2**1024
    for case in cases:
        assert np.array_equal(case.W.astype(np.float64).astype(np.int64), case.W)
        again = PowerCase.from_json(case.to_json())
        assert again.W.dtype == again.h.dtype == np.int64
        for smaller in itertools.islice(case.smaller(), 8):
            assert smaller.W.dtype == np.int64


def test_powers_of_integers_may_be_refused_only_where_they_do_not_fit() -> None:
    def refuses(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        raise OverflowError("no")

    shear, double = np.array([[1, 1], [0, 1]]), np.array([[2, 0], [0, 2]])
    law = law_by_id("closed-form/integers")
    subject = ClosedForm(refuses, dtypes=("int64",))
    for w, t, verdict in ((shear, 1000, "error"), (double, 30, "error"), (double, 62, "refused")):
        case = PowerCase(w, np.array([1, 1]), t, "int64", "", "integers")
        assert judge_case(law, subject, case).verdict == verdict
        right = ClosedForm(power_of_python_integers, dtypes=("int64",))
        assert judge_case(law, right, case).verdict == "pass"
    wraps = ClosedForm(power_numpy, dtypes=("int64",))
    outcome = judge_case(law, wraps, PowerCase(3 * shear, np.array([1, 1]), 45, "int64", "", "integers"))
    assert outcome.verdict == "wrong"
    assert outcome.explanation is not None
    assert "wrapped around at 2^63" in outcome.explanation.text


def test_floats_for_integers_stay_within_their_bound() -> None:
    def off(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        return power_numpy(W.astype(float), h0.astype(float), t) * (1.0 + 1e-5)

    assert judged("closed-form/integers", ClosedForm(off, dtypes=("int64",))).failed


@pytest.mark.parametrize("adapter", [ClosedForm, Unroll])
def test_integers_are_declared_and_judged_alone(adapter: Any) -> None:
    subject = adapter(power_numpy if adapter is ClosedForm else planted("unroll/integers-wrap").target)
    alone = adapter(subject.target, dtypes=("int64",))
    alone.preflight()
    assert judged(INTEGERS[subject.kind], subject).verdict == "not-applicable"
    shape = judged(f"{subject.kind}/shape-and-dtype", alone)
    assert (shape.verdict, shape.note) == ("not-applicable", "integers alone are declared (--dtypes)")


# Integers of numpy as t


@pytest.mark.parametrize("error", [TypeError, ValueError, AttributeError])
def test_an_integer_of_numpy_may_be_refused_and_gives_no_other_answer(error: type[Exception]) -> None:
    def strict(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        if not isinstance(t, int):
            raise error("a Python integer, please")
        return power_numpy(W, h0, t)

    assert judged("closed-form/numpy-times", ClosedForm(strict)).verdict == "refused"
    assert judged("closed-form/numpy-times", ClosedForm(power_numpy)).verdict == "pass"


# Late times


@pytest.mark.parametrize("family", ["orthogonal", "diagonalisable", "symmetric", "nonnegative"])
def test_the_bound_of_late_times_is_above_that_of_all_powers(family: str) -> None:
    for seed, t in itertools.product(range(4), (1, 5, 40)):
        case = build_case(np.random.default_rng(seed), 4, t, family, "float64")
        v = np.linalg.eig(case.W)[1]
        kappa = 1.0 if family in ("orthogonal", "symmetric") else float(np.linalg.cond(v))
        known = eigen_bound(case.W, case.h, t, "float64")
        assert known <= late_eigen_bound(case.W, case.h, t, "float64", kappa) * (1.0 + 1e-9)
    assert MOST_NORMS < 5000
