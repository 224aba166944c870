"""Every function takes array-likes whose numbers float64 represents exactly, and does not modify them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from dynprop import linear
from dynprop.arrays import NumericArray, exact_floats
from dynprop.errors import ArgumentError
from dynprop.results import same

W = np.array([[0.0, 2.0], [-1.0, 3.0]])
H = np.array([1.0, 2.0])
# Where longdouble is float64, a number that is refused all the same.
LONG_EPSILON = np.finfo(np.longdouble).eps if np.finfo(np.longdouble).eps < 2.0**-52 else np.nan

# Functions of a matrix, a state and a number of steps; those that use fewer ignore the others.
CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "certified_eigenvalues": lambda A, h, t: linear.certified_eigenvalues(A),
    "certified_growth": lambda A, h, t: linear.certified_growth(A, t),
    "certified_power": lambda A, h, t: linear.certified_power(A, t),
    "certified_radius": lambda A, h, t: linear.certified_radius(A),
    "closed_form": linear.closed_form,
    "discard_ratio": linear.discard_ratio,
    "growth": lambda A, h, t: linear.growth(A, t),
    "is_stable": lambda A, h, t: linear.is_stable(A),
    "kreiss_constant": lambda A, h, t: linear.kreiss_constant(A),
    "log_discard_ratio": linear.log_discard_ratio,
    "modes": lambda A, h, t: linear.modes(A, h),
    "spectrum": lambda A, h, t: linear.spectrum(A),
}


class Frame:
    """Like pandas' objects: no array, but with ``__array__``."""

    def __init__(self, values: NumericArray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NumericArray:
        return self.values if dtype is None else self.values.astype(dtype)


class Reversed(np.ndarray[Any, Any]):
    """A subclass whose product is not the product."""

    def __matmul__(self, other: Any) -> Any:
        return np.asarray(other) @ np.asarray(self)


def mapped(values: NumericArray, folder: Path) -> Any:
    found = np.memmap(folder / "values", dtype=values.dtype, mode="w+", shape=values.shape)
    found[:] = values
    return found


def read_only(values: NumericArray) -> Any:
    found = values.copy()
    found.flags.writeable = False
    return found


@cache
def of_arrays(call: str) -> Any:
    return CALLS[call](W, H, 5)


LIKES: dict[str, Callable[[NumericArray], Any]] = {
    "a list": lambda x: x.tolist(),
    "a list of integers": lambda x: x.astype(int).tolist(),
    "a tuple": lambda x: tuple(x.tolist()),
    "integers": lambda x: x.astype(np.int64),
    "small integers": lambda x: x.astype(np.int8),
    "big-endian": lambda x: x.astype(">f8"),
    "big-endian integers": lambda x: x.astype(">i4"),
    "float16": lambda x: x.astype(np.float16),
    "longdouble": lambda x: x.astype(np.longdouble),
    "read-only": read_only,
    "Fortran order": np.asfortranarray,
    "a frame": lambda x: Frame(x.astype(np.int64)),
    "a subclass": lambda x: x.copy().view(Reversed),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("like", LIKES)
def test_array_likes_give_the_results_of_arrays_and_are_not_modified(call: str, like: str) -> None:
    A, h = LIKES[like](W), LIKES[like](H)
    found = CALLS[call](A, h, np.int16(5))
    assert same(found, of_arrays(call))
    for given, original in ((A, W), (h, H)):
        assert np.array_equal(np.asarray(given, dtype=float), original)


@pytest.mark.parametrize("call", CALLS)
def test_memory_maps_and_0d_times_are_taken(call: str, tmp_path: Path) -> None:
    assert same(CALLS[call](mapped(W, tmp_path), H, np.array(5)), of_arrays(call))


@pytest.mark.parametrize("call", CALLS)
def test_pandas_objects_are_taken_or_refused_by_one_typed_error(call: str) -> None:
    frame, series = pandas.DataFrame(W, index=[7, 3]), pandas.Series(H, index=[7, 3])
    assert same(CALLS[call](frame, series, 5), of_arrays(call))
    mixed = frame.astype({0: int})
    assert same(CALLS[call](mixed, series.astype(int), np.int64(5)), of_arrays(call))
    assert frame.equals(pandas.DataFrame(W, index=[7, 3]))
    nullable = frame.astype("Int64")
    rounded = mixed.copy()
    rounded.iloc[0, 0] = 2**53 + 1
    for wrong in (frame.astype(str), frame.astype(object), frame > 0, nullable, rounded, series):
        with pytest.raises(ArgumentError, match=r"^W: got .*, expected "):
            CALLS[call](wrong, H, 5)


def test_times_may_be_a_series() -> None:
    found = linear.closed_form(pandas.DataFrame(W), pandas.Series(H), pandas.Series([1, 5]))
    assert found == linear.closed_form(W, H, [1, 5])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "wrong",
    [
        np.ma.masked_array(W, mask=[[True, False], [False, False]]),
        np.ma.masked_array(W),
        torch.tensor(W),
        np.full((2, 2), 2**53 + 1),
        np.full((2, 2), 2**64 - 1, dtype=np.uint64),
        [[2**53 + 1, 0.5], [1.0, 1.0]],
        [[10**400, 0], [0, 1]],
        np.full((2, 2), 1 + LONG_EPSILON),
        np.array(2.0),
        np.eye(2, dtype=bool),
        np.array([["1", "2"], ["3", "4"]]),
        Frame(np.array([[1.0, None], [0.0, 1.0]], dtype=object)),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_what_is_no_exact_array_is_refused_by_one_typed_error(call: str, wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^W: got .*, expected "):
        CALLS[call](wrong, H, 5)


def test_large_integers_that_float64_holds_are_taken() -> None:
    assert exact_floats("x", [2**60, 1]).tolist() == [2.0**60, 1.0]
    assert exact_floats("x", np.array([2**63], dtype=np.uint64)).tolist() == [2.0**63]
    assert exact_floats("x", [1, 2.5, 3j]).dtype == np.complex128


@pytest.mark.parametrize("call", ["modes", "discard_ratio", "log_discard_ratio", "closed_form"])
def test_a_complex_state_of_a_real_matrix_is_taken(call: str) -> None:
    found = CALLS[call](W, H * (1 + 1j), 3)
    if call == "closed_form":
        np.testing.assert_allclose(found.state, np.linalg.matrix_power(W.T, 3) @ (H * (1 + 1j)), rtol=1e-14)
    elif call == "modes":
        np.testing.assert_allclose(found.components.sum(axis=0), H * (1 + 1j), rtol=1e-14)
    else:
        assert found == pytest.approx(CALLS[call](W, H, 3), rel=1e-12)


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unroll_converts_real_arguments_beside_complex_ones(library: Any, dtype: Any) -> None:
    wide = np.result_type(dtype, np.complex64)
    matrix, real = W.astype(dtype), H.astype(dtype)
    imaginary = (1j * H).astype(wide)
    for A, h, x in ((matrix, imaginary, None), (matrix.astype(wide), real, None), (matrix, real, imaginary)):
        inputs = None if x is None else np.broadcast_to(x, (3, 2)).copy()
        found = linear.unroll(library(A), library(h), 3, None if inputs is None else library(inputs))
        expected = [h.astype(wide)]
        for t in range(3):
            expected.append(A.T @ expected[-1] + (0 if inputs is None else inputs[t]))
        assert np.asarray(found).dtype == wide
        np.testing.assert_allclose(np.asarray(found), np.array(expected), rtol=1e-5)


def test_a_gradient_reaches_the_real_matrix_of_a_complex_state() -> None:
    A = torch.tensor(W, requires_grad=True)
    torch.autograd.backward([linear.unroll(A, torch.tensor(1j * H), 3)[-1].abs().square().sum()])
    real = torch.tensor(W, requires_grad=True)
    torch.autograd.backward([linear.unroll(real, torch.tensor(H), 3)[-1].square().sum()])
    assert A.grad is not None
    assert real.grad is not None
    assert A.grad.dtype == torch.float64
    np.testing.assert_allclose(A.grad.numpy(), real.grad.numpy(), rtol=1e-12)


def test_scan_and_unroll_take_subclasses_and_refuse_masks() -> None:
    gates = np.full((1, 3, 1), 0.5)
    assert np.array_equal(linear.scan(gates.view(Reversed), gates), linear.scan(gates, gates))
    assert np.array_equal(linear.unroll(W.view(Reversed), H, 3), linear.unroll(W, H, 3))
    for call in (
        lambda: linear.scan(np.ma.masked_array(gates), gates),
        lambda: linear.scan(gates, gates, np.ma.masked_array(gates[:, 0])),
        lambda: linear.unroll(np.ma.masked_array(W), H, 3),
        lambda: linear.unroll(W, np.ma.masked_array(H), 3),
        lambda: linear.unroll(W.astype(">f8"), H, 3),
        lambda: CALLS["closed_form"](W, H, np.ma.masked_array(3, mask=True)),
    ):
        with pytest.raises(ArgumentError, match=r": got .*, expected "):
            call()


@pytest.mark.parametrize(
    "change", [{"max_bits": 0}, {"max_bits": "9"}, {"max_bits": 2.0}, {"max_work": -1}, {"max_work": np.nan}]
)
def test_limits_are_validated_alike(change: dict[str, Any]) -> None:
    for call in (
        linear.is_stable,
        linear.kreiss_constant,
        linear.certified_eigenvalues,
        linear.certified_radius,
    ):
        function: Any = call
        with pytest.raises(ArgumentError, match=f"^{next(iter(change))}: got "):
            function(W, **change)


def test_a_tolerance_is_positive() -> None:
    for wrong in (0.0, -1.0, np.nan, "1", None):
        tolerance: Any = wrong
        with pytest.raises(ArgumentError, match=r"^tolerance: got "):
            linear.growth(W, 3, tolerance=tolerance)


@pytest.mark.parametrize("route", ["auto", "loop", "squaring", "eigen", "schur", "certified"])
@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_a_batch_of_states_is_that_of_each_row(route: Any, kind: Any) -> None:
    rng = np.random.default_rng(1)
    A = rng.standard_normal((4, 4))
    A[:, 3] = 0.0
    rows = rng.standard_normal((3, 4)).astype(kind)
    rows[1] = 0.0
    times = [0, 1, 7]
    found = linear.closed_form(A, rows, times, route)
    assert (found.value.shape, found.value.dtype) == ((3, 3, 4), kind)
    assert np.shape(found.exponent) == np.shape(found.relative_bound) == (3, 3)
    for i, t in enumerate(times):
        one = linear.closed_form(A, rows, t, route)
        assert one.value.shape == (3, 4)
        for j, row in enumerate(rows):
            exact = np.linalg.matrix_power(A.T, t) @ row
            error = np.abs(found.state[i, j] - exact).max(initial=0.0)
            assert error <= 1e-12 * np.abs(exact).max() + 1e-300
            np.testing.assert_allclose(one.state[j], exact, rtol=0.0, atol=1e-12 * np.abs(exact).max())
            assert float(np.asarray(found.relative_bound)[i, j]) < 1e-10
    assert not found.value[:, 1].any()
    assert not np.asarray(found.relative_bound)[:, 1].any()


def test_a_batch_has_one_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decompose = np.linalg.eig

    def counted(matrix: NumericArray) -> Any:
        calls.append(len(matrix))
        return decompose(matrix)

    monkeypatch.setattr(np.linalg, "eig", counted)
    A = np.random.default_rng(2).standard_normal((5, 5))
    linear.closed_form(A, np.eye(5), [10, 20], "eigen")
    assert calls == [5]


def test_an_empty_batch_and_a_state_that_vanishes_before_others() -> None:
    shift = np.eye(3, k=1)
    assert linear.closed_form(shift, np.empty((0, 3)), [1, 2]).value.shape == (2, 0, 3)
    found = linear.closed_form(shift, np.eye(3), 2)
    assert np.array_equal(found.state, np.linalg.matrix_power(shift, 2))
    assert np.asarray(found.relative_bound).tolist()[1:] == [0.0, 0.0]
