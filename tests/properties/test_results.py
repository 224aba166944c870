"""Results are equal by contents, pickled and copied without loss, unhashable where they hold arrays."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from flint import acb_mat, arb, arb_mat, ctx

from dynprop import linear
from dynprop.arrays import FloatArray
from dynprop.results import Result, contents, same, short

W = np.array([[0.5, 1.0], [0.25, -0.5]])
H = np.array([1.0, 2.0])
MAKERS: dict[str, Callable[[Any], Any]] = {
    "ClosedForm": lambda A: linear.closed_form(A, H, 5),
    "ClosedForm of times": lambda A: linear.closed_form(A, H, [1, 5]),
    "CertifiedPower": lambda A: linear.certified_power(A, 10**6 + 1),
    "complex CertifiedPower": lambda A: linear.certified_power(A * 1j, 10**6 + 1),
    "eigenvalues": linear.certified_eigenvalues,
    "CertifiedGrowth": lambda A: linear.certified_growth(A, 7),
    "Spectrum": linear.spectrum,
    "Growth": lambda A: linear.growth(A, 8),
    "GrowthBounds": lambda A: linear.growth(A, 8).bounds,
    "Modes": lambda A: linear.modes(A, H),
}


@pytest.mark.parametrize("name", MAKERS)
def test_equal_contents_are_equal_and_others_are_not(name: str) -> None:
    make = MAKERS[name]
    one, other = make(W), make(2.0 * W)
    assert one == make(W.copy())
    assert one != other
    assert one != "a result"
    assert one in [other, one]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_clone_is_equal_and_works(name: str, clone: Callable[[Any], Any]) -> None:
    one = MAKERS[name](W)
    two = clone(one)
    assert type(two) is type(one)
    assert two == one
    assert repr(two) == repr(one)


@pytest.mark.parametrize("name", MAKERS)
def test_a_result_with_arrays_is_unhashable_and_says_so(name: str) -> None:
    found = MAKERS[name](W)
    if name in ("eigenvalues", "CertifiedGrowth"):
        assert hash(found) == hash(MAKERS[name](W))
        return
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)
    assert "unhashable" in str(type(found).__doc__)


@pytest.mark.parametrize("name", MAKERS)
def test_a_repr_is_short_and_not_empty(name: str) -> None:
    text = repr(MAKERS[name](W))
    assert "()" not in text
    assert "\n" not in text
    assert 30 < len(text) < 600


def test_the_repr_of_a_growth_contains_what_it_proves() -> None:
    text = repr(linear.growth(np.array([[0.5, 4.0], [0.0, 0.5]]), 20))
    assert text.startswith("Growth(horizon=20, peak=4.06")
    assert "peak_step=1, decay_step=6" in text


def test_a_result_of_one_bit_less_is_another() -> None:
    found = linear.closed_form(W, H, 5)
    value = found.value.copy()
    value[0] = np.nextafter(value[0], 2.0)
    assert found != replace(found, value=value)
    assert found != replace(found, value=found.value.astype(np.float32))
    power = linear.certified_power(W, 5)
    assert power != linear.certified_power(W, 5, 65)


@pytest.mark.parametrize("seed", range(3))
def test_a_ball_survives_pickling_with_every_bit_of_its_radius(seed: int) -> None:
    rng, before = np.random.default_rng(seed), ctx.prec
    balls = [arb(0), arb(3), arb(0, 1), arb(1, 2.0**-40)]
    try:
        for bits in (20, 64, 500):
            ctx.prec = bits
            for mantissa in rng.integers(1, 2**60, 40).tolist():
                x = (
                    (arb((mantissa, int(rng.integers(-3000, 3000)))) / 3).exp()
                    if bits == 1
                    else arb(mantissa)
                )
                x = x / 7 * arb((1, int(rng.integers(-3000, 3000))))
                balls += [x, x * x - x, -x.sqrt()]
    finally:
        ctx.prec = before
    held = _Held(arb_mat(1, len(balls), balls), acb_mat(1, len(balls), balls[::-1]), balls[5])
    back = pickle.loads(pickle.dumps(held))
    for name in ("real", "complex_", "single"):
        assert contents(getattr(back, name)) == contents(getattr(held, name))
    assert back == held


@dataclass(frozen=True, eq=False, repr=False)
class _Held(Result):
    real: arb_mat
    complex_: acb_mat
    single: arb


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), True),
        (float("nan"), float("nan"), True),
        (np.float64(2.0), 2.0, True),
        (1, 1.0, False),
        (np.zeros(2), np.zeros(3), False),
        (np.zeros(2), [0.0, 0.0], False),
        ({"a": np.zeros(2)}, {"a": np.zeros(2)}, True),
        ([np.zeros(2)], [np.ones(2)], False),
        (np.array([2**70, 1], dtype=object), np.array([2**70, 1], dtype=object), True),
        (np.array([2**70, 1], dtype=object), np.array([2**70, 2], dtype=object), False),
        (arb(1, 0.1), arb(1, 0.1), True),
        (arb(1, 0.1), arb(1), False),
    ],
)
def test_contents_are_compared_entry_by_entry(a: Any, b: Any, equal: bool) -> None:
    assert same(a, b) is equal
    assert same(b, a) is equal


def test_large_arrays_are_printed_by_shape() -> None:
    many: FloatArray = np.zeros(100)
    assert short(many) == "<float64 array of shape (100,)>"
    assert short(many[:2]) == "[0., 0.]"
