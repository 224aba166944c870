"""Latches, sufficient conditions, clipping and the cliff, exponents of maps, and the watch."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.errors import ArgumentError
from dynprop.gradients import (
    ElmanStep,
    cliff,
    clip_by_norm,
    clip_by_value,
    gradient_by_lag,
    latch,
    lyapunov_spectrum,
    vanishing_condition,
    watch,
)

# SCIENCE: closed forms evaluated in 50 digits.
TABLE = [
    (1.25, 0.710411783488, 0.619143872352, 0.0778051693153),
    (1.5, 0.85855963664, 0.394313025499, 0.207546455322),
    (2.0, 0.957504024077, 0.166372087752, 0.532839975354),
    (3.0, 0.994901528453, 0.0305128460479, 1.303273908),
    (5.0, 0.999909121715, 0.000908741553361, 3.02850047982),
]


@pytest.mark.parametrize(("w", "attractor", "slope", "critical"), TABLE)
def test_the_latch_is_that_of_fifty_digits(w: float, attractor: float, slope: float, critical: float) -> None:
    found = latch(w)
    for value, expected in (
        (found.attractor, attractor),
        (found.slope, slope),
        (found.critical_input, critical),
    ):
        assert value == pytest.approx(expected, rel=1e-11)


def test_no_latch_at_one_and_below_and_none_is_lost_far_above() -> None:
    assert (latch(0.5).attractor, latch(0.5).slope, latch(0.5).critical_input) == (0.0, 0.5, 0.0)
    assert latch(1.0).half_life == math.inf
    large = latch(300.0)
    assert large.slope == pytest.approx(4.0 * 300.0 * math.exp(-600.0), rel=1e-9)
    assert large.critical_input == pytest.approx(300.0, rel=0.02)
    for wrong in (-1.0, math.inf, math.nan, "2", True):
        with pytest.raises(ArgumentError):
            latch(wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ArgumentError, match="disturbance"):
        latch(2.0, 1.0)


def test_a_condition_is_certified_or_not_given() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 40):
        w = rng.standard_normal((n, n))
        w /= np.linalg.norm(w, 2)
        assert vanishing_condition((1.0 - 1e-10) * w).vanishes
        assert not vanishing_condition((1.0 + 1e-13) * w).vanishes
        assert vanishing_condition(3.99 * w, "sigmoid").vanishes
        assert not vanishing_condition(4.01 * w, "sigmoid").vanishes
    # 3/5, 4/5: an exact rotation times one rounding above 1.
    exact = float(Fraction(3, 5)), float(Fraction(4, 5))
    assert not vanishing_condition([[exact[0], exact[1]], [-exact[1], exact[0]]]).vanishes
    for wrong in ([[1.0, 2.0]], [[math.nan]], [[1j]], np.zeros((0, 0))):
        with pytest.raises(ArgumentError):
            vanishing_condition(wrong)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_clipping_keeps_direction_and_small_gradients_and_bounds_the_norm(scale: float) -> None:
    rng = np.random.default_rng(1)
    parts = [scale * rng.standard_normal((3, 2)), scale * rng.standard_normal(4)]
    held = [part.copy() for part in parts]
    flat = np.concatenate([part.ravel() / scale for part in parts])
    threshold = 0.25 * scale
    clipped = clip_by_norm(parts, threshold)
    found = np.concatenate([part.ravel() / scale for part in clipped])
    assert np.linalg.norm(found) == pytest.approx(0.25, rel=1e-14)
    np.testing.assert_allclose(found / 0.25, flat / np.linalg.norm(flat), rtol=1e-13)
    same = clip_by_norm(parts, 100.0 * scale)
    cut = clip_by_value(parts, threshold)
    for part, before, kept, each in zip(parts, held, same, cut, strict=True):
        np.testing.assert_array_equal(part, before)
        np.testing.assert_array_equal(kept, part)
        np.testing.assert_array_equal(each, np.clip(part, -threshold, threshold))


def test_clipping_takes_tensors_and_refuses_what_has_no_direction() -> None:
    found = clip_by_norm(torch.tensor([3.0, 4.0]), 1.0)
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.tensor([0.6, 0.8]))
    np.testing.assert_array_equal(clip_by_norm(np.zeros(3), 1.0), np.zeros(3))
    for wrong in (np.array([math.nan]), np.array([math.inf]), [], [1.0]):
        with pytest.raises(ArgumentError):
            clip_by_norm(wrong, 1.0)
    for threshold in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ArgumentError, match="threshold"):
            clip_by_value(np.ones(2), threshold)


def test_the_cliff_has_the_gradient_of_autograd_and_its_wall_where_the_middle_is_unstable() -> None:
    w, b = torch.tensor([5.0, 3.0, 6.0]).double(), torch.tensor([-2.4, -1.5, -3.0]).double()
    w.requires_grad_(True)
    b.requires_grad_(True)
    x = torch.full((3,), 0.5).double()
    for _ in range(50):
        x = torch.sigmoid(w * x + b)
    by_w, by_b = torch.autograd.grad(((x - 0.7) ** 2).sum(), [w, b])
    found = cliff(w.detach().numpy(), b.detach().numpy())
    # Derivatives of 1e8 that rounding of x grows with (observed 3e-9 of them).
    np.testing.assert_allclose(found.by_weight, by_w.numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.by_bias, by_b.numpy(), rtol=1e-6)
    assert found.slope[2] == pytest.approx(
        0.4 * math.hypot(0.5, 1.0) * 0.25 * (1.5**50 - 1.0) / 0.5, rel=1e-9
    )
    with pytest.raises(ArgumentError, match="broadcasts"):
        cliff(np.ones(3), np.ones(2))


class Map(nn.Module):
    """A map of the plane or the line as a recurrent module."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        held, out = torch.zeros_like(x[0]) if state is None else state, []
        for now in x:
            held = self.step(held + now)
            out.append(held)
        return torch.stack(out), held


def kicked(start: list[float], steps: int) -> Tensor:
    """Inputs that set the state at the first step and leave it alone then."""
    inputs = torch.zeros(steps, 1, len(start)).double()
    inputs[0, 0] = torch.tensor(start)
    return inputs


def test_the_exponents_of_known_maps() -> None:
    def henon(z: Tensor) -> Tensor:
        return torch.stack([1.0 - 1.4 * z[:, 0] ** 2 + z[:, 1], 0.3 * z[:, 0]], dim=1)

    found = lyapunov_spectrum(Map(henon), kicked([0.1, 0.1], 1500), skip=100)
    assert found.mean.sum() == pytest.approx(math.log(0.3), abs=1e-9)
    assert found.largest == pytest.approx(0.419, abs=0.05)
    assert found.dimension == pytest.approx(1.26, abs=0.05)
    cat = torch.tensor([[2.0, 1.0], [1.0, 1.0]]).double()
    step = ElmanStep(np.zeros((2, 1)), cat.numpy(), np.zeros(2), "linear")
    golden = math.log((3.0 + math.sqrt(5.0)) / 2.0)
    exponents = lyapunov_spectrum(step, np.zeros((400, 1))).mean
    # The frame turns into the eigenvectors' within ten steps: an error of 1/400 of that.
    np.testing.assert_allclose(exponents, [golden, -golden], atol=2e-3)


def test_the_largest_exponent_is_the_slope_of_the_gradient() -> None:
    rng = np.random.default_rng(0)
    n = 30
    w = 1.5 * rng.standard_normal((n, n)) / math.sqrt(n)
    step = ElmanStep(np.eye(n), w, np.zeros(n))
    inputs = 0.5 * rng.standard_normal((300, n))
    spectrum, profile = lyapunov_spectrum(step, inputs), gradient_by_lag(step, inputs)
    # Both are products of the same 300 matrices: they differ by a prefactor, e^3 at most here.
    assert spectrum.exponents.max() == pytest.approx(profile.log_norms[0, -1] / 300.0, abs=0.01)
    with pytest.raises(ArgumentError, match="skip"):
        lyapunov_spectrum(step, inputs, skip=300)


def test_a_watch_measures_and_leaves_training_alone() -> None:
    def trained(watched: bool) -> tuple[list[Tensor], Any]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.LSTM(2, 4, num_layers=2, dropout=0.5))
        scalars: list[tuple[str, float, int]] = []

        class Writer:
            def add_scalar(self, name: str, value: float, step: int) -> None:
                scalars.append((name, value, step))

        def run() -> None:
            for _ in range(7):
                loss = model(torch.randn(6, 5, 2))[0][-1].square().mean()
                parameters = list(model.parameters())
                for held, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                    held.data -= 0.1 * gradient

        log = None
        if watched:
            with watch(model, every=3, writer=Writer()) as log:
                run()
            model(torch.randn(6, 5, 2))
            assert log.calls == 7
            assert [step for _, _, step in scalars] == [0, 0, 3, 3, 6, 6]
        else:
            run()
        return [p.detach() for p in model.parameters()], log

    (plain, _), (watched, log) = trained(False), trained(True)
    assert all(torch.equal(p, q) for p, q in zip(plain, watched, strict=True))
    assert [each.call for each in log.measured] == [0, 3, 6]
    assert log.measured[0].profile.name == "0"
    assert log.measured[0].profile.log_norms.shape == (4, 7)
    assert 0.0 < log.cost < 1.0
    assert not log.problems


def test_a_watch_that_cannot_measure_warns_once() -> None:
    model = nn.Linear(2, 2)
    with warnings.catch_warnings(record=True) as seen, watch(model, every=1) as log:
        warnings.simplefilter("always")
        for _ in range(3):
            model(torch.randn(4, 2))
    assert len(seen) == 1
    assert list(log.problems) == [0, 1, 2]
    with pytest.raises(ArgumentError, match="add_scalar"), watch(model, writer=3):
        pass
