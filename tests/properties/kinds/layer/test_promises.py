"""What a layer promises beside its outputs: parameters, cuts, references; and what it costs to ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds.layer.faults.bases import Elman, Gru
from dynprop.kinds.layer.faults.truncation import Windows
from dynprop.kinds.layer.gradient import first_state
from dynprop.kinds.layer.gradient_parameters import dense, gradient_cases
from dynprop.kinds.layer.step_chain import chained
from dynprop.kinds.layer.target import Layer
from tests.properties.kinds.kinds import judged

FIXED_ONLY = Options(examples=1, budget=0.0, patience=0.0)
SHORT: dict[str, Any] = {"max_length": 12, "dtypes": ("float64",)}


def ready(target: Any, **options: Any) -> Any:
    layer = Layer.of(target, **{**SHORT, **options})
    layer.preflight()
    return layer


class ScaledElman(Elman):
    """A layer with a parameter that has no axes."""

    def __init__(self, input_size: int = 3, hidden_size: int = 4) -> None:
        super().__init__(input_size, hidden_size)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def cell(self, x_t: Tensor, state: Tensor) -> Tensor:
        return super().cell(self.scale * x_t, state)


@pytest.mark.parametrize("law", ["split-resume", "memory-layout", "gradient-parameters"])
def test_a_parameter_may_be_a_single_number(law: str) -> None:
    result = judged(f"layer/{law}", ready(ScaledElman), Options(examples=3, patience=0.0))
    assert result.verdict == "pass", result.counterexample


# Parameters that no module holds


def tree(*, fixed: str = "") -> Layer:
    """Return functions that take their parameters as a tree; one of them may be used without a gradient."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"w": (3, 4), "u": (4, 4), "start": (4,)}
    values = {name: torch.randn(shape, generator=generator) / 2 for name, shape in shapes.items()}

    def initial_state(batch: int, parameters: dict[str, Tensor]) -> Tensor:
        return parameters["start"].repeat(batch, 1)

    def forward(
        x: Tensor, state: Tensor | None = None, parameters: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        assert parameters is not None
        used = {name: v.detach() if name == fixed else v for name, v in parameters.items()}
        h = initial_state(x.shape[1], used) if state is None else state
        outputs = [h[None][:0]]
        for x_t in x:
            h = torch.tanh(x_t @ used["w"] + h @ used["u"])
            outputs.append(h[None])
        return torch.cat(outputs), h

    return Layer(forward=forward, initial_state=initial_state, parameters=values)


@pytest.mark.parametrize(("fixed", "verdict"), [("", "pass"), ("u", "wrong"), ("start", "wrong")])
def test_the_gradient_to_a_tree_of_parameters_is_judged(fixed: str, verdict: str) -> None:
    result = judged("layer/gradient-parameters", ready(tree(fixed=fixed)), Options(examples=4, patience=0.0))
    assert result.verdict == verdict
    if fixed and result.counterexample is not None:
        assert result.counterexample.detail["parameter"] == fixed


def test_the_sum_of_single_steps_is_the_gradient_of_autograd() -> None:
    layer = ready(nn.GRU)
    case = next(iter(gradient_cases(layer.domain, layer)))
    start = first_state(layer, case)
    assert start is not None
    expected = chained(layer, case, start, dense(layer, case, start))
    pulled = layer.pullback(case.inputs, start, "float64", {}, expected.weights, "forward", case.steps)
    for name, value in expected.products.pullback.parameters.items():
        assert np.abs(value).max() > 1e-2
        # Observed: 1.7e-15 at most.
        np.testing.assert_allclose(pulled.parameters[name], value, rtol=0, atol=1e-13)
        assert 0.0 < expected.parameters[name] < 1e-11


def test_parameters_that_cannot_be_used_are_one_line() -> None:
    with pytest.raises(ArgumentError, match="expected floating arrays"):
        Layer.of(Layer(forward=lambda x, h=None: (x, h), parameters={"n": torch.zeros(2, dtype=torch.int64)}))


# Cuts


@pytest.mark.parametrize(
    ("windows", "seen"),
    [
        (None, [0, 0, 0, 0, 1, 2, 3, 4]),
        ("start", [0, 0, 0, 3, 3, 3, 6, 6]),
        ("end", [0, 0, 2, 2, 2, 5, 5, 5]),
    ],
)
def test_the_first_step_that_an_output_sees(windows: str | None, seen: list[int]) -> None:
    domain = Domain(max_length=8, reach=3, windows=windows)
    assert [domain.first_seen(t, 8) for t in range(8)] == seen
    # A cut right before a step is seen by no output behind it.
    assert domain.uncut == (3 if windows is None else 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reach": -1}, "reach: got -1, expected a whole number of at least 0"),
        ({"reach": 9, "max_length": 8}, "reach: got 9, expected at most max_length, 8"),
        ({"windows": "end"}, "windows: got 'end' and no reach"),
        ({"windows": "end", "reach": 0}, "windows: got 'end' and reach 0"),
        ({"windows": "middle", "reach": 2}, "windows: got 'middle', expected one of start, end"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Domain(**options)


def test_a_cut_is_judged_from_both_sides() -> None:
    for reach, verdict in ((6, "pass"), (5, "wrong"), (7, "wrong")):
        layer = ready(Windows, max_length=20, reach=reach, windows="end")
        assert judged("layer/truncation", layer, FIXED_ONLY).verdict == verdict
    # The state given is asked for as far as no cut reaches.
    layer = ready(Windows, max_length=20, reach=6, windows="end")
    found = judged("layer/gradient-initial-state", layer, Options(examples=4, patience=0.0))
    assert (found.verdict, found.cases > 0) == ("pass", True)


# References


def test_a_reference_has_the_same_parameters_and_other_names() -> None:
    names = {f"{name}_l0": f"cell.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}

    class Cells(nn.Module):
        def __init__(self, input_size: int = 3, hidden_size: int = 8) -> None:
            super().__init__()
            self.input_size = input_size
            self.cell = nn.GRUCell(input_size, hidden_size)

        def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            outputs = []
            for x_t in x:
                state = self.cell(x_t, state)
                outputs.append(state)
            return torch.stack(outputs), outputs[-1]

    options = Options(examples=3, patience=0.0)
    layer = ready(nn.GRU, reference=Cells, reference_parameters=names)
    assert judged("layer/reference", layer, options).verdict == "pass"
    assert judged("layer/reference", ready(nn.GRU), options).not_applicable


@pytest.mark.parametrize(
    ("reference", "names", "message"),
    [
        (Elman, {}, "a reference without recur.bias, expected the parameters of the target"),
        (lambda: Gru(hidden_size=4), {}, "of shape"),
        (nn.GRU, {}, "a reference without read.weight, read.bias, recur.weight, recur.bias; one that has"),
        (Gru, {"no": "where"}, "reference_parameters: got no, expected a parameter: read.weight"),
    ],
)
def test_a_reference_with_other_parameters_is_refused(
    reference: Any, names: dict[str, str], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        Layer.of(Gru, reference=reference, reference_parameters=names)


def test_a_reference_that_returns_something_else_is_refused() -> None:
    class Twice(Elman):
        def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
            y, last = super().forward(x, state)
            return torch.cat([y, y], -1), last

    layer = Layer.of(Elman, reference=Twice)
    with pytest.raises(TargetError, match="the reference returns outputs"):
        layer.preflight()


def test_a_reference_of_another_kind_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "scans.py"
    file.write_text("from dynprop.check import Scan\nscan = Scan(lambda gates, inputs, initial: inputs)\n")
    arguments = ["torch.nn:GRU", "--kind", "layer", "--reference", f"{file}:scan"]
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "is a Scan" in error


# What one case costs


def test_laws_that_draw_the_same_case_share_its_chain() -> None:
    layer = ready(nn.GRU)
    case = next(iter(gradient_cases(layer.domain, layer)))
    start = first_state(layer, case)
    assert start is not None
    weights = dense(layer, case, start)
    assert chained(layer, case, start, weights) is chained(layer, case, start, weights)
    assert chained(layer, case, start, weights, cuts={3}) is not chained(layer, case, start, weights)
