"""What enters the room is a square matrix of finite floats, a fitting state, a possible number of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.errors import ArgumentError
from dynprop.linear.validation import (
    MAX_STEPS,
    available_memory,
    require_memory,
    square_matrix,
    state_batch,
    state_vector,
    step_count,
    step_counts,
)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128", "float16"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_widening_a_matrix_is_exact(dtype: str, n: int) -> None:
    W = (np.arange(n * n).reshape(n, n) / 3).astype(dtype)
    wide = square_matrix(W)
    assert wide.dtype == (np.complex128 if dtype.startswith("complex") else np.float64)
    assert wide.shape == (n, n)
    assert np.array_equal(wide, W)


@pytest.mark.parametrize(
    "W",
    [
        [[True]],
        [[1.0], [1.0, 2.0]],
        None,
        np.zeros((2, 3)),
        np.zeros(4),
        np.zeros((1, 2, 2)),
        np.full((2, 2), 2**53 + 1),
        np.zeros((2, 2), dtype=bool),
        np.zeros((2, 2), dtype=object),
        np.zeros((2, 2), dtype=">U1"),
        np.ma.masked_array(np.eye(2), mask=np.eye(2) == 1),
        np.array([[np.nan]]),
        np.array([[1.0, np.inf], [0.0, 1.0]]),
        np.array([[complex(0.0, np.nan)]]),
    ],
)
def test_what_is_no_square_matrix_of_finite_floats_is_refused_by_name(W: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^W: got .*, expected "):
        square_matrix(W)


@pytest.mark.parametrize(
    "h", [np.zeros(2), np.zeros((3, 3)), [0.0] * 2, np.full(3, np.nan), np.full(3, 2**53 + 1)]
)
def test_a_state_that_does_not_fit_is_refused(h: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^h0: got "):
        state_vector(h, 3)


def test_a_batch_of_states_has_the_size_of_the_matrix_last() -> None:
    assert state_batch(np.zeros((5, 3)), 3).shape == (5, 3)
    assert state_batch(np.zeros(3, np.float32), 3).dtype == np.float64
    for wrong in (np.zeros((3, 5)), np.zeros((2, 2, 3)), np.zeros(())):
        with pytest.raises(ArgumentError, match=r"^h0: got "):
            state_batch(wrong, 3)


@given(st.integers(0, MAX_STEPS), st.sampled_from([int, np.int64, np.uint64]))
def test_integers_of_python_and_numpy_are_steps(t: int, kind: Any) -> None:
    count = step_count(kind(t))
    assert count == t
    assert type(count) is int


@pytest.mark.parametrize(
    "wrong",
    [-1, MAX_STEPS + 1, 10**10_000, True, np.True_, 1.0, np.float64(2), "3", None, 1j],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_is_no_possible_number_of_steps_is_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^t: got .*, expected an integer from 0 to 9223372036854775807"):
        step_count(wrong, "t")


@pytest.mark.parametrize(
    "values", [[1, 2], (3, 0), range(4), np.arange(3), np.array([2**63 - 1], dtype=np.uint64), []]
)
def test_sequences_and_arrays_of_integers_are_times(values: Any) -> None:
    assert step_counts(values) == ([int(v) for v in values], False)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 2), int), [0.5], "12", {1}, np.array([1.0]), [[1]], [2, -1], np.ma.masked_array([1, 2])],
)
def test_what_is_no_sequence_of_times_is_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^t"):
        step_counts(wrong)


def test_an_output_beyond_memory_is_refused_with_its_size_and_a_small_one_is_not() -> None:
    require_memory("steps", (10, 10), 8)
    with pytest.raises(ArgumentError, match=r"steps: got an output of shape .* 8000000000000000 bytes"):
        require_memory("steps", (10**12, 1000), 8)
    free = available_memory()
    assert free is None or free > 2**20
