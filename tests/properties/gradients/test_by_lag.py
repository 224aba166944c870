"""The gradient of any module by lag, against autograd through the whole module, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.errors import ArgumentError, NotFiniteError
from dynprop.gradients import GradientProfile, assert_gradient_reach, gradient_by_lag

STEPS, BATCH, F, H = 9, 2, 3, 4


class Own(nn.Module):
    """Called like nn.RNN; differentiated step by step."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, state: Any = None) -> Any:
        return self.inner(x, state)


def by_autograd(module: Any, inputs: Tensor, sequence: int, lag: int, layers: int) -> float:
    """Return ln of the 2-norm of the Jacobian of the rest of the sequence, from the module's own state."""
    held = module.double()
    x = inputs[:, sequence : sequence + 1].double()
    parts = 2 if isinstance(module, nn.LSTM) else 1
    state: Any = tuple(torch.zeros(layers, 1, H).double() for _ in range(parts))
    if lag < STEPS:
        state = held(x[: STEPS - lag])[1]
        state = state if parts == 2 else (state,)
    sizes = [part.shape for part in state]

    def rest(flat: Tensor) -> Tensor:
        given = tuple(f.reshape(s) for f, s in zip(torch.split(flat, layers * H), sizes, strict=True))
        after = held(x[STEPS - lag :], given if parts == 2 else given[0])[1]
        return torch.cat([a.reshape(-1) for a in (after if parts == 2 else (after,))])

    flat = torch.cat([part.detach().reshape(-1) for part in state])
    jacobian: Any = torch.autograd.functional.jacobian(rest, flat)  # type: ignore[no-untyped-call]  # torch has no annotation
    return math.log(float(torch.linalg.matrix_norm(jacobian, 2)))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_layers_of_torch_have_the_gradients_of_autograd(kind: Any, layers: int) -> None:
    torch.manual_seed(layers)
    module, inputs = kind(F, H, num_layers=layers), torch.randn(STEPS, BATCH, F)
    before = [p.clone() for p in module.parameters()]
    profile = gradient_by_lag(module, inputs)
    stepped = gradient_by_lag(Own(module), inputs, "")
    assert all(torch.equal(p, q) for p, q in zip(module.parameters(), before, strict=True))
    assert profile.log_norms.shape == (BATCH, STEPS + 1)
    assert len(profile.members) == (layers if layers > 1 else 0)
    # Rounding of nine factors (observed 2e-15).
    np.testing.assert_allclose(stepped.log_norms, profile.log_norms, rtol=0, atol=1e-12)
    for sequence, lag in ((0, 1), (1, 4), (0, STEPS)):
        expected = by_autograd(module, inputs, sequence, lag, layers)
        assert profile.log_norms[sequence, lag] == pytest.approx(expected, abs=1e-12)


def test_each_sequence_of_a_packed_batch_ends_at_its_own_end() -> None:
    torch.manual_seed(0)
    for bidirectional in (False, True):
        module = nn.GRU(F, H, batch_first=True, bidirectional=bidirectional)
        values, lengths = torch.randn(3, 8, F), [3, 8, 5]
        packed = nn.utils.rnn.pack_padded_sequence(
            values, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        together = gradient_by_lag(module, packed)
        assert list(together.lengths) == lengths
        for row, length in enumerate(lengths):
            alone = gradient_by_lag(module, values[row : row + 1, :length])
            for one, other in zip((together, *together.members), (alone, *alone.members), strict=True):
                np.testing.assert_allclose(
                    one.log_norms[row, : length + 1], other.log_norms[0], rtol=0, atol=1e-12
                )
                assert np.isnan(one.log_norms[row, length + 1 :]).all()


def test_the_directions_of_a_bidirectional_layer_are_two_recurrences() -> None:
    torch.manual_seed(0)
    module, inputs = nn.LSTM(F, H, bidirectional=True), torch.randn(STEPS, BATCH, F)
    profile = gradient_by_lag(module, inputs)
    assert "bidirectional" in profile.remarks[0]
    backward = nn.LSTM(F, H)
    for name, parameter in backward.named_parameters():
        parameter.data = getattr(module, f"{name}_reverse").data
    expected = gradient_by_lag(backward, inputs.flip(0)).log_norms
    np.testing.assert_allclose(profile.part("layer 1 backward").log_norms, expected, rtol=0, atol=1e-13)


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(11, F), nn.Dropout(0.5)
        self.encoder, self.cell, self.head = nn.GRU(F, H), nn.LSTMCell(H, H), nn.Linear(H, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs, _ = self.encoder(self.dropout(self.embedding(tokens)))
        state = (torch.zeros(outputs.shape[1], H), torch.zeros(outputs.shape[1], H))
        for now in outputs:
            state = self.cell(now, state)
        head: Tensor = self.head(state[0])
        return head


def test_every_recurrent_part_behind_an_embedding_is_named_and_measured() -> None:
    torch.manual_seed(0)
    model, tokens = Translator(), torch.randint(0, 11, (STEPS, BATCH))
    profile = gradient_by_lag(model, tokens)
    assert (profile.name, [part.name for part in profile.parts]) == ("cell", ["encoder"])
    assert model.training
    assert profile.remarks == ("in eval mode: without dropout",)
    model.eval()
    with torch.no_grad():
        outputs, _ = model.encoder(model.embedding(tokens))
    whole = gradient_by_lag(nn.LSTM(H, H), outputs)
    assert whole.log_norms.shape == profile.log_norms.shape
    layer = nn.LSTM(H, H)
    for name, parameter in model.cell.named_parameters():
        getattr(layer, f"{name}_l0").data = parameter.data
    # Embedded in float32 there, in float64 here.
    np.testing.assert_allclose(profile.log_norms, gradient_by_lag(layer, outputs).log_norms, atol=1e-5)
    named = gradient_by_lag(model, tokens, "encoder")
    np.testing.assert_array_equal(named.log_norms, profile.part("encoder").log_norms)


def test_calls_that_hand_the_state_on_are_one_sequence() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(F, H)

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for now in x:
                y, state = self.rnn(now[None], state)
            return torch.as_tensor(y)

    torch.manual_seed(0)
    model, inputs = Loop(), torch.randn(STEPS, BATCH, F)
    one, other = gradient_by_lag(model, inputs), gradient_by_lag(model.rnn, inputs)
    np.testing.assert_allclose(one.log_norms, other.log_norms, rtol=0, atol=1e-13)


class LikeCompiled(nn.Module):
    """What torch.compile returns, without the seconds that it takes to import."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


def test_wrapped_compiled_and_narrow_modules_are_the_module() -> None:
    torch.manual_seed(0)
    module, inputs = nn.GRU(F, H), torch.randn(STEPS, BATCH, F)
    expected = gradient_by_lag(module, inputs).log_norms
    for wrapped in (nn.DataParallel(module), LikeCompiled(module)):
        np.testing.assert_array_equal(gradient_by_lag(wrapped, inputs).log_norms, expected)
    narrow = gradient_by_lag(nn.GRU(F, H).to(torch.bfloat16), inputs.to(torch.bfloat16))
    assert np.isfinite(narrow.log_norms).all()


def test_a_model_that_only_runs_in_single_precision_is_called_in_it() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(F, H)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.rnn(x.to(torch.float32))[0])

    torch.manual_seed(0)
    model, inputs = Single(), torch.randn(STEPS, BATCH, F)
    profile = gradient_by_lag(model, inputs)
    assert profile.remarks == ("called in float32: it does not run in float64",)
    np.testing.assert_allclose(profile.log_norms, gradient_by_lag(model.rnn, inputs).log_norms, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "inputs", "module", "message"),
    [
        (nn.Linear(F, F), torch.ones(4, 2, F), None, "holds no recurrent state"),
        (nn.LSTM(F, H), torch.ones(4, 2, F + 1), None, "input_size"),
        (nn.LSTM(F, H), "x", None, "a tensor, a numpy array"),
        (nn.LSTM(F, H), torch.ones(0, 2, F), None, "raised RuntimeError"),
        (Translator(), torch.ones(4, 2, dtype=torch.long), "enkoder", "such as encoder"),
        (Translator(), torch.ones(4, 2, dtype=torch.long), "head", "no state is returned"),
        ("lstm", torch.ones(4, 2, F), None, "a torch.nn.Module"),
        (
            Own(nn.RNN(F, H, bidirectional=True)),
            torch.rand(9, 2, F),
            "",
            "differs from that of the whole call",
        ),
    ],
)
def test_what_cannot_be_profiled_is_one_clear_line(
    model: Any, inputs: Any, module: str | None, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        gradient_by_lag(model, inputs, module)
    assert "\n" not in str(caught.value)


def test_a_state_that_is_not_finite_is_named_with_its_step() -> None:
    inputs = torch.randn(STEPS, BATCH, F)
    inputs[4, 1, 0] = math.nan
    for model in (nn.GRU(F, H), Own(nn.GRU(F, H))):
        with pytest.raises(NotFiniteError, match="from step 5 of sequence 1 on"):
            gradient_by_lag(model, inputs, "")


def test_the_assertion_passes_and_fails_with_its_numbers() -> None:
    torch.manual_seed(0)
    module, inputs = nn.RNN(F, H), torch.randn(30, 3, F)
    left = math.exp(float(gradient_by_lag(module, inputs).median[20]))
    profile = assert_gradient_reach(module, inputs, lag=20, at_least=0.9 * left, at_most=1.1 * left)
    assert isinstance(profile, GradientProfile)
    with pytest.raises(AssertionError, match=f"at lag 20: {left:.3g} is left, expected at least 1"):
        assert_gradient_reach(module, inputs, lag=20, at_least=1.0)
    with pytest.raises(AssertionError, match="expected at most"):
        assert_gradient_reach(module, inputs, lag=20, at_least=0.0, at_most=0.5 * left)
    with pytest.raises(ArgumentError, match="the steps of the longest sequence"):
        assert_gradient_reach(module, inputs, lag=31, at_least=0.0)


def test_horizon_slope_and_half_life_of_a_known_decay() -> None:
    class Halving(nn.Module):
        def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            held = torch.zeros_like(x[0]) if state is None else state
            for now in x:
                held = 0.5 * held + now
            return held[None], held

    profile = gradient_by_lag(Halving(), torch.randn(20, 2, 3))
    assert profile.half_life == pytest.approx(1.0)
    assert profile.horizon(0.26) == 2
    assert profile.horizon(1e-9) is None
    np.testing.assert_allclose(profile.median, -math.log(2.0) * np.arange(21), atol=1e-12)
