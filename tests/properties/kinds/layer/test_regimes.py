"""Layers at the edge: overflow, saturation, kinks, forms with needs of their own, a gradient per form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynprop.check.run.outcome import LawResult
from dynprop.check.run.runner import Options, run_law
from dynprop.errors import TargetError
from dynprop.kinds import law_by_id, laws_for
from dynprop.kinds.layer.faults.bases import Elman
from dynprop.kinds.layer.target import Layer

FEW = Options(examples=4, patience=0.0)


def judged(target: Any, law: str, **options: Any) -> LawResult:
    layer = Layer.of(target, **{"max_length": 100, **options})
    layer.preflight()
    return run_law(law_by_id(f"layer/{law}"), layer, FEW)


def recurrent(change: Callable[[Tensor], Tensor], nonlinearity: str) -> nn.RNN:
    """Return torch.nn.RNN with another recurrent matrix."""
    torch.manual_seed(0)
    module = nn.RNN(3, 8, nonlinearity=nonlinearity)
    with torch.no_grad():
        module.get_parameter("weight_hh_l0").copy_(change(module.get_parameter("weight_hh_l0")))
    return module


# Correct layers in regimes where a naive law accuses them: what was seen before the rule was there.
EDGES: dict[str, Callable[[], nn.RNN]] = {
    "overflow in float32 at lag 81": lambda: recurrent(lambda W: 3.0 * torch.eye(8), "relu"),
    "saturated, weights of 10": lambda: recurrent(lambda W: 30.0 * W, "tanh"),
    "saturated, weights of 300": lambda: recurrent(lambda W: 1000.0 * W, "tanh"),
    "kinks within the step of a difference": lambda: recurrent(lambda W: 1000.0 * W, "relu"),
    "chaotic": lambda: recurrent(lambda W: 8.0 * W, "tanh"),
}
EVERY_LAW = [law.slug for law in laws_for("layer") if law.slug not in ("side-inputs", "hand-over")]


@pytest.mark.parametrize("edge", EDGES)
def test_no_law_accuses_a_correct_layer_at_the_edge(edge: str) -> None:
    layer = Layer.of(EDGES[edge](), max_length=100)
    layer.preflight()
    results = [run_law(law_by_id(f"layer/{slug}"), layer, FEW) for slug in EVERY_LAW]
    accused = [(r.law, r.failing[1].message) for r in results if r.failed and r.failing]
    assert accused == []


def test_an_overflowing_layer_is_judged_as_long_as_it_does_not_overflow() -> None:
    overflowing = EDGES["overflow in float32 at lag 81"]
    # 3^t comes within 2^-8 of the largest float32 at t = 75.
    short = judged(overflowing(), "gradient-by-lag", dtypes=("float32",), max_length=70)
    assert (short.verdict, short.max_decided_lag, short.undecidable) == ("pass", 69, 0)
    long = judged(overflowing(), "gradient-by-lag", dtypes=("float32",), max_length=100)
    assert (long.verdict, long.undecidable) == ("pass", 1)


# A backward pass of its own for every form


def forms(module: Elman, **given: Any) -> Layer:
    def step(x_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, after = module(x_t[None], state)
        return y[0], after

    return Layer(module, **{"forward": module, "step": step, **given})


def detached_step(module: Elman) -> Layer:
    def step(x_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, after = module(x_t[None], None if state is None else state.detach())
        return y[0], after

    return forms(module, step=step)


def cut_every_eight(module: Elman) -> Layer:
    def parallel(x: Tensor) -> Tensor:
        pieces, state = [], None
        for piece in torch.split(x, 8):
            y, state = module(piece, state)
            state = state.detach()
            pieces.append(y)
        return torch.cat(pieces)

    return forms(module, parallel=parallel)


def parallel_only(module: Elman) -> Layer:
    return forms(module, forward=None, parallel=lambda x: module(x)[0])


def cut_parallel_only(module: Elman) -> Layer:
    return forms(module, forward=None, parallel=cut_every_eight(module).parallel)


def chunk_without_gradient(module: Elman) -> Layer:
    def chunk(x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            begin = module.begin(x, state)
        y, after = module(x, begin.detach())
        return y, after

    return forms(module, chunk=chunk)


@pytest.mark.parametrize("build", [detached_step, cut_every_eight, cut_parallel_only, chunk_without_gradient])
def test_a_form_that_cuts_its_gradient_is_caught_although_its_outputs_are_right(
    build: Callable[[Elman], Layer],
) -> None:
    torch.manual_seed(0)
    target = build(Elman())
    assert judged(target, "forms-agree", dtypes=("float64",)).verdict == "pass"
    result = judged(target, "gradient-by-lag", dtypes=("float64",))
    assert result.verdict == "wrong"
    assert result.effective_lag is not None
    assert result.max_decided_lag is not None
    assert result.effective_lag < 16 < result.max_decided_lag


@pytest.mark.parametrize("build", [forms, parallel_only])
def test_every_form_of_a_right_layer_has_the_right_gradient(build: Callable[[Elman], Layer]) -> None:
    torch.manual_seed(0)
    for law in ("gradient-by-lag", "gradient-initial-state", "step-gradient", "forms-agree"):
        result = judged(build(Elman()), law, dtypes=("float64", "float32"))
        assert (law, result.verdict) == (law, "pass")


def inference_only(module: Elman) -> Layer:
    @torch.no_grad()
    def kernel(x: Tensor) -> Tensor:
        y: Tensor = module(x)[0]
        return y

    return forms(module, parallel=kernel)


def severed(module: Elman) -> Layer:
    """Return a layer whose parallel form carries a gradient to its parameters and none to its inputs."""
    return forms(module, parallel=lambda x: module(x.detach())[0])


def test_a_form_for_inference_offers_no_gradient_and_is_not_asked_for_one() -> None:
    torch.manual_seed(0)
    assert judged(inference_only(Elman()), "gradient-by-lag", dtypes=("float64",)).verdict == "pass"


def test_a_form_that_is_cut_off_from_its_inputs_only_is_wrong() -> None:
    torch.manual_seed(0)
    result = judged(severed(Elman()), "gradient-by-lag", dtypes=("float64",))
    assert (result.verdict, result.effective_lag) == ("wrong", -1)


# A step that takes no None for a state


def picky(module: Elman) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    def step(x_t: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        after = module.cell(x_t, 1.0 * state)
        return after, after

    return step


@pytest.mark.parametrize("slug", EVERY_LAW)
def test_a_step_that_needs_a_state_is_started_by_the_whole_call(slug: str) -> None:
    torch.manual_seed(0)
    module = Elman()
    target = Layer(module, forward=module, step=picky(module), max_length=12)
    law = law_by_id(f"layer/{slug}")
    layer = Layer.of(target)
    layer.preflight()
    assert layer.needs_state == {"step"}
    if law.applies(layer) is None:
        result = run_law(law, layer, FEW)
        assert (result.verdict, result.failing) == ("pass", None)


def test_a_step_that_nothing_can_start_is_a_mistake_of_the_call() -> None:
    module = Elman()
    layer = Layer.of(Layer(module, parallel=lambda x: module(x)[0], step=picky(module)))
    with pytest.raises(TargetError, match="step called without a state raised TypeError") as caught:
        layer.preflight()
    assert "give initial_state=" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_initial_state_starts_what_needs_one() -> None:
    torch.manual_seed(0)
    module = Elman()
    target = Layer(
        module,
        parallel=lambda x: module(x)[0],
        step=picky(module),
        initial_state=lambda batch: torch.zeros(batch, 8),
    )
    for law in ("forms-agree", "gradient-by-lag", "step-gradient", "inputs-unchanged"):
        assert judged(target, law, max_length=12).verdict == "pass"
