"""Cases of arrays come back from JSON, and are cut along axes that they name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
import pytest

from dynprop.arrays import NumericArray
from dynprop.errors import ArgumentError
from dynprop.laws.cases import ArrayCase, Axes, fewer, one_bit, shortened


@dataclass(frozen=True, eq=False)
class Toy(ArrayCase):
    """Keys and values of one time, a state without it, and parts of any shape."""

    keys: Annotated[NumericArray, Axes(("time", "key"), shape="shape")]
    values: Annotated[NumericArray, Axes(("time", "value"), shape="shape of values")]
    decay: Annotated[NumericArray, Axes(("time", "key"))]
    state: Annotated[NumericArray | None, Axes(("key", "value"))]
    parts: Annotated[tuple[NumericArray, ...], Axes(("time",))]
    dtype: str = "float64"


def toy(steps: int = 3) -> Toy:
    rng = np.random.default_rng(5)
    parts = (rng.standard_normal(steps), rng.standard_normal((steps, 2, 2)))
    state = rng.standard_normal((4, 2)) + 1j * rng.standard_normal((4, 2))
    keys, decay = rng.standard_normal((2, steps, 4))
    return Toy(keys, rng.standard_normal((steps, 2)), decay, state, parts)


def again(case: Toy) -> Toy:
    return Toy.from_json(json.loads(json.dumps(case.to_json(), allow_nan=False)))


def leaves(case: Toy) -> list[NumericArray]:
    return [v for v in (case.keys, case.values, case.decay, case.state, *case.parts) if v is not None]


def test_json_keeps_every_bit() -> None:
    case = replace(toy(), values=np.array([[-0.0, 1e-320], [1 / 3, 1e308], [0.0, -1.0]]))
    for before, after in zip(leaves(case), leaves(again(case)), strict=True):
        assert (before.shape, before.dtype) == (after.shape, after.dtype)
        assert before.tobytes() == after.tobytes()
    assert again(replace(case, state=None)).state is None


def test_an_empty_case_keeps_the_sizes_that_nested_lists_lose() -> None:
    case = again(replace(toy(0), state=None, parts=()))
    assert (case.keys.shape, case.values.shape, case.decay.shape) == ((0, 4), (0, 2), (0, 4))
    assert Toy.from_json({**case.to_json(), "shape": [0, 7]}).decay.shape == (0, 7)


def test_whole_numbers_stay_whole_where_the_dtype_is() -> None:
    ones = np.ones((3, 2), dtype=np.int64)
    case = again(Toy(ones, ones, ones, None, (ones,), "int64"))
    assert {v.dtype for v in leaves(case)} == {np.dtype(np.int64)}


def test_sizes_that_disagree_are_named() -> None:
    data = toy().to_json()
    with pytest.raises(ValueError, match=r"decay has shape \(2, 4\), expected 3 along axis time"):
        Toy.from_json({**data, "decay": data["decay"][:2]})
    with pytest.raises(ValueError, match=r"decay has shape \(3,\), expected axes time, key"):
        Toy.from_json({**data, "decay": [1.0, 2.0, 3.0]})


def test_an_axis_is_cut_in_every_array_that_has_it() -> None:
    case = toy()
    early = case.take("time", slice(2))
    assert [v.shape for v in leaves(early)] == [(2, 4), (2, 2), (2, 4), (4, 2), (2,), (2, 2, 2)]
    last = case.take("value", np.array([1]))
    assert last.values.tolist() == case.values[:, 1:].tolist()
    assert [v.shape for v in leaves(last)] == [(3, 4), (3, 1), (3, 4), (4, 1), (3,), (3, 2, 2)]
    assert replace(case, state=None).take("key", slice(1)).state is None
    with pytest.raises(ArgumentError, match="'step', expected one of time, key, value"):
        case.take("step", slice(1))


def test_simpler_numbers_are_others_and_finite() -> None:
    case = replace(toy(), values=np.array([[0.3, -0.0], [1.75, -2.0], [1.75 * 2.0**1023, 1.0]]))
    (simpler,) = case.simpler("values", np.sign)
    assert simpler.values.tolist() == [[1.0, 0.0], [1.0, -1.0], [1.0, 1.0]]
    # One bit of the largest number is 2^1024, which float64 has not.
    with np.errstate(over="ignore"):
        assert list(case.simpler("values", one_bit)) == []
    assert list(simpler.simpler("values", np.sign, one_bit, partial(shortened, bits=3))) == []


def test_a_few_bits_are_kept_of_either_part() -> None:
    assert shortened(np.array([0.3, -0.0, 1.3, -5.0]), 1).tolist() == [0.25, 0.0, 1.0, -4.0]
    assert np.signbit(shortened(np.array([-0.0]), 1)).all()
    assert shortened(np.array([1.3 - 5.0j]), 3).tolist() == [1.25 - 5.0j]


def test_fewer_are_in_order_and_below() -> None:
    assert fewer(10, 9, 2, 5, 5, -3, 0, 12) == [2, 5, 9]
    assert fewer(1, 0, 1, least=0) == [0]
