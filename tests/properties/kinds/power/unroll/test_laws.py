"""Each law of kind unroll fails an unroll with the defect it is about, and passes one that is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.check.run.runner import Options
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.power.unroll.controls import unroll_doubling, unroll_loop
from dynprop.kinds.power.unroll.target import Unroll
from tests.properties.kinds.kinds import judged, planted, thinned

LAWS = [law.id for law in laws_for("unroll")]


@pytest.mark.parametrize(
    ("fault", "hypothesis"),
    [
        ("untransposed", "untransposed: W h in place of W^T h"),
        ("conjugated", "conjugated: W^H in place of W^T"),
        ("real-part-only", "real part only"),
        ("states-shifted", "off by one step: one time early"),
    ],
)
def test_a_mistake_is_named(fault: str, hypothesis: str) -> None:
    law = thinned(law_by_id("unroll/exact-states"), 5)
    result = judged(law, planted(f"unroll/{fault}"), Options(examples=20, patience=0.0))
    assert result.hypothesis is not None
    assert result.hypothesis.startswith(hypothesis)


def test_an_unroll_by_eigenvectors_has_too_few_digits_and_is_not_called_another_function() -> None:
    def by_eigenvectors(W: NumericArray, h0: NumericArray, steps: int) -> NumericArray:
        if not np.array_equal(W, W.conj().T):
            return unroll_loop(W, h0, steps)
        values, q = np.linalg.eigh(W)
        powers = values[None] ** np.arange(steps + 1)[:, None] * (q.T @ h0)
        powers[0] = q.T @ h0
        states = powers @ q.conj().T
        states[0] = h0
        return np.asarray(states, dtype=h0.dtype)

    result = judged("unroll/exact-states", Unroll(by_eigenvectors))
    assert (result.verdict, result.wrong) == ("inaccurate", 0)


def test_no_steps_may_be_refused_and_any_other_number_may_not() -> None:
    def refuses(*lengths: int) -> Unroll:
        def unroll(W: NumericArray, h0: NumericArray, steps: int) -> NumericArray:
            if steps in lengths:
                raise ValueError("a step, please")
            return unroll_loop(W, h0, steps)

        return Unroll(unroll)

    result = judged("unroll/lengths", refuses(0))
    assert result.verdict == "pass"
    assert result.refused > 0
    assert judged("unroll/lengths", refuses(5)).verdict == "error"


def test_an_arithmetic_of_its_own_excuses_from_bits_and_from_nothing_else() -> None:
    def rescaled(W: NumericArray, h0: NumericArray, steps: int) -> NumericArray:
        """Keeps a unit vector and its length: sound, and no product of matrices."""
        wide = unroll_loop(W.astype(np.complex128 if np.iscomplexobj(W) else float), h0 / 3.0, steps)
        states = wide * 3.0
        states[0] = h0
        return np.asarray(states, dtype=h0.dtype)

    plain, declared = Unroll(rescaled), Unroll(rescaled, arithmetic="log")
    assert judged("unroll/exact-on-integers", plain).verdict == "inaccurate"
    for law in ("unroll/exact-on-integers", "unroll/diagonal-similarity"):
        assert judged(law, declared).verdict == "not-applicable"
    assert judged("unroll/lengths", Unroll(planted("unroll/untransposed").target, arithmetic="log")).failed


def test_nothing_outside_the_domain_is_tested() -> None:
    def strict(W: NumericArray, h0: NumericArray, steps: int) -> NumericArray:
        if steps > 20 or h0.real.dtype != np.float32:
            raise RuntimeError("outside the domain")
        return unroll_doubling(W, h0, steps)

    for law in LAWS:
        result = judged(law, Unroll(strict, dtypes=("float32",), max_length=20), Options(examples=10))
        assert result.verdict in ("pass", "not-applicable"), (law, result.counterexample)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda W, h0: h0, "raised TypeError"),
        (lambda W, h0, steps: None, "returned NoneType None"),
        (lambda W, h0, steps: (h0, h0), "returned a tuple"),
    ],
)
def test_a_target_that_does_not_fit_its_kind_is_refused_in_one_line(target: Any, text: str) -> None:
    with pytest.raises(TargetError) as caught:
        Unroll(target).preflight()
    assert text in str(caught.value)
    assert "kind unroll takes f(W, h0, steps) -> states (steps + 1, n)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_must_be_callable() -> None:
    with pytest.raises(ArgumentError, match="target: got int 3, expected a function"):
        Unroll(3)  # type: ignore[arg-type]  # the mistake that is tested
