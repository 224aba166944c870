"""Each law of kind closed-form fails a closed form with its defect, and passes or lets refuse a right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.check.run.outcome import judge_case
from dynprop.check.run.runner import Options
from dynprop.errors import PrecisionError
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.closed_form.controls import power_loop, power_numpy, power_squaring
from dynprop.kinds.power.closed_form.modes import exact_modes
from dynprop.kinds.power.closed_form.target import ClosedForm
from tests.properties.kinds.kinds import judged, planted

LAWS = [law.id for law in laws_for("closed-form")]
EXACT = "closed-form/exact-or-refused"


@pytest.mark.parametrize(
    ("fault", "hypothesis"),
    [
        ("untransposed", "untransposed: W h in place of W^T h"),
        ("conjugated", "conjugated: W^H in place of W^T"),
        ("imaginary-part-dropped", "real part only"),
        ("textbook-order", "Q^T L^t Q in place of Q L^t Q^T"),
        ("eigenvectors-not-inverted", "V L^t V^T in place of V^-T L^t V^T"),
        ("eigenvectors-conjugated", "V^H in place of V^T"),
        ("unguarded-eigen", "eigenvectors of an ill-conditioned W are trusted"),
        ("modulus-of-eigenvalues", "absolute values of the eigenvalues only"),
        ("off-by-one-beyond-30", "one step too few"),
    ],
)
def test_a_mistake_is_named(fault: str, hypothesis: str) -> None:
    law = law_by_id(EXACT)
    result = judged(law, planted(f"closed-form/{fault}"), Options(examples=20, patience=0.0))
    assert result.hypothesis is not None
    assert result.hypothesis.startswith(hypothesis)


# The textbook's slip


def test_norms_and_spectra_cannot_tell_the_textbook_s_order_and_this_law_can() -> None:
    rng = np.random.default_rng(3)
    q, values = np.linalg.qr(rng.standard_normal((5, 5)))[0], rng.uniform(-1.0, 1.0, 5)
    right, printed = (q * values**7) @ q.T, (q.T * values**7) @ q
    assert np.allclose(np.linalg.svd(right)[1], np.linalg.svd(printed)[1])
    assert np.allclose(np.trace(right), np.trace(printed))
    assert np.linalg.norm(right - printed) > 0.1
    assert judged("closed-form/symmetric", planted("closed-form/textbook-order")).verdict == "wrong"


# Refusals


def refusing(error: BaseException) -> ClosedForm:
    def closed(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        raise error

    return ClosedForm(closed)


JORDAN = np.array([[0.5, 1.0], [0.0, 0.5]])
TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def case_of(w: NumericArray, t: int = 5, **changes: Any) -> PowerCase:
    ones = np.ones(len(w), dtype=w.dtype)
    return replace(PowerCase(w, ones, t, "float64", "", "judged"), **changes)


def outcome(subject: ClosedForm, case: PowerCase) -> str:
    return judge_case(law_by_id(EXACT), subject, case).verdict


@pytest.mark.parametrize(
    "error", [ValueError("no"), ArithmeticError("no"), PrecisionError("no"), np.linalg.LinAlgError("no")]
)
def test_an_ill_conditioned_matrix_may_be_refused_and_a_well_conditioned_one_may_not(
    error: Exception,
) -> None:
    assert outcome(refusing(error), case_of(JORDAN)) == "refused"
    assert outcome(refusing(error), case_of(TURN)) == "error"


@pytest.mark.parametrize("error", [RuntimeError("no"), TypeError("no"), IndexError("no"), SystemExit(2)])
def test_any_other_error_is_no_refusal(error: BaseException) -> None:
    assert outcome(refusing(error), case_of(JORDAN)) == "error"


def test_few_digits_may_be_refused_however_well_conditioned_the_matrix() -> None:
    assert outcome(refusing(ValueError("no")), case_of(TURN, dtype="float32")) == "refused"
    # h_t is 2^-40 of h_0 in a direction that eigenvectors cannot see well.
    vanishing = np.array([[1.0, 0.0], [0.0, 2.0**-40]])
    assert outcome(refusing(ValueError("no")), case_of(vanishing, t=1, h=np.array([0.0, 1.0]))) == "refused"


def test_a_target_that_always_refuses_is_an_error_and_not_a_pass() -> None:
    assert judged(EXACT, refusing(ValueError("no"))).verdict == "error"
    late = judged("closed-form/large-times", refusing(ValueError("no")))
    assert (late.verdict, late.decided) == ("error", 0)


@pytest.mark.parametrize("t", [300, 1000, 2048, 5000, 20000])
def test_a_well_conditioned_matrix_may_be_refused_at_no_time(t: int) -> None:
    """Beyond 4,096 steps by an upper bound of the error that needs no powers."""
    assert outcome(refusing(ValueError("no")), case_of(TURN, t)) == "error"
    assert outcome(refusing(ValueError("no")), case_of(JORDAN, t)) == "refused"


# What is decided


@pytest.mark.parametrize("target", [power_loop, power_numpy, power_squaring])
def test_powers_of_isometries_are_decided_at_large_t(target: Callable[..., Any]) -> None:
    angle = 1.0
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for t in (100, 2047):
        assert outcome(ClosedForm(target), case_of(turn, t)) == "pass"

    def forgets(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
        return np.asarray(target(W, h0, t) * (1.0 + 1e-9))

    assert outcome(ClosedForm(forgets), case_of(turn, 2047)) in ("wrong", "inaccurate")


def test_a_cancelling_power_is_undecidable_and_accuses_nobody() -> None:
    # W^2 = 0 by cancellation: 3 * 0.1 is rounded, and every digit of the second step is noise.
    w = 0.1 * np.array([[3.0, -9.0], [1.0, -3.0]])
    for target in (power_loop, power_numpy, power_squaring, lambda W, h0, t: 0.0 * h0):
        assert outcome(ClosedForm(target), case_of(w, 9)) == "undecidable"


def test_an_overflow_is_undecidable_and_an_underflow_is_zero() -> None:
    assert outcome(ClosedForm(power_numpy), case_of(2.0 * TURN, 1100)) == "undecidable"
    below = case_of(0.5 * TURN, 1100)
    for small in (0.0, 5e-324, -(2.0**-1022)):
        assert outcome(ClosedForm(lambda W, h0, t, small=small: small * h0), below) == "pass"
    assert outcome(ClosedForm(lambda W, h0, t: 1e-200 * h0), below) == "wrong"


def test_answers_by_norm_pass_at_a_millionth_and_no_further() -> None:
    def off_by(relative: float) -> ClosedForm:
        def closed(W: NumericArray, h0: NumericArray, t: int) -> NumericArray:
            return power_numpy(W, h0, t) * (1.0 + relative)

        return ClosedForm(closed)

    # Nearly defective: eigenvectors are good for few digits, and the cap of a millionth is what counts.
    w = np.array([[0.5, 1.0], [1e-12, 0.5]])
    assert outcome(off_by(0.9e-6), case_of(w)) == "pass"
    assert outcome(off_by(1.2e-6), case_of(w)) == "inaccurate"
    # Well-conditioned: the eigen bound is far below a millionth.
    assert outcome(off_by(0.9e-6), case_of(TURN)) == "inaccurate"


# Exact eigenvectors


@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize("family", ["exact eigenvectors", "tied for the largest", "equal moduli"])
def test_the_matrices_of_the_laws_about_modes_are_exact(n: int, family: str) -> None:
    for seed in range(20):
        q, values, coefficients = exact_modes(seed, n, family)
        assert np.array_equal(q @ q.T, np.eye(n))
        w = (q * values) @ q.T
        assert np.array_equal(w.astype(np.float32), w)
        assert np.array_equal(q.T @ w @ q, np.diag(values))
        assert np.abs(values[0]) == np.abs(values).max()
        assert coefficients.all()


def test_reflectors_are_not_all_symmetric() -> None:
    assert any(not np.array_equal(q, q.T) for q in (exact_modes(seed, 8, "")[0] for seed in range(10)))
