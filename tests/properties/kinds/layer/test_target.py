"""A layer is judged as it is: in its own form, in the format that is asked for, and left as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.arrays import FloatArray
from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options, run_law
from dynprop.contracts.states import State
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.layer.axes import Axes
from dynprop.kinds.layer.faults.bases import Diagonal, Elman
from dynprop.kinds.layer.target import Layer

FEW = Options(examples=2, patience=0.0)
SIDES: dict[str, FloatArray] = {}


def running(target: Any, **options: Any) -> Any:
    layer = Layer.of(target, **{"max_length": 8, **options})
    layer.preflight()
    return layer


def judged(law: str, layer: Any) -> LawResult:
    return run_law(law_by_id(f"layer/{law}"), layer, FEW)


def called(layer: Any, inputs: FloatArray, state: State | None = None, dtype: str = "float64") -> FloatArray:
    values: FloatArray = layer.call(layer.primary, inputs, state, dtype, SIDES)[0]
    return values


def inputs(batch: int = 2, steps: int = 5, features: int = 3) -> FloatArray:
    return np.random.default_rng(0).standard_normal((batch, steps, features))


# What may be given


def test_a_module_is_judged_in_a_copy_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    module = nn.GRU(3, 8).train()
    before = copy.deepcopy(module.state_dict())
    layer = running(module)
    for law in ("own-steps", "shape-and-dtype", "step-gradient"):
        assert judged(law, layer).verdict == "pass"
    assert module.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in module.parameters())
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert layer.name == "GRU"


def test_a_module_in_training_is_judged_in_evaluation() -> None:
    module = nn.LSTM(3, 8, num_layers=2, dropout=0.5).train()
    assert judged("no-hidden-state", running(module)).verdict == "pass"


def test_a_class_is_built_with_the_usual_sizes_and_a_seed() -> None:
    first, again, other = (running(nn.GRU, seed=seed) for seed in (1, 1, 2))
    assert (first.input_size, first.units, first.name) == (3, 8, "GRU")
    x = inputs()
    assert called(first, x).tolist() == called(again, x).tolist()
    assert called(first, x).tolist() != called(other, x).tolist()


def test_other_sizes_may_be_asked_for() -> None:
    layer = running(nn.GRU, sizes={"input_size": 5, "hidden_size": 4})
    assert (layer.input_size, layer.units) == (5, 4)
    assert called(layer, inputs(features=5)).shape == (2, 5, 4)


def test_sizes_that_are_asked_for_are_honoured_or_refused_with_the_signature() -> None:
    def build(input_size: int = 16, width: int = 5) -> nn.Module:
        return nn.GRU(input_size, width)

    layer = running(build, sizes={"input_size": 4, "width": 7})
    assert isinstance(layer.calls.interface.module, nn.GRU)
    assert (layer.calls.interface.input_size, layer.calls.interface.module.hidden_size) == (4, 7)
    with pytest.raises(
        TargetError, match=r"--sizes hidden_size=7 does not fit .*build\(input_size: 'int' = 16"
    ):
        Layer.of(build, sizes={"hidden_size": 7})


def test_sizes_of_a_layer_that_is_built_are_refused_unless_it_states_none() -> None:
    with pytest.raises(ArgumentError, match="sizes: got input_size=5, expected none: the target is built"):
        Layer.of(nn.GRU(4, 6), sizes={"input_size": 5})
    assert running(nn.GRU(4, 6), sizes={"input_size": 4}).calls.interface.input_size == 4
    stateless = Layer(forward=lambda x, state=None: (x, state))
    assert running(stateless, sizes={"input_size": 5}).calls.interface.input_size == 5


def test_a_builder_without_sizes_is_called_without_them() -> None:
    def build() -> nn.Module:
        return nn.RNN(6, 4)

    layer = running(build)
    assert (layer.input_size, layer.units) == (6, 4)
    assert "build" in layer.name


def test_a_builder_that_takes_sizes_gets_them() -> None:
    asked: list[dict[str, int]] = []

    def build(**sizes: int) -> nn.Module:
        asked.append(sizes)
        return nn.RNN(**sizes)

    running(build, sizes={"hidden_size": 5})
    assert asked == [{"input_size": 3, "hidden_size": 5}]


def test_a_partial_class_is_a_builder() -> None:
    layer = running(partial(nn.LSTM, num_layers=2, proj_size=3))
    assert layer.units == 3
    assert called(layer, inputs()).shape == (2, 5, 3)


def test_a_builder_may_return_a_layer() -> None:
    def build(input_size: int, hidden_size: int) -> Layer:
        module = nn.GRU(input_size, hidden_size, batch_first=True)

        def forward(x: Tensor, state: Tensor | None = None) -> Any:
            return module(x, state)

        return Layer(module, forward=forward, batch_axis=0)

    layer = running(build)
    assert (layer.interface.axes, layer.input_size) == (Axes(0, 1), 3)
    assert called(layer, inputs(4, 6)).shape == (4, 6, 8)


# Axes


@pytest.mark.parametrize("batch_first", [True, False])
def test_batch_first_is_read_from_the_module(batch_first: bool) -> None:
    layer = running(partial(nn.GRU, batch_first=batch_first))
    assert layer.interface.axes == (Axes(0, 1) if batch_first else Axes(1, 0))
    assert called(layer, inputs(4, 6)).shape == (4, 6, 8)


def test_one_axis_gives_the_other_and_two_equal_ones_are_refused() -> None:
    assert running(partial(nn.GRU, batch_first=True), batch_axis=0).interface.axes == Axes(0, 1)
    assert running(nn.GRU, time_axis=0).interface.axes == Axes(1, 0)
    with pytest.raises(ArgumentError, match="time_axis: got 1, expected an axis other than batch_axis"):
        Layer.of(nn.GRU, time_axis=1, batch_axis=1)


class StackedState(nn.Module):
    """Its state holds a tensor (layer, batch, unit), a scalar of all rows, and a number."""

    def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
        super().__init__()
        self.input_size = input_size
        self.inner = nn.GRU(input_size, hidden_size, num_layers=2)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, dict[str, Any]]:
        y, last = self.inner(x, None if state is None else state["h"])
        return y, {"h": last, "scale": x.new_ones(()), "name": "gru"}


def test_the_batch_axis_of_every_part_of_a_state_is_found() -> None:
    layer = running(StackedState)
    _, state = layer.call("forward", inputs(4), None, "float64", SIDES)
    assert state.batch_axes == (1, None)
    assert [leaf.shape for leaf in state.leaves] == [(2, 4, 8), ()]
    assert [leaf.shape for leaf in state.rows(slice(1, 3)).leaves] == [(2, 2, 8), ()]
    tree = layer.calls.native_state(state)
    assert (sorted(tree), tree["name"]) == (["h", "name", "scale"], "gru")
    assert judged("row-alone-with-state", layer).verdict == "pass"
    assert layer.state_obstacle == "a part of the state has no batch axis"


def test_a_batch_axis_that_is_stated_is_believed() -> None:
    assert running(nn.GRU, state_batch_axis=1).findings.batch_axes == (1,)


# Adapters


def adapter(build: type[Diagonal] = Diagonal, **options: Any) -> Layer:
    """Return a Layer whose every form closes over one module."""
    torch.manual_seed(0)
    module = build()
    forms: dict[str, Any] = {
        "forward": lambda x, state=None: module(x, state),
        "step": lambda x_t, state: module.step(x_t, state),
        "chunk": lambda x, state: module.chunk(x, state),
        "parallel": lambda x: module.parallel(x),
        "initial_state": lambda batch: module.initial_state(batch),
    }
    return Layer(module, **{**forms, **options})


def test_all_forms_of_an_adapter_are_called_and_agree() -> None:
    layer = running(adapter())
    assert layer.forms == {"forward", "step", "chunk", "parallel", "initial_state"}
    for law in ("forms-agree", "hand-over", "own-initial-state", "own-steps", "own-state-accepted"):
        assert judged(law, layer).verdict == "pass", law


def test_the_forms_of_a_module_are_found_by_their_names() -> None:
    assert running(Diagonal).forms == {"forward", "step", "chunk", "parallel", "initial_state"}
    assert running(nn.GRU).forms == {"forward"}


@pytest.mark.parametrize(
    ("missing", "primary"), [((), "forward"), (("forward",), "chunk"), (("forward", "chunk"), "parallel")]
)
def test_the_primary_form_is_forward_or_chunk_or_parallel(missing: tuple[str, ...], primary: str) -> None:
    left_out: dict[str, Any] = dict.fromkeys(missing)
    layer = running(adapter(**left_out))
    assert layer.primary == primary
    assert layer.takes_state == (primary != "parallel")
    for law in ("own-steps", "forms-agree", "causality", "row-alone", "row-alone-with-state"):
        assert judged(law, layer).verdict in ("pass", "not-applicable"), law


def test_a_step_alone_is_not_enough() -> None:
    layer = Layer.of(adapter(forward=None, chunk=None, parallel=None))
    with pytest.raises(TargetError, match=r"has only a step: give Layer\(forward=...\) or chunk= beside it"):
        layer.preflight()


def test_forms_without_a_module_need_none() -> None:
    def forward(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = x.new_zeros(x.shape[1:]) if state is None else state
        y = torch.stack([h := 0.5 * h + x_t for x_t in x]) if len(x) else x
        return y, h

    layer = running(Layer(forward=forward, name="leaky", input_size=2))
    assert (layer.input_size, layer.units, layer.name) == (2, 2, "leaky")
    for law in ("split-resume", "gradient-by-lag"):
        assert judged(law, layer).verdict == "pass"


def spanned(module: Elman, seen: list[dict[str, Any]]) -> Callable[..., Any]:
    def forward(x: Tensor, state: Tensor | None = None, *, dt: Tensor, mask: Tensor) -> Any:
        seen.append({"dt": tuple(dt.shape), "mask": tuple(mask.shape), "x": tuple(x.shape)})
        return module(x * dt[..., None] + mask.sum(-1, keepdim=True), state)

    return forward


def test_side_inputs_have_the_axes_of_x_and_their_own() -> None:
    seen: list[dict[str, Any]] = []
    module = Elman()
    layer = running(Layer(module, forward=spanned(module, seen), side={"mask": (4,)}))
    assert dict(layer.side_shapes) == {"dt": (), "mask": (4,)}
    assert seen[0] == {"dt": (2, 2), "mask": (2, 2, 4), "x": (2, 2, 3)}
    seen.clear()
    sides = {"dt": np.ones((3, 5)), "mask": np.ones((3, 5, 4))}
    layer.call("forward", inputs(3, 5), None, "float64", sides)
    assert seen == [{"dt": (5, 3), "mask": (5, 3, 4), "x": (5, 3, 3)}]
    for law in ("side-inputs", "own-steps", "gradient-by-lag"):
        assert judged(law, layer).verdict == "pass", law


class Padded(Elman):
    """Its state stops at the length of each row."""

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        h, outputs = self.begin(x, state), [x.new_zeros(0, x.shape[1], self.hidden_size)]
        for t, x_t in enumerate(x):
            following = self.cell(x_t, h)
            h = following if lengths is None else torch.where((t < lengths)[:, None], following, h)
            outputs.append(h[None])
        return torch.cat(outputs), h


def test_lengths_are_offered_where_forward_takes_them() -> None:
    assert running(Elman).shortest_row is None
    assert running(Padded).shortest_row == 0
    assert running(nn.GRU).shortest_row == 1  # as pack_padded_sequence documents
    for target in (Padded, nn.GRU):
        assert judged("padding", running(target, dtypes=("float64",))).verdict == "pass"
    assert judged("padding", running(Elman)).verdict == "not-applicable"


def test_packed_rows_give_what_the_row_alone_gives() -> None:
    layer = running(partial(nn.GRU, batch_first=True))
    x = inputs(3, 6)
    y, state = layer.call("forward", x, None, "float64", SIDES, (6, 1, 4))
    for row, length in enumerate((6, 1, 4)):
        alone, last = layer.call("forward", x[row : row + 1, :length], None, "float64", SIDES)
        np.testing.assert_allclose(y[row, :length], alone[0], atol=1e-15)  # outputs below 1, one rounding
        np.testing.assert_allclose(state.leaves[0][:, row], last.leaves[0][:, 0], atol=1e-15)


# Formats


def test_float64_is_really_used() -> None:
    module = nn.GRU(3, 8)
    layer = running(module)
    x = inputs()
    time_first = torch.from_numpy(np.moveaxis(x, 0, 1).copy())
    expected = copy.deepcopy(module).double()(time_first)[0].detach().numpy()
    assert called(layer, x).tolist() == np.moveaxis(expected, 0, 1).tolist()
    single = called(layer, x, dtype="float32")
    assert 1e-9 < np.abs(single - called(layer, x)).max() < 1e-5


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_parameters_are_converted_and_come_back_without_a_loss(dtype: str) -> None:
    layer = running(nn.GRU)
    before = called(layer, inputs())
    called(layer, inputs(), dtype=dtype)
    assert {str(p.dtype) for p in layer.interface.module.parameters()} == {f"torch.{dtype}"}
    assert called(layer, inputs()).tolist() == before.tolist()


class Rotating(nn.Module):
    """h_t = w h_{t-1} + v x_t with a complex w: a diagonal state-space layer."""

    def __init__(self, input_size: int = 3, hidden_size: int = 4) -> None:
        super().__init__()
        self.input_size = input_size
        phase = torch.linspace(0.1, 1.5, hidden_size)
        self.turn = nn.Parameter(torch.polar(torch.full_like(phase, 0.9), phase))
        self.read = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(self.read(x.sum(0))) * self.turn if state is None else state
        outputs = []
        for x_t in x:
            h = self.turn * h + self.read(x_t)
            outputs.append(h.real)
        return torch.stack(outputs), h


def test_complex_parameters_and_states_keep_their_imaginary_parts() -> None:
    layer = running(Rotating, dtypes=("float64", "float32"))
    before = called(layer, inputs())
    assert called(layer, inputs(), dtype="float32") == pytest.approx(before, abs=1e-5)
    assert str(layer.interface.module.turn.dtype) == "torch.complex64"
    assert float(layer.interface.module.turn.detach().imag.abs().min()) > 0.05
    assert called(layer, inputs()).tolist() == before.tolist()
    _, state = layer.call("forward", inputs(), None, "float64", SIDES)
    assert state.dtypes == ("complex128",)
    assert np.abs(state.leaves[0].imag).max() > 0.1
    for law in ("split-resume", "own-steps", "shape-and-dtype", "row-alone-with-state"):
        assert judged(law, layer).verdict == "pass", law
    assert judged("gradient-by-lag", layer).note == "the state is complex"


def test_formats_that_the_forms_of_an_adapter_do_not_keep_are_left_out_with_a_note() -> None:
    module = Elman().double()

    def forward(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if x.dtype == torch.bfloat16:
            raise RuntimeError("no kernel for bfloat16")
        y, last = module(x, state)
        return y, last

    layer = running(Layer(module, forward=forward))
    assert layer.domain.dtypes == ("float64", "float32")
    assert layer.note == "bfloat16 is not offered (RuntimeError: no kernel for bfloat16)"
    layer.preflight()
    assert (layer.domain.dtypes, layer.note[:8]) == (("float64", "float32"), "bfloat16")
    assert running(Layer(module, forward=forward, dtypes=("float32",))).note == ""


def test_what_a_layer_promises_is_what_it_is_judged_by() -> None:
    layer = running(nn.GRU, dtypes=("float32",), max_length=5, inputs="positive", reach=3)
    domain = layer.domain
    assert (domain.dtypes, domain.max_length, domain.inputs, domain.reach) == (("float32",), 5, "positive", 3)
    declared = Layer(nn.GRU(3, 8), dtypes=("float32",), max_length=5)
    assert running(declared, max_length=7).domain.max_length == 7


# Mistakes


def line(target: Any, **options: Any) -> str:
    with pytest.raises(TargetError) as caught:
        running(target, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class OutputsOnly(nn.Module):
    """Returns y alone."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        return x


class Flattening(nn.Module):
    """Returns its outputs with batch and time in one axis."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(0, 1), x[-1]


class NoTensor(nn.Module):
    """Returns a list of outputs."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        return list(x), x[-1]


class WrongFeatures(nn.Module):
    """Wants seven features and does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.GRU(7, 2)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Any:
        return self.inner(x, state)


CALLED = (
    "kind layer takes forward(x, state=None) -> (y, state); target called with x float64 (2, 2, 3) (torch)"
)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            OutputsOnly,
            f"{CALLED}: forward returned torch float64 array of shape (2, 2, 3), expected (y, state)",
        ),
        (Flattening, f"{CALLED}: y has shape (4, 3), expected batch 2 at axis 1 and time 2 at axis 0"),
        (NoTensor, f"{CALLED}: y is list [tensor("),
    ],
)
def test_a_module_that_does_not_fit_its_kind_is_one_line(target: Any, expected: str) -> None:
    assert line(target).startswith(expected)


def test_a_module_that_raises_on_ordinary_input_is_told_so_by_its_laws() -> None:
    layer = running(WrongFeatures)
    result = judged("row-alone", layer)
    assert (result.verdict, result.errors) == ("error", result.cases)
    assert result.counterexample is not None
    assert "Expected 7, got 3" in result.counterexample.message


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            3,
            "int 3 is not a layer: kind layer takes a torch module, a class or function that builds one, "
            "or a dynprop.check.Layer",
        ),
        (lambda: 4, "returned int 4, expected a torch module or a dynprop.check.Layer"),
        (lambda input_size, hidden_size: None, "returned NoneType None, expected a torch module"),
    ],
)
def test_what_is_no_layer_is_one_line(target: Any, expected: str) -> None:
    assert expected in line(target)


def test_a_builder_that_raises_is_one_line_with_the_call_that_was_made() -> None:
    def build(input_size: int, hidden_size: int) -> nn.Module:
        raise ValueError("hidden_size must be a multiple of 3\nand more")

    found = line(build)
    assert "builds its target by test_a_builder_that_raises" in found
    assert "build(input_size=3, hidden_size=8) (--sizes changes that)" in found
    assert "which raised ValueError: hidden_size must be a multiple of 3" in found


def test_a_builder_that_takes_no_sizes_after_all_is_named_without_them() -> None:
    def build(**sizes: int) -> nn.Module:
        raise TypeError("no sizes") if sizes else ValueError("and no defaults")

    assert "build() (--sizes changes that), which raised ValueError: and no defaults" in line(build)


def test_a_plain_function_of_a_sequence_is_told_how_it_can_be_given() -> None:
    def forward(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, x[-1]

    assert "a plain function forward(x, state) is given as dynprop.check.Layer(forward=...)" in line(forward)


def test_a_layer_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Layer: got neither a target nor a form"):
        Layer()


def test_a_framework_without_gradients_is_refused() -> None:
    with pytest.raises(ArgumentError, match="framework: got 'numpy', expected 'torch' or 'jax' for a layer"):
        Layer(nn.GRU, framework="numpy")


def test_laws_that_a_layer_cannot_be_asked_say_why() -> None:
    layer = running(nn.GRU)
    notes = {law.slug: law.applies(layer) for law in laws_for("layer")}
    assert notes["side-inputs"] == "the layer takes no side inputs"
    assert notes["own-initial-state"] == "the object offers no initial_state"
    assert notes["forms-agree"] == "the object has one form only"
    assert notes["own-steps"] is None
