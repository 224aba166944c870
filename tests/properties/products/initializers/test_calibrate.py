"""Calibration from data: every layer has the variance asked for, and nothing else has changed."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from dynprop.errors import ArgumentError
from dynprop.products import calibrate_


def deep(bias: bool = True, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for _ in range(30):
        parts += [nn.Linear(20, 20, bias=bias), nn.Tanh()]
    return nn.Sequential(*parts).to(dtype)


def outputs(module: nn.Module, sample: Any, kinds: Any = (nn.Linear, nn.RNNBase)) -> dict[str, torch.Tensor]:
    """Record what every layer gives on a sample, in evaluation mode."""
    seen: dict[str, torch.Tensor] = {}

    def record(name: str) -> Any:
        def hook(_layer: Any, _inputs: Any, output: Any) -> None:
            seen[name] = (output[0] if isinstance(output, tuple) else output).detach().double()

        return hook

    handles = [
        layer.register_forward_hook(record(name))
        for name, layer in module.named_modules()
        if isinstance(layer, kinds)
    ]
    with torch.no_grad():
        module.eval()(*(sample if isinstance(sample, tuple) else (sample,)))
    for handle in handles:
        handle.remove()
    return seen


def sample(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-13), (torch.float32, 1e-4)])
@pytest.mark.parametrize("bias", [False, True])
def test_every_layer_of_a_deep_net_gets_its_variance(dtype: torch.dtype, digits: float, bias: bool) -> None:
    """30 layers: before, the last one's variance is 1e-2 or less of the first one's.

    Rounding of an output of 20 terms, 2 * 20 u of its size: 1e-14 and 5e-6 (seen 2e-15 and 4e-7).
    """
    net, data = deep(bias, dtype), sample(50, 20, dtype=dtype)
    factors = calibrate_(net, data, 0.7)
    assert list(factors) == [str(2 * i) for i in range(30)]
    for found in outputs(net, data).values():
        assert float(found.var(correction=0)) == pytest.approx(0.7, rel=digits)


def test_the_factor_is_what_the_weight_was_scaled_by() -> None:
    net, data = deep(), sample(50, 20)
    before = [p.detach().clone() for p in net.parameters()]
    factors = calibrate_(net, data)
    for i, (old, new) in enumerate(zip(before, net.parameters(), strict=True)):
        expected = old * factors[str(i // 2 * 2)] if old.ndim == 2 else old
        assert torch.equal(new.detach(), expected)


@pytest.mark.parametrize(
    "layer",
    [nn.Conv1d(3, 5, 3), nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 3), nn.Conv2d(3, 6, 3, groups=3)],
)
def test_convolutions_are_scaled_with_their_bias_in_place(layer: Any) -> None:
    layer = layer.double()
    with torch.no_grad():
        layer.bias.uniform_(-0.3, 0.3)
    data = sample(4, 3, *[9] * len(layer.kernel_size))
    calibrate_(layer, data, 2.0)
    assert float(layer(data).detach().var(correction=0)) == pytest.approx(2.0, rel=1e-13)


@pytest.mark.parametrize(("kind", "target"), [(nn.RNN, 0.3), (nn.GRU, 0.2), (nn.LSTM, 0.05)])
def test_recurrent_layers_are_scaled_by_one_factor(kind: Any, target: float) -> None:
    """2^-40 in the factor is 1e-12 of it, and at most some ten times that of the variance."""
    torch.manual_seed(2)
    layer, data = kind(4, 6, 2).double(), sample(12, 5, 4)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    factors = calibrate_(layer, data, target)
    assert float(layer(data)[0].detach().var(correction=0)) == pytest.approx(target, rel=1e-10)
    for name, value in layer.named_parameters():
        expected = before[name] * (factors[""] if name.startswith("weight") else 1.0)
        torch.testing.assert_close(value.detach(), expected, rtol=1e-15, atol=0.0)


class Mixed(nn.Module):
    """Dropout and batch statistics, which a pass in training changes, and a layer that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)
        self.second, self.unused = nn.Linear(4, 2), nn.Linear(2, 2)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.calls: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        result: torch.Tensor = self.second(self.drop(self.norm(self.first(x))))
        return result


def test_nothing_but_the_weights_of_used_layers_changes() -> None:
    net = Mixed().train()
    net.norm.eval()
    net(sample(6, 3).float()).sum().backward()
    net.calls.zero_()
    before = {n: v.detach().clone() for n, v in (*net.named_parameters(), *net.named_buffers())}
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    torch.manual_seed(5)
    factors = calibrate_(net, sample(6, 3).float())
    drawn = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(()))
    assert set(factors) == {"first", "second"}
    for name, value in (*net.named_parameters(), *net.named_buffers()):
        assert torch.equal(value, before[name]) == (name not in ("first.weight", "second.weight")), name
    for p, known in zip(net.parameters(), gradients, strict=True):
        assert (p.grad is None) if known is None else torch.equal(p.grad, known)  # type: ignore[arg-type]
    assert net.training
    assert net.drop.training
    assert not net.norm.training
    assert not any(part._forward_hooks for part in net.modules())


def test_layers_without_a_name_are_left_alone() -> None:
    net, data = deep(), sample(50, 20)
    assert list(calibrate_(net, data, {"4": 0.5, "0": 2.0})) == ["0", "4"]
    found = outputs(net, data)
    assert float(found["0"].var(correction=0)) == pytest.approx(2.0, rel=1e-13)
    assert float(found["4"].var(correction=0)) == pytest.approx(0.5, rel=1e-13)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(self.layer(x))
        return result


def tied() -> nn.Module:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return nn.Sequential(first, second)


def dead() -> nn.Module:
    first = nn.Linear(3, 3)
    nn.init.constant_(first.bias, -1e3)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(3, 3))


def biased() -> nn.Module:
    layer = nn.Linear(3, 3)
    layer.bias.data = torch.tensor([-10.0, 0.0, 10.0])
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    ("net", "variance", "message"),
    [
        (dead(), 1.0, "module: got a dead layer '2'"),
        (Twice(), 1.0, "module: got 'layer' called twice"),
        (tied(), 1.0, "module: got one weight in '0' and '1'"),
        (biased(), 1.0, "variance: got 1 for '0', whose bias alone has variance"),
        (
            nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
            1.0,
            "module: got '' whose weight is computed",
        ),
        (nn.RNN(3, 4), 2.0, "variance: got 2 for 'the module itself', expected between"),
        (nn.Sequential(nn.Linear(3, 3)), 0.0, "variance: got 0.0, expected a positive number"),
        (nn.Sequential(nn.Linear(3, 3)), math.nan, "variance: got nan"),
        (nn.Sequential(nn.Linear(3, 3)), {"1": 1.0}, "variance: got a layer '1', expected names among 0"),
        (3, 1.0, "module: got int 3"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_and_left_as_it_was(
    net: Any, variance: Any, message: str
) -> None:
    before = [p.detach().clone() for p in net.parameters()] if isinstance(net, nn.Module) else []
    with pytest.raises(ArgumentError) as error:
        calibrate_(net, sample(7, 3).float(), variance)
    assert str(error.value).startswith(message)
    if isinstance(net, nn.Module):
        assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
        assert not any(part._forward_hooks for part in net.modules())


def test_an_error_of_the_module_itself_is_passed_on() -> None:
    first = nn.Linear(3, 3)
    before = first.weight.detach().clone()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        calibrate_(nn.Sequential(first, nn.Linear(2, 2)), sample(7, 3).float())
    assert torch.equal(first.weight, before)


def compiled(module: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


class Tied(nn.Module):
    """A head whose weight is that of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.middle = nn.Embedding(20, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(torch.tanh(self.middle(self.embedding(x))))
        return result


class Standardised(nn.Linear):
    """Its output does not depend on the scale of its weight."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        centred = self.weight - self.weight.mean(1, keepdim=True)
        return nn.functional.linear(input, centred / centred.std(1, keepdim=True), self.bias)


class Squashed(nn.Linear):
    """A subclass whose output is not affine in its weight."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.tanh(super().forward(input))


class Counting(nn.Module):
    """Another function at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(8, 8), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        result: torch.Tensor = self.layer(x * self.calls)
        return result


def packed() -> Any:
    return nn.utils.rnn.pack_sequence([sample(5, 8).float(), sample(3, 8).float()])


@pytest.mark.parametrize(
    ("layer", "data", "target"),
    [
        (nn.Bilinear(8, 8, 5), (sample(40, 8).float(), sample(40, 8).float().flip(0)), 3.0),
        (nn.MultiheadAttention(8, 2), (sample(6, 4, 8).float(),) * 3, 2.0),
        (nn.RNNCell(8, 8), sample(40, 8).float(), 0.2),
        (nn.GRUCell(8, 8), sample(40, 8).float(), 0.1),
        (nn.LSTMCell(8, 8), sample(40, 8).float(), 0.02),
        (nn.LSTM(8, 6), packed(), 0.1),
        (Squashed(8, 8), sample(40, 8).float(), 0.3),
    ],
)
def test_layers_of_other_kinds_are_scaled(layer: Any, data: Any, target: float) -> None:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    factors = calibrate_(layer, data, target)
    assert list(factors) == [""]
    assert factors.left_alone == {}
    output = layer(*data) if type(data) is tuple else layer(data)
    values = output if isinstance(output, torch.Tensor) else output[0]
    values = values if isinstance(values, torch.Tensor) else values.data
    assert float(values.detach().double().var(correction=0)) == pytest.approx(target, rel=1e-4)


def test_every_layer_of_a_transformer_block_is_scaled() -> None:
    torch.manual_seed(0)
    block, data = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), sample(4, 6, 8).float()
    factors = calibrate_(block, data, 0.5)
    assert set(factors) == {"self_attn", "linear1", "linear2"}
    for name, found in outputs(block, data, (nn.Linear, nn.MultiheadAttention)).items():
        assert float(found.var(correction=0)) == pytest.approx(0.5, rel=1e-4), name


@pytest.mark.parametrize(
    ("net", "data", "scaled", "left", "reason"),
    [
        (Tied(), torch.arange(20).reshape(4, 5), ["middle"], "head", "shared with 'embedding.weight'"),
        (
            nn.Sequential(nn.Linear(8, 8), Standardised(8, 8), nn.Linear(8, 3)),
            None,
            ["0", "2"],
            "1",
            "between",
        ),
        (nn.Sequential(nn.Linear(8, 8), Squashed(8, 8)), None, ["0"], "1", "between"),
        (nn.Sequential(compiled(nn.Linear(8, 8)), nn.Linear(8, 3)), None, ["1"], "0", "compiled"),
    ],
)
def test_layers_that_cannot_be_scaled_are_left_and_named(
    net: nn.Module, data: Any, scaled: list[str], left: str, reason: str
) -> None:
    data = sample(50, 8).float() if data is None else data
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    factors = calibrate_(net, data)
    assert list(factors) == scaled
    assert reason in factors.left_alone[left]
    for name, value in net.named_parameters():
        layer, _, key = name.rpartition(".")
        changed = layer in scaled and key == "weight"
        assert torch.equal(value, before[name]) == (not changed), name
    for name, found in outputs(net, data).items():
        if name in scaled:
            assert float(found.var(correction=0)) == pytest.approx(1.0, rel=1e-4), name


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Counting(), "after scaling its output has variance"),
        (Standardised(8, 8), "no layer that could be scaled"),
        (nn.ReLU(), "no layer that could be scaled"),
        (compiled(nn.Sequential(nn.Linear(8, 8))), "RecursiveScriptModule"),
        (nn.Linear(8, 8, dtype=torch.complex64), "complex64"),
        (nn.LazyLinear(3), "uninitialised"),
    ],
)
def test_a_module_of_which_nothing_is_scaled_is_refused_and_left(net: Any, message: str) -> None:
    lazy = isinstance(net, nn.LazyLinear)
    before = [] if lazy else [p.detach().clone() for p in net.parameters()]
    data = sample(50, 8).float()
    with pytest.raises(ArgumentError, match=message):
        calibrate_(net, data.to(torch.complex64) if "complex" in message else data)
    assert lazy or all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_views_of_one_storage_are_shared_only_where_they_overlap() -> None:
    storage = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[0].weight, net[1].weight = nn.Parameter(storage[:8]), nn.Parameter(storage[8:])
    assert list(calibrate_(net, sample(50, 8).float())) == ["0", "1"]
    net[1].weight = nn.Parameter(storage[4:12])
    with pytest.raises(ArgumentError, match="one weight in '0' and '1'"):
        calibrate_(net, sample(50, 8).float())
