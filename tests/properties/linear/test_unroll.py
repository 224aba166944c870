"""`unroll` is the recurrence: every state, any batch, both libraries, and the adjoint on the way back."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dynprop.arrays import FloatArray, NumericArray
from dynprop.errors import ArgumentError
from dynprop.linear import unroll
from dynprop.linear.unroll import _block

# Arguments of both libraries go through the same tests: no overload fits them all.
run: Any = unroll
UNIT = 2.0**-53


def loop(W: NumericArray, h: NumericArray, steps: int, inputs: NumericArray | None = None) -> NumericArray:
    """The recurrence as written, one step at a time."""
    states = [h]
    for t in range(steps):
        with np.errstate(all="ignore"):
            h = h @ W if inputs is None else h @ W + inputs[t]
        states.append(h)
    return np.array(states)


def exact(W: FloatArray, h: FloatArray, steps: int, inputs: FloatArray | None) -> list[list[Fraction]]:
    """The states as rational numbers, beside the same sums of absolute terms."""
    matrix = [[Fraction(x) for x in row] for row in W.tolist()]
    state = [Fraction(x) for x in h.tolist()]
    states = [state]
    for t in range(steps):
        added = [Fraction(0)] * len(state) if inputs is None else [Fraction(x) for x in inputs[t].tolist()]
        state = [
            sum((s * matrix[i][j] for i, s in enumerate(state)), start=added[j]) for j in range(len(state))
        ]
        states.append(state)
    return states


def random(seed: int, n: int, *shape: int, dtype: Any = np.float64) -> tuple[NumericArray, NumericArray]:
    """A matrix of spectral norm 0.99 and states of the given shape."""
    rng = np.random.default_rng(seed)
    W: NumericArray = rng.standard_normal((n, n))
    h: NumericArray = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        W, h = W * np.exp(1j * rng.uniform(0, 6, W.shape)), h + 1j
    W *= 0.99 / (np.linalg.norm(W, 2) if n else 1.0)
    return W.astype(dtype), h.astype(dtype)


ENTRIES = st.floats(-2, 2).map(lambda x: x if abs(x) > 1e-2 else 0.0)


@settings(max_examples=60)
@given(st.data())
def test_every_state_equals_the_exact_one_within_the_bound_of_the_loop(data: st.DataObject) -> None:
    n, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 70))
    W = data.draw(hnp.arrays(np.float64, (n, n), elements=ENTRIES))
    h = data.draw(hnp.arrays(np.float64, n, elements=ENTRIES))
    inputs = data.draw(st.none() | hnp.arrays(np.float64, (steps, n), elements=ENTRIES))
    states = run(W, h, steps, inputs)
    truth = exact(W, h, steps, inputs)
    sizes = exact(np.abs(W), np.abs(h), steps, None if inputs is None else np.abs(inputs))
    for t in range(steps + 1):
        # n roundings per product and one per input, however the products are grouped.
        count = Fraction((n + 1) * t) * Fraction(UNIT)
        for value, x, size in zip(states[t].tolist(), truth[t], sizes[t], strict=True):
            assert abs(Fraction(value) - x) <= count / (1 - count) * size + t * n * Fraction(2) ** -1070


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,)])
@pytest.mark.parametrize("n", [0, 1, 2, 8, 33])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 64, 301])
def test_blocks_give_the_states_of_the_loop(dtype: Any, shape: tuple[int, ...], n: int, steps: int) -> None:
    W, h = random(n + steps, n, *shape, n, dtype=dtype)
    inputs = np.random.default_rng(9).standard_normal((steps, *shape, n)).astype(dtype)
    # γ(3(n+1)t) of the largest possible state, ‖W‖ < 1 (seen: below 0.02 of it).
    bound = 3 * (n + 1) * (steps + 1) * np.finfo(dtype).eps * (steps + 1) * (n + 1)
    for terms in (None, inputs):
        for library in ("numpy", "torch"):
            arguments: list[Any] = [W, h, terms]
            if library == "torch":
                arguments = [None if a is None else torch.from_numpy(a) for a in arguments]
            states = run(arguments[0], arguments[1], steps, arguments[2])
            assert type(states) is type(arguments[0])
            assert str(states.dtype).removeprefix("torch.") == str(np.dtype(dtype))
            assert tuple(states.shape) == (steps + 1, *shape, n)
            found = np.asarray(states)
            assert np.array_equal(found[0], h)
            assert np.all(np.abs(found - loop(W, h, steps, terms)) <= bound)


def test_the_fast_paths_are_taken_where_the_tests_above_compare_them() -> None:
    """Doubling, blocks with panels, blocks of driven states: close to the loop, and not the loop."""
    assert _block(8, 1, 301, False) > 1
    assert _block(8, 1, 301, True) > 1
    assert _block(1024, 1, 4096, False) in (2, 4, 8)
    assert _block(1024, 64, 4096, False) == 1
    W, h = random(0, 8, 8)
    states, plain = run(W, h, 301), loop(W, h, 301)
    assert not np.array_equal(states, plain)


@pytest.mark.parametrize("steps", [9, 40])
def test_panels_of_a_large_matrix_join_to_the_whole(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module: Any = sys.modules["dynprop.linear.unroll"]
    monkeypatch.setattr(module, "_block", lambda *_: 4)
    monkeypatch.setattr(module, "_UNPACKED", 4 * 100 * 32)
    W, h = random(3, 100, 100)
    assert np.abs(run(W, h, steps) - loop(W, h, steps)).max() < 1e-13


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 40), st.integers(0, 40))
def test_resuming_from_a_state_continues_the_trajectory(seed: int, n: int, first: int, second: int) -> None:
    W, h = random(seed, n, n)
    inputs = np.random.default_rng(seed).standard_normal((first + second, n))
    whole = run(W, h, first + second, inputs)
    start = run(W, h, first, inputs[:first])
    end = run(W, start[-1], second, inputs[first:])
    assert np.all(np.abs(whole - np.concatenate([start, end[1:]])) <= 1e-13 * (n + 1))


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 60))
def test_states_superpose(seed: int, n: int, steps: int) -> None:
    W, h = random(seed, n, 2, n)
    inputs = np.random.default_rng(seed).standard_normal((steps, n))
    alone, driven = run(W, h[0], steps), run(W, np.zeros(n), steps, inputs)
    assert np.all(np.abs(run(W, h[0], steps, inputs) - alone - driven) <= 1e-13 * (n + 1))
    assert np.all(np.abs(run(W, h, steps)[:, 0] - alone) <= 1e-13 * (n + 1))


@pytest.mark.parametrize("inputs", [False, True])
def test_states_overflow_where_those_of_the_loop_do_and_not_earlier(inputs: bool) -> None:
    """W**512 overflows at step 512, a small start lives on until step 2,000."""
    W, h = np.array([[4.0, 1.0], [0.0, 0.5]]), np.array([1e-290, 1.0])
    terms = np.full((3000, 2), 1e-290) if inputs else None
    states, plain = run(W, h, 3000, terms), loop(W, h, 3000, terms)
    assert np.array_equal(np.isfinite(states), np.isfinite(plain))
    finite = np.isfinite(plain)
    assert np.isfinite(plain[:, 0]).sum() > 900
    assert np.all(np.abs(states[finite] - plain[finite]) <= 1e-12 * np.abs(plain[finite]))


def test_tiny_entries_do_not_vanish_inside_a_power() -> None:
    """The square of W has an entry 1e-340, the states need it only multiplied by 1e300."""
    W, h = np.array([[1.0, 1e-170, 0.0], [0.0, 1.0, 1e-170], [0.0, 0.0, 1.0]]), np.array([1e300, 0.0, 0.0])
    t = np.arange(1001)
    assert np.allclose(run(W, h, 1000)[:, 2], t * (t - 1) / 2 * 1e-40, rtol=1e-12, atol=0)


def test_states_that_cancel_stay_finite_where_a_power_times_a_state_does_not() -> None:
    """The growing mode is never entered, exactly; W**64 times 1e300 would be infinity minus infinity."""
    W, h = np.array([[1.5, 0.5], [0.5, 1.5]]), np.array([2.0**1000, -(2.0**1000)])
    assert np.array_equal(run(W, h, 500), np.tile(h, (501, 1)))
    assert np.array_equal(run(W, h, 500, np.zeros((500, 2))), np.tile(h, (501, 1)))
    assert torch.equal(run(torch.from_numpy(W), torch.from_numpy(h), 500), torch.from_numpy(h).expand(501, 2))


def test_states_decay_through_the_subnormal_numbers() -> None:
    W, h = np.diag([0.5, 0.25]), np.array([1.0, 1.0])
    assert np.array_equal(run(W, h, 1200), loop(W, h, 1200))


# The adjoint


def leaves(seed: int, n: int, steps: int, *batch: int, dtype: Any = torch.float64) -> Any:
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(n, n, dtype=dtype, generator=generator) / (2 * n**0.5)
    h = torch.randn(*batch, n, dtype=dtype, generator=generator)
    x = torch.randn(steps, *batch, n, dtype=dtype, generator=generator)
    return W.requires_grad_(), h.requires_grad_(), x.requires_grad_()


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 50))
def test_the_gradient_of_the_start_travels_by_w_and_not_by_its_transpose(
    seed: int, n: int, steps: int
) -> None:
    W, h, _ = leaves(seed, n, steps)
    g = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(run(W, h, steps)[-1] @ g, h)
    expected = np.linalg.matrix_power(W.detach().numpy(), steps) @ g.numpy()
    # 8 n t u |W|ᵗ|g|; both sides are computed, hence twice that.
    size = np.linalg.matrix_power(np.abs(W.detach().numpy()), steps) @ np.abs(g.numpy())
    assert np.all(np.abs(gradient.numpy() - expected) <= 16 * n * max(steps, 1) * UNIT * size)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 50))
def test_the_adjoint_is_the_adjoint(seed: int, n: int, steps: int) -> None:
    """<g, h_t> = <Wᵗ g, h_0>."""
    W, h, _ = leaves(seed, n, steps)
    state = run(W, h, steps)[-1]
    g = torch.ones_like(state)
    (gradient,) = torch.autograd.grad(state @ g, h)
    # Each side is rounded n (t + 1) times at most, relative to the sum of its absolute terms.
    size = h.detach().abs() @ torch.linalg.matrix_power(W.detach().abs(), steps) @ g.abs()
    error = (state @ g - gradient @ h).detach().abs()
    assert float(error) <= 4.0 * n * (steps + 1) * 2.0**-53 * float(size)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_gradients_of_all_arguments_agree_with_differences(
    batch: tuple[int, ...], dtype: Any, steps: int
) -> None:
    W, h, x = leaves(0, 3, steps, *batch, dtype=dtype)
    assert torch.autograd.gradcheck(lambda *a: run(a[0], a[1], steps, a[2]), (W, h, x))
    assert torch.autograd.gradcheck(lambda *a: run(a[0], a[1], steps), (W, h))
    assert torch.autograd.gradgradcheck(lambda *a: run(a[0], a[1], steps, a[2]), (W, h, x))


def test_gradients_agree_with_those_of_the_loop_where_blocks_are_used() -> None:
    W, h, x = leaves(5, 8, 400)
    weight = torch.randn(401, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = torch.autograd.grad((run(W, h, 400, x) * weight).sum(), (W, h, x))
    state, total = h, (h * weight[0]).sum()
    for t in range(400):
        state = state @ W + x[t]
        total = total + (state * weight[t + 1]).sum()
    plain = torch.autograd.grad(total, (W, h, x))
    for a, b in zip(found, plain, strict=True):
        assert float((a - b).abs().max()) <= 1e-13 * float(b.abs().max())


def test_a_shared_input_gathers_the_gradients_of_its_batch() -> None:
    W, h, _ = leaves(0, 3, 4, 5)
    x = torch.randn(4, 1, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(run(W, h, 4, x).sum(), x)
    wide = x.detach().expand(4, 5, 3).clone().requires_grad_()
    (spread,) = torch.autograd.grad(run(W, h, 4, wide).sum(), wide)
    assert torch.allclose(gradient, spread.sum(1, keepdim=True), rtol=1e-14, atol=0)


def test_only_what_needs_a_gradient_gets_one() -> None:
    W, h, x = leaves(0, 3, 4)
    run(W.detach(), h, 4, x.detach()).sum().backward()
    assert h.grad is not None
    assert not run(W.detach(), h.detach(), 4).requires_grad


# Arguments


def test_arguments_are_not_modified_and_may_be_views() -> None:
    W, h = random(1, 6, 12)
    inputs = np.random.default_rng(0).standard_normal((6, 50)).T
    copies = W.copy(), h.copy(), inputs.copy()
    for a in (W, h, inputs):
        a.flags.writeable = False
    states = run(W.T, h[::2], 50, inputs)
    assert np.allclose(
        states, loop(copies[0].T.copy(), copies[1][::2].copy(), 50, copies[2]), rtol=0, atol=1e-13
    )
    assert all(np.array_equal(a, b) for a, b in zip((W, h, inputs), copies, strict=True))
    transposed = torch.from_numpy(copies[0]).T
    assert np.allclose(
        run(transposed, torch.from_numpy(copies[1])[::2], 50), run(W.T, h[::2], 50), atol=1e-13
    )


def test_memory_is_the_output_and_a_few_matrices() -> None:
    W, h = random(2, 32, 32)
    run(W, h, 10)
    tracemalloc.start()
    try:
        states = run(W, h, 20_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The output, and a dozen matrices of 8 KiB for powers and their checks (seen: 5).
    assert peak <= states.nbytes + 12 * W.nbytes


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("W", {"W": np.zeros((2, 3))}),
        ("W", {"W": np.zeros(4)}),
        ("W", {"W": np.array([[np.nan, 0.0], [0.0, 1.0]])}),
        ("W", {"W": np.zeros((2, 2), dtype=int)}),
        ("h0", {"h0": np.zeros(3)}),
        ("h0", {"h0": np.zeros((2, 2, 2))}),
        ("h0", {"h0": np.zeros(())}),
        ("h0", {"h0": np.array([np.inf, 0.0])}),
        ("h0", {"h0": np.zeros(2, dtype=np.float32)}),
        ("h0", {"h0": [0.0, 0.0]}),
        ("steps", {"steps": -1}),
        ("steps", {"steps": 2.0}),
        ("steps", {"steps": True}),
        ("steps", {"steps": 2**63}),
        ("steps", {"steps": 10**15}),
        ("inputs", {"inputs": np.zeros((4, 2))}),
        ("inputs", {"inputs": np.zeros((3, 1, 2))}),
        ("inputs", {"inputs": np.full((3, 2), np.nan)}),
    ],
)
def test_bad_input_is_refused_by_name_before_any_work(
    library: str, name: str, change: dict[str, Any]
) -> None:
    arguments: dict[str, Any] = {"W": np.eye(2), "h0": np.ones(2), "steps": 3, "inputs": None} | change
    if library == "torch":
        for key, value in arguments.items():
            if isinstance(value, np.ndarray):
                arguments[key] = torch.from_numpy(value)
    with pytest.raises(ArgumentError, match=f"^{name}: got .*, expected "):
        run(**arguments)


def test_mixed_libraries_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^h0: got torch"):
        run(np.eye(2), torch.ones(2, dtype=torch.float64), 3)


def test_an_output_that_does_not_fit_is_refused_with_its_size() -> None:
    with pytest.raises(ArgumentError, match=r"steps: .* 16000000000000016 bytes.* take fewer steps"):
        run(np.eye(2), np.ones(2), 10**15)
