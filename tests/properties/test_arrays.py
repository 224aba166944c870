"""Another library's array becomes numpy without losing a bit, and a wrong one is named in one line."""

from __future__ import annotations

import sys
import types
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynprop.arrays import (
    describe,
    dtype_name,
    is_array,
    library_of,
    require_finite,
    require_floating,
    require_rank,
    require_shape,
    round_to,
    to_numpy,
)
from dynprop.errors import ArgumentError

# Largest finite number and distance between neighbours there, for the formats that round_to makes.
DOUBLES = st.floats(allow_nan=False, width=64)
FORMATS = st.sampled_from(["bfloat16", "float16", "float32", "float64"])
TIES = [
    1.0 + 2.0**-24,  # float32, ties to even: down to 1
    1.0 + 3 * 2.0**-24,  # up
    1.0 + 2.0**-8,  # bfloat16: down to 1
    1.0 + 3 * 2.0**-8,  # up
    2.0**-126,
    2.0**-149,  # the smallest float32
    2.0**-150,  # half of it: to zero
    3 * 2.0**-150,
    2.0**-133,  # the smallest bfloat16
    2.0**-134,
    3.3895313892515355e38,  # the largest bfloat16
    3.3961775292304957e38,  # half a step above it: to infinity
    -0.0,
    float("inf"),
    float("-inf"),
]


def bits(values: Any) -> list[int]:
    """Return float64 values as whole numbers, so that -0 differs from 0."""
    flat: list[int] = np.asarray(values, dtype=np.float64).view(np.uint64).ravel().tolist()
    return flat


# Rounding


@given(
    st.lists(DOUBLES | st.sampled_from(TIES), min_size=1, max_size=20),
    st.sampled_from(["bfloat16", "float32"]),
)
def test_rounding_equals_torch_bit_by_bit(values: list[float], dtype: str) -> None:
    exact = np.array(values)
    expected = torch.from_numpy(exact).to(getattr(torch, dtype)).double().numpy()
    assert bits(round_to(exact, dtype)) == bits(expected)


@pytest.mark.parametrize("value", TIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_rounding_equals_torch_at_ties_and_at_the_ends_of_the_range(value: float, dtype: str) -> None:
    expected = torch.tensor([value], dtype=torch.float64).to(getattr(torch, dtype)).double().numpy()
    assert bits(round_to(np.array([value]), dtype)) == bits(expected)


@given(st.floats(-60000.0, 60000.0, width=64))
def test_rounding_to_half_precision_finds_the_nearest_number(value: float) -> None:
    rounded = float(round_to(np.array(value), "float16"))
    half = np.float16(rounded)
    assert float(half) == rounded
    distance = abs(Fraction(value) - Fraction(rounded))
    for neighbour in (np.nextafter(half, np.float16(np.inf)), np.nextafter(half, np.float16(-np.inf))):
        if np.isfinite(neighbour):
            assert distance <= abs(Fraction(value) - Fraction(float(neighbour)))


@given(DOUBLES, FORMATS)
def test_rounding_twice_is_rounding_once(value: float, dtype: str) -> None:
    once = round_to(np.array(value), dtype)
    assert bits(round_to(once, dtype)) == bits(once)


@given(DOUBLES, DOUBLES, FORMATS)
def test_rounding_is_monotone_and_odd(first: float, second: float, dtype: str) -> None:
    low, high = (float(round_to(np.array(v), dtype)) for v in sorted((first, second)))
    assert low <= high
    assert bits(round_to(np.array(-first), dtype)) == bits(-round_to(np.array(first), dtype))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_rounding_keeps_nan_the_shape_and_the_argument(dtype: str) -> None:
    values = np.array([[np.nan, 1.0 / 3.0]])
    rounded = round_to(values, dtype)
    assert rounded.shape == (1, 2)
    assert rounded.dtype == np.float64
    assert np.isnan(rounded[0, 0])
    rounded[:] = 0.0
    assert values[0, 1] == 1.0 / 3.0


# Arrays of other libraries


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
def test_bfloat16_becomes_float32_without_losing_a_bit(patterns: list[int]) -> None:
    tensor = torch.tensor(patterns, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    array = to_numpy(tensor)
    assert array.dtype == np.float32
    finite = ~np.isnan(array)
    back = torch.from_numpy(array).to(torch.bfloat16).view(torch.uint16).to(torch.int32).numpy()
    # The bits of a NaN are nobody's business; every other pattern comes back.
    assert back[finite].tolist() == np.array(patterns)[finite].tolist()
    assert bool(torch.isnan(tensor).numpy()[~finite].all())


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int64", "bool", "complex64", "complex128"]
)
def test_every_other_dtype_of_torch_is_kept(dtype: str) -> None:
    tensor = torch.tensor([0, 1, 3]).to(getattr(torch, dtype))
    array = to_numpy(tensor)
    assert str(array.dtype) == dtype
    assert array.tolist() == tensor.tolist()


def test_views_become_the_values_that_they_show() -> None:
    base = torch.arange(24.0, dtype=torch.float64).reshape(2, 3, 4)
    for view in (base.transpose(0, 2), base[:, ::2], base.permute(2, 0, 1)[1:], base[:, :0]):
        array = to_numpy(view)
        assert array.tolist() == view.tolist()
        assert array.shape == tuple(view.shape)


def test_lazily_conjugated_and_negated_tensors_become_their_values() -> None:
    tensor = torch.tensor([1.0 + 2.0j], dtype=torch.complex128)
    assert to_numpy(tensor.conj()).tolist() == [1.0 - 2.0j]
    assert to_numpy(tensor.conj().imag).tolist() == [-2.0]


def test_the_result_shares_no_memory_with_the_argument() -> None:
    tensor = torch.ones(3, requires_grad=True)
    array = np.ones(3)
    for made in (to_numpy(tensor), to_numpy(array)):
        made[:] = 0.0
    assert tensor.tolist() == [1.0, 1.0, 1.0]
    assert array.tolist() == [1.0, 1.0, 1.0]


class FakeJaxArray:
    """A stand-in for jax.Array, which need not be installed: numpy reads it, its dtype has a name."""

    def __init__(self, values: Any, dtype: str) -> None:
        self.values = np.asarray(values, dtype=np.float32)
        self.dtype = dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


def test_jax_arrays_are_recognised_once_jax_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    value = FakeJaxArray([1.5, 2.0], "bfloat16")
    monkeypatch.setitem(sys.modules, "jax", None)
    assert library_of(value) is None
    module = types.ModuleType("jax")
    module.__dict__["Array"] = FakeJaxArray
    monkeypatch.setitem(sys.modules, "jax", module)
    assert library_of(value) == "jax"
    assert to_numpy(value).tolist() == [1.5, 2.0]
    assert to_numpy(value).dtype == np.float32


def test_libraries_and_dtypes_have_their_common_names() -> None:
    assert library_of(np.float64(1.0)) == "numpy"
    assert library_of(torch.ones(1)) == "torch"
    assert [library_of(v) for v in (1.0, [1.0], "x", None)] == [None] * 4
    assert is_array(np.ones(1))
    assert not is_array([1.0])
    assert dtype_name(np.ones(1, np.float32)) == "float32"
    assert dtype_name(torch.ones(1, dtype=torch.bfloat16)) == "bfloat16"


# Messages


def message(check: Any, *arguments: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        check(*arguments)
    assert str(caught.value).startswith(f"{caught.value.argument}: got ")
    return str(caught.value)


FLOATS = "bfloat16, complex128, complex64, float16, float32, float64"


def test_a_wrong_dtype_is_named_beside_those_that_would_work() -> None:
    assert message(require_floating, "gates", np.ones((2, 3), np.int64)) == (
        f"gates: got numpy int64 array of shape (2, 3), expected a dtype among {FLOATS}"
    )
    assert message(require_floating, "gates", torch.ones(2, dtype=torch.bool)) == (
        f"gates: got torch bool array of shape (2,), expected a dtype among {FLOATS}"
    )


def test_what_is_no_array_is_shown() -> None:
    assert message(require_floating, "inputs", [1.0, 2.0]) == (
        "inputs: got list [1.0, 2.0], expected a numpy or torch array of floats"
    )
    assert message(to_numpy, "text") == ("array: got str 'text', expected a numpy, torch or jax array")


def test_a_long_value_is_cut_in_a_message() -> None:
    assert len(describe(list(range(10_000)))) < 80


def test_a_wrong_rank_is_named_with_the_axes_that_are_meant() -> None:
    assert message(require_rank, "gates", np.ones((2, 3)), ("batch", "time", "channel")) == (
        "gates: got numpy float64 array of shape (2, 3), expected 3 axes (batch, time, channel)"
    )


def test_a_wrong_shape_is_named_with_its_reason() -> None:
    assert message(require_shape, "initial", torch.ones(2, 4), (2, 3), "(batch, channel) of gates") == (
        "initial: got torch float32 array of shape (2, 4), expected shape (2, 3) (batch, channel) of gates"
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_value_that_is_not_finite_is_named_with_its_place(library: str, value: str) -> None:
    array = np.ones((2, 3))
    array[1, 2] = float(value)
    given_array = torch.from_numpy(array) if library == "torch" else array
    assert message(require_finite, "inputs", given_array) == (
        f"inputs: got {value} at index (1, 2), expected finite values everywhere"
    )


def test_right_arrays_pass_every_check() -> None:
    for array in (np.zeros((0, 2)), torch.zeros(3, 2, dtype=torch.bfloat16), np.ones((1, 2), np.complex64)):
        require_floating("x", array)
        require_rank("x", array, ("time", "channel"))
        require_shape("x", array, array.shape, "")
        require_finite("x", array)
