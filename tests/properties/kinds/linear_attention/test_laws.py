"""Kernels of matrix-valued states: reference, bounds, cases, and what a report says of a mistake."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dynprop.arrays import FloatArray
from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.kinds import all_faults
from dynprop.kinds.linear_attention.cases import LinearCase, linear_case, packed_case, whole_case
from dynprop.kinds.linear_attention.convention import CHOICES, Convention
from dynprop.kinds.linear_attention.faults.recurrent import StateInFloat16
from dynprop.kinds.linear_attention.judging import judge
from dynprop.kinds.linear_attention.kernels import Chunked, Recurrent, options
from dynprop.kinds.linear_attention.measure import measured, seen_by
from dynprop.kinds.linear_attention.solution import cotangents, solution, whole_solution
from dynprop.kinds.linear_attention.target import LinearAttention
from dynprop.laws.draw import RandomSource
from tests.properties.kinds.kinds import judged, planted

GATED = options("gated-delta", groups="interleave")
CONVENTIONS = {
    "gated delta, grouped": Convention(
        update="delta", decay="scalar", write_strength=True, groups="interleave"
    ),
    "kda, tiled": Convention(update="delta", decay="channel", write_strength=True, groups="tile"),
    "dplr": Convention(update="dplr", decay="channel", decay_space="log2"),
    "rwkv-6": Convention(decay="channel", read="before", bonus=True),
    "retention": Convention(decay="constant", scale="1/sqrt(K)"),
    "late": Convention(update="delta", decay="scalar", write_strength=True, order="decay-after"),
    "late, read before": Convention(decay="scalar", decay_space="linear", order="decay-after", read="before"),
    "normalising": Convention(update="delta", write_strength=True, normalises=1e-6),
}
CONVENTION_CASES = pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)


def drawn(convention: Convention, seed: int, dtype: str = "float64", longest: int = 33) -> LinearCase:
    draw = packed_case if seed % 3 == 2 else linear_case
    subject = SimpleNamespace(convention=convention)
    return draw(RandomSource(seed), Domain(dtypes=(dtype,)), subject, longest=longest)


# The reference.


@pytest.mark.parametrize("order", CHOICES["order"])
@pytest.mark.parametrize("read", CHOICES["read"])
def test_the_reference_is_the_recurrence_of_fractions(order: str, read: str) -> None:
    convention = Convention(
        update="delta", decay="scalar", decay_space="linear", write_strength=True, order=order, read=read
    )
    case = drawn(convention, 0, longest=5)
    found = solution(case, convention)
    assert case.decay is not None
    assert case.beta is not None

    def exact(values: FloatArray) -> list[Fraction]:
        return [Fraction(x) for x in values.tolist()]

    b, h = 0, 1
    start = np.zeros(case.state_shape[2:]) if case.initial is None else case.initial[b, h]
    state = [exact(row) for row in start]
    for t in range(case.steps):
        q, k, v = exact(case.q[b, t, h]), exact(case.k[b, t, h]), exact(case.v[b, t, h])
        d, beta = Fraction(float(case.decay[b, t, h])), Fraction(float(case.beta[b, t, h]))
        before = state
        if order == "decay-first":
            state = [[d * x for x in row] for row in state]
        seen = [sum(k[i] * state[i][j] for i in range(len(k))) for j in range(len(v))]
        state = [[state[i][j] + k[i] * beta * (v[j] - seen[j]) for j in range(len(v))] for i in range(len(k))]
        if order == "decay-after":
            state = [[d * x for x in row] for row in state]
        from_state = before if read == "before" else state
        for j in range(len(v)):
            wanted = Fraction(case.scale) * sum(q[i] * from_state[i][j] for i in range(len(k)))
            exactly = found["o"].exact
            got = Fraction(float(exactly.high[b, t, h, j])) + Fraction(float(exactly.low[b, t, h, j]))
            assert abs(got - wanted) <= abs(wanted) * Fraction(1, 2**100)


@CONVENTION_CASES
def test_results_and_gradients_in_float64_keep_to_the_bound_and_are_decided(convention: Convention) -> None:
    """The float64 loop is written for itself; its gradients are those of the hand-derived adjoint."""
    decided = []
    for seed in range(3):
        case = drawn(convention, seed, longest=17)
        exact = solution(case, convention, "everything")
        in_floats = whole_solution(case, convention)
        assert set(exact) == {"o", "final_state", *convention.leaves}
        for name, answer in exact.items():
            found = judge("", name, in_floats[name].exact.high, answer, case, convention, "everything")
            assert found.ratio <= 1.0, name
            decided.append(found.decided.mean())
    assert np.mean(decided) > 0.9


def test_gradients_are_those_of_autograd() -> None:
    case = replace(drawn(CONVENTIONS["gated delta, grouped"], 3), dtype="float64")
    kernel = LinearAttention(Recurrent(), **GATED)
    found = kernel.forms["forward"].losses(case, cotangents(case, "everything"))
    for name, answer in solution(case, kernel.convention, "everything").items():
        if name in found:
            np.testing.assert_allclose(found[name], answer.exact.high, rtol=1e-9, atol=1e-12)


def test_one_reference_serves_every_form_and_loss() -> None:
    convention = CONVENTIONS["gated delta, grouped"]
    case = drawn(convention, 4)
    with_gradients = solution(case, convention, "everything")
    assert solution(case, convention, "everything") is with_gradients
    assert solution(case, convention) is with_gradients


# The bound, from both sides.


def test_sound_kernels_stay_below_the_bound_and_are_mostly_decided() -> None:
    found = measured("gated-delta", "float32", 4, 11)
    assert 0.05 < max(found.worst.values()) <= 1.0
    assert found.share > 0.8


def test_the_bound_sees_a_coarse_state_that_a_relative_error_of_half_a_percent_does_not() -> None:
    counts = seen_by(StateInFloat16, 5, 12)
    assert counts["bound"] == counts["changed"] == 5
    assert counts["relative RMSE"] <= 1


def test_long_sums_of_decays_in_few_digits_are_undecidable() -> None:
    """The error of an exponent is exponentiated: a bound that is linear in it accuses correct chunks."""
    convention = Convention(decay="channel")
    case = linear_case(
        RandomSource(0), Domain(dtypes=("bfloat16",)), SimpleNamespace(convention=convention), shortest=129
    )
    deep = replace(case, decay=np.full((*case.v.shape[:3], case.q.shape[3]), -1.0), q=np.ones_like(case.q))
    coarse = solution(deep, convention)["o"]
    fine = solution(replace(deep, dtype="float32"), convention)["o"]
    size = np.abs(fine.exact.high[:, -1])
    assert np.median(coarse.bound[:, -1] / size) > 1.0
    assert np.median(fine.bound[:, -1] / size) < 1e-3


def test_the_decay_of_a_step_that_writes_nothing_is_as_uncertain_as_its_sum() -> None:
    """With beta 0 no other term of the bound has the factor 1 + G."""
    convention = Convention(update="delta", decay="channel", write_strength=True)
    case = drawn(convention, 0, "float32")
    assert case.beta is not None
    still = replace(case, beta=np.where(np.arange(case.steps)[:, None] == case.steps - 1, 0.0, case.beta))
    kernel = LinearAttention(Chunked("kda"), **options("kda"))
    found = kernel.forms["forward"].losses(still, cotangents(still, "final state"))
    answers = solution(still, convention, "final state")
    assert all(judge("", n, v, answers[n], still, convention).ratio <= 1.0 for n, v in found.items())


# Cases.


@CONVENTION_CASES
def test_cases_hold_what_they_promise(convention: Convention) -> None:
    for seed in range(12):
        case = drawn(convention, seed, "float32", 65)
        case.require_consistent()
        assert case.q.shape[3] > 0
        again = LinearAttention.case_from_json(case.to_json())
        for name in ("q", "decay", "initial", "beta", "a", "bonus"):
            first, second = getattr(case, name), getattr(again, name)
            assert (first is None) == (second is None)
            if first is not None:
                np.testing.assert_array_equal(first, np.float32(first))
                np.testing.assert_array_equal(first, second)
        for other in itertools.islice(case.smaller(), 12):
            other.require_consistent()
            assert other.v.size <= case.v.size


def test_the_strata_are_reached() -> None:
    convention, source = CONVENTIONS["gated delta, grouped"], RandomSource(0)
    subject = SimpleNamespace(convention=convention)
    cases = [linear_case(source, Domain(), subject) for _ in range(300)]
    assert {1, 15, 16, 17, 32, 33, 63, 64, 65, 128, 129, 200} <= {c.steps for c in cases}
    assert {c.heads // c.key_heads for c in cases} == {1, 2}
    assert {c.initial is None for c in cases} == {True, False}
    assert any(c.q.shape[3] == c.v.shape[3] for c in cases)
    packed = [packed_case(source, Domain(), subject) for _ in range(50)]
    assert {len(c.boundaries or ()) for c in packed} == {3, 4}


@pytest.mark.parametrize(("unit", "limit"), [(8, 200), (24, 40), (3, 4)])
def test_declared_lengths_are_kept(unit: int, limit: int) -> None:
    subject = SimpleNamespace(convention=Convention(multiple_of=unit))
    for seed in range(30):
        for draw in (linear_case, packed_case):
            case = draw(RandomSource(seed), Domain(max_length=limit), subject)
            edges = case.boundaries or (0, case.steps)
            assert not any(edge % unit for edge in edges)


def test_the_declared_largest_decay_is_kept_and_reached() -> None:
    convention = Convention(decay="channel", max_log_decay=30.0, chunk_size=16)
    sums = []
    for seed in range(40):
        case = drawn(convention, seed, longest=65)
        assert case.decay is not None
        for begin in range(max(1, case.steps - 15)):
            sums.append(-case.decay[:, begin : begin + 16].sum(axis=1).min())
    assert 29.0 < max(sums) <= 30.0


def test_whole_numbers_are_whole() -> None:
    for convention in CONVENTIONS.values():
        subject = SimpleNamespace(convention=convention, has_packed=True)
        for seed in range(4):
            case = whole_case(RandomSource(seed), Domain(), subject)
            assert set(np.unique(case.k)) <= {0.0, 1.0, 2.0**20}
            if convention.normalises is None:
                results = whole_solution(case, replace(convention, scale="none"))
                assert all(
                    (a.exact.high == np.round(a.exact.high)).all()
                    for n, a in results.items()
                    if n != "log_decay" or convention.decay_space == "log"
                )


# Mistakes have names.


@pytest.mark.parametrize(
    ("fault", "hypothesis"),
    [
        ("initial-state-ignored", "initial state ignored"),
        ("initial-state-transposed", "initial state transposed"),
        ("final-state-transposed", "state transposed"),
        ("decay-after-the-update", "decay after the update"),
        ("decay-for-its-logarithm", "decay taken for its logarithm"),
        ("read-before-the-update", "outputs read the state before the update"),
        ("scale-twice", "scaled by"),
        ("scale-missing", "scaled by"),
        ("keys-normalised-inside", "keys normalised inside"),
        ("heads-tiled-for-interleaved", "heads tiled for interleaved"),
        ("state-not-reset", "state not reset at the boundaries"),
        ("state-lost-between-chunks", "error begins at a multiple of 16"),
        ("initial-state-off-by-a-chunk", "error begins at a multiple of 16"),
        ("state-in-bfloat16", "state or operands in"),
        ("gradient-cut-after-ten-steps", "truncated at"),
    ],
)
def test_a_mistake_is_named(fault: str, hypothesis: str) -> None:
    subject = replace(planted(f"linear-attention/{fault}"), dtypes=("float32",))
    (law,) = (
        next(iter(f.caught_by)) for f in all_faults(["linear-attention"]) if f.name.endswith(f"/{fault}")
    )
    examples = 40 if "transposed" in fault else 6  # K and V are equal in some cases only
    result = judged(f"linear-attention/{law}", subject, Options(examples=examples, patience=0.0))
    assert result.hypothesis is not None
    assert result.hypothesis.startswith(hypothesis)


def test_a_gradient_that_is_cut_has_an_effective_lag() -> None:
    subject = replace(planted("linear-attention/gradient-cut-between-chunks"), dtypes=("float64",))
    result = judged("linear-attention/gradient-by-lag", subject, Options(examples=4, patience=0.0))
    assert result.effective_lag is not None
    assert result.effective_lag < 20


def test_every_declared_option_has_a_fault_that_is_planted_for_it() -> None:
    declared = {name for fault in all_faults(["linear-attention"]) for name in fault.domain}
    assert declared >= {
        *("update", "decay", "decay_space", "order", "read", "scale", "layout", "state_layout", "groups"),
        *(
            "normalises",
            "multiple_of",
            "max_log_decay",
            "chunk_size",
            "sizes",
            "inside",
            "overwrites",
            "names",
        ),
    }


# Forms may differ in what they take.

recurrent = Recurrent()


def without_state(q: Any, k: Any, v: Any, g: Any, beta: Any, scale: float = 1.0) -> Any:
    return recurrent(q, k, v, log_decay=g, beta=beta, scale=scale)


def with_state(q: Any, k: Any, v: Any, g: Any, beta: Any, h0: Any = None, scale: float = 1.0) -> Any:
    return recurrent(q, k, v, log_decay=g, beta=beta, initial_state=h0, scale=scale)


def single_state(q: Any, k: Any, v: Any, g: Any, beta: Any, h0: Any = None, scale: float = 1.0) -> Any:
    if v.dtype != torch.bfloat16:
        return with_state(q, k, v, g, beta, h0, scale)
    a, b, c, d, e = (x.float() for x in (q, k, v, g, beta))
    o, state = with_state(a, b, c, d, e, None if h0 is None else h0.float(), scale)
    return o.to(v.dtype), state


@pytest.mark.parametrize(
    "subject",
    [
        LinearAttention(without_state, step=with_state, update="delta"),
        LinearAttention(with_state, chunk=without_state, parallel=without_state, update="delta"),
        LinearAttention(single_state, update="delta", dtypes=("bfloat16",)),
    ],
    ids=["only the step takes a state", "a chunk takes no state", "float32 states for bfloat16"],
)
def test_a_form_that_takes_less_is_not_accused(subject: LinearAttention) -> None:
    for law in ("whole-numbers", "final-state", "gradient-dense", "resume", "padding", "shape-and-dtype"):
        result = judged(f"linear-attention/{law}", subject, Options(examples=0, iid=2, patience=0.0))
        assert result.verdict in ("pass", "undecidable", "not-applicable"), (law, result.hypothesis)


def test_a_step_without_a_state_is_refused() -> None:
    with pytest.raises(ArgumentError, match="step: got a function without an initial state"):
        LinearAttention(with_state, step=without_state, update="delta")


# Bad input is one line.


def kernel(q: Any, k: Any, v: Any, g: Any, scale: float = 1.0) -> Any:
    return v, None


@pytest.mark.parametrize(
    ("options_given", "text"),
    [
        ({"update": "delta"}, "update: got 'delta' for a kernel without beta"),
        ({"update": "dplr"}, "update: got 'dplr' for a kernel without a"),
        ({"update": "sum"}, "update: got 'sum', expected one of add, delta, dplr"),
        ({"names": {"log_decay": "w"}}, "names: got log_decay=w, expected a parameter of the kernel: q, k"),
        ({"names": {"gate": "g"}}, "names: got 'gate', expected names of arguments"),
        ({"layout": "tbhd"}, "layout: got 'tbhd'"),
        ({"multiple_of": 0}, "multiple_of: got 0"),
        ({"multiple_of": 64, "max_length": 32}, "max_length: got 32, expected at least multiple_of, 64"),
        ({"max_log_decay": -1.0}, "max_log_decay: got -1.0"),
        ({"normalises": 2.0}, "normalises: got 2.0"),
        ({"overwrites": ("o",)}, "overwrites: got 'o'"),
        ({"sizes": {"N": 3}}, "sizes: got 'N', expected K, V or both"),
        ({"sizes": {"K": 0}}, "sizes: got 0"),
        ({"step": 3}, "step: got int 3, expected a function"),
        ({"chunk": (kernel, None)}, "chunk: got NoneType None, expected a function"),
    ],
)
def test_options_that_contradict_themselves_or_the_signature_are_refused(
    options_given: dict[str, Any], text: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        LinearAttention(kernel, **options_given)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_a_scale_that_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(ArgumentError, match="scale: got 'argument' for a kernel without scale"):
        LinearAttention(lambda q, k, v: v, scale="argument")
    assert LinearAttention(lambda q, k, v: v).convention.scale == "1/sqrt(K)"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"v": np.ones((2, 3))}, r"v: got an array of shape \(2, 3\), expected one of 4 axes"),
        ({"v": np.ones((1, 22, 3, 3))}, "heads: got 3 value heads for 2 key heads"),
        ({"boundaries": (0, 5, 21)}, "cu_seqlens: got"),
        ({"boundaries": (0, 9, 5, 22)}, "cu_seqlens: got"),
    ],
)
def test_a_case_that_is_none_is_refused(changes: dict[str, Any], text: str) -> None:
    case = drawn(Convention(), 2)
    base = replace(case.take("time", slice(0, 22)), boundaries=(0, 5, 22), initial=None)
    with pytest.raises(ArgumentError, match=text):
        replace(base, **changes).require_consistent()


# The command line, and the adapters of the documentation.


def test_the_command_line_judges_a_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "kernels.py"
    target.write_text(
        "import torch\n"
        "def gated(q, k, v, g, beta, h0=None, scale=1.0):\n"
        "    shape = (v.shape[0], v.shape[2], k.shape[3], v.shape[3])\n"
        "    state = v.new_zeros(shape) if h0 is None else h0\n"
        "    outputs = []\n"
        "    for t in range(v.shape[1]):\n"
        "        state = state * g[:, t, :, None, None].exp()\n"
        "        seen = torch.einsum('bhk,bhkv->bhv', k[:, t], state)\n"
        "        u = beta[:, t, :, None] * (v[:, t] - seen)\n"
        "        state = state + k[:, t, :, :, None] * u[:, :, None]\n"
        "        outputs.append(scale * torch.einsum('bhk,bhkv->bhv', q[:, t], state))\n"
        "    return torch.stack(outputs, 1), state\n"
    )
    call = [
        "check",
        f"{target}:gated",
        "--kind",
        "linear-attention",
        "--update",
        "delta",
        "--decay",
        "scalar",
    ]
    few = ["--examples", "2", "--only", "outputs", "--only", "resume", "--inside", "input"]
    assert main([*call, *few]) == 0
    assert "linear-attention/resume" in capsys.readouterr().out
    assert main([*call, "--groups", "shared"]) == 2
    assert "groups: got 'shared', expected one of none, interleave, tile" in capsys.readouterr().err


def adapters() -> Any:
    path = Path(__file__).resolve().parents[4] / "examples" / "adapters" / "linear_attention_models.py"
    spec = importlib.util.spec_from_file_location("linear_attention_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODELS = ("linear", "retnet", "mamba2", "gla", "rwkv6", "deltanet", "gated_deltanet", "kda", "rwkv7", "mlstm")


@pytest.mark.parametrize("name", MODELS)
def test_the_adapter_of_a_model_passes(name: str) -> None:
    torch.set_num_threads(1)
    subject = getattr(adapters(), name)
    subject.preflight()
    for law in ("whole-numbers", "outputs", "gradient-dense"):
        result = judged(f"linear-attention/{law}", subject, Options(examples=0, iid=2, patience=0.0))
        assert result.verdict == (
            "pass" if law != "gradient-dense" or subject.differentiable else "not-applicable"
        )
