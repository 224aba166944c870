"""What the strategies yield is valid, reaches every declared class, shrinks, and stays in its domain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, TypeVar

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprop import strategies
from dynprop.arrays import FloatArray, round_to
from dynprop.contracts.domain import ARITHMETICS, GATES, INPUTS, Domain
from dynprop.errors import ArgumentError
from dynprop.kinds.associative_scan import laws as associative_scan
from dynprop.kinds.associative_scan.laws import AssociativeCase
from dynprop.kinds.associative_scan.monoids import MONOIDS
from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.layer.target import Layer
from dynprop.kinds.scan.cases import ScanCase, build_case, long_case, scan_case, sized_case
from dynprop.kinds.scan.regimes import gate_regimes, input_regimes
from dynprop.laws.draw import RandomSource, length
from dynprop.laws.gates import GATE_CLASSES, gate_classes
from dynprop.strategies import associative_cases, cases, gates, layer_cases, scan_cases

T = TypeVar("T")
DTYPES = ("float64", "float32", "bfloat16")
DOMAINS = [
    Domain(gates=gate_name, inputs=input_name, dtypes=DTYPES) for gate_name in GATES for input_name in INPUTS
]


def found(strategy: st.SearchStrategy[T], condition: Callable[[T], bool]) -> T:
    """Return the simplest value that fulfils a condition."""
    options = settings(max_examples=2000, derandomize=True, database=None)
    value: T = hypothesis.find(strategy, condition, settings=options)
    return value


def inside(values: FloatArray, domain: Domain) -> bool:
    """Say whether gates keep to a domain."""
    if not np.isfinite(values).all():
        return False
    if domain.gates == "unit":
        return bool(((values > 0.0) & (values <= 1.0)).all())
    if domain.gates == "signed":
        return bool((np.abs(values) <= 1.0).all())
    if domain.gates == "constant":
        return bool((values == values[:, :1]).all())
    if domain.gates == "reset":
        discounts = np.unique(values[values != 0.0])
        return len(discounts) <= 1 and bool(((discounts > 0.0) & (discounts <= 1.0)).all())
    return True


def valid(case: ScanCase, domain: Domain) -> bool:
    """Say whether a case is representable in its dtype and keeps to its domain."""
    batch, steps, channels = case.gates.shape
    if case.inputs.shape != case.gates.shape or steps > domain.max_length or case.dtype not in domain.dtypes:
        return False
    arrays = [case.gates, case.inputs]
    if case.initial is not None:
        if case.initial.shape != (batch, channels):
            return False
        arrays.append(case.initial)
    if any(not np.array_equal(v, round_to(v, case.dtype)) or not np.isfinite(v).all() for v in arrays):
        return False
    positive = all((v > 0.0).all() for v in arrays[1:])
    return inside(case.gates, domain) and (domain.inputs == "any" or positive)


# Cases of a scan


@given(st.data(), st.sampled_from(DOMAINS))
def test_scan_cases_are_representable_and_keep_to_their_domain(data: st.DataObject, domain: Domain) -> None:
    case = data.draw(scan_cases(domain=domain))
    assert valid(case, domain)
    assert case.stratum in [name for names in gate_regimes(domain).values() for name in names]
    assert case.regime in [name for names in input_regimes(domain).values() for name in names]
    assert 1 <= case.gates.shape[0] <= 65
    assert 1 <= case.gates.shape[2] <= 65
    assert case.gates.size <= 4096


@given(st.data(), st.sampled_from(DOMAINS))
@settings(max_examples=50)
def test_simpler_cases_are_as_valid_and_not_larger(data: st.DataObject, domain: Domain) -> None:
    case = data.draw(scan_cases(domain=domain, usual_steps=6))
    for simpler in case.smaller():
        assert valid(simpler, domain)
        assert simpler.gates.size <= case.gates.size
        assert simpler.to_json() != case.to_json()


@given(st.data(), st.integers(0, 40), st.integers(40, 300))
def test_lengths_keep_between_the_least_and_the_most(data: st.DataObject, least: int, most: int) -> None:
    case = data.draw(scan_cases(domain=Domain(max_length=most), min_steps=least))
    assert least <= case.steps <= most


@given(scan_cases())
def test_a_scan_case_survives_json(case: ScanCase) -> None:
    again = ScanCase.from_json(json.loads(json.dumps(case.to_json(), allow_nan=False)))
    for name in ("gates", "inputs", "initial"):
        before, after = getattr(case, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert before.shape == after.shape
            assert before.tobytes() == after.tobytes()
    assert (again.dtype, again.stratum, again.seed) == (case.dtype, case.stratum, case.seed)


@given(scan_cases(min_steps=2), st.data())
def test_a_part_of_a_case_starts_from_its_state_only_at_the_beginning(
    case: ScanCase, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, case.steps - 1))
    part = case.part(start, case.steps)
    assert part.inputs.tolist() == case.inputs[:, start:].tolist()
    assert part.gates.shape == part.inputs.shape
    assert (part.initial is None) == (case.initial is None or start > 0)
    assert (part.dtype, part.seed) == (case.dtype, case.seed)


@given(scan_cases(), st.sampled_from([0, 2]))
def test_a_row_or_channel_of_a_case_takes_its_state_along(case: ScanCase, axis: int) -> None:
    last = case.take({0: "batch", 2: "channel"}[axis], np.array([case.gates.shape[axis] - 1]))
    assert last.gates.shape[axis] == 1
    assert last.inputs.tolist() == case.inputs.take([-1], axis=axis).tolist()
    if case.initial is not None:
        assert last.initial is not None
        assert last.initial.tolist() == (case.initial[-1:] if axis == 0 else case.initial[:, -1:]).tolist()


@pytest.mark.parametrize("name", GATE_CLASSES)
def test_every_class_of_gates_is_reached(name: str) -> None:
    case = found(scan_cases(min_steps=2), lambda c: c.stratum == name)
    assert case.stratum == name


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda d: f"{d.gates}-{d.inputs}")
def test_every_class_of_a_domain_keeps_to_it(domain: Domain) -> None:
    rng = np.random.default_rng(0)
    for name in () if domain.gates == "reset" else gate_classes(domain):
        if domain.gates != "constant":
            for dtype in DTYPES:
                assert inside(round_to(GATE_CLASSES[name](rng, (4, 50, 4)), dtype), domain)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["unit", "signed"]))
def test_tiny_gates_keep_to_their_domain_in_float16_too(seed: int, gate_name: str) -> None:
    domain = Domain(gates=gate_name, dtypes=("float16",))
    case = build_case(np.random.default_rng(seed), (2, 9, 2), "tiny", "float16", domain, initial=True)
    assert valid(case, domain)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("a state", lambda c: c.initial is not None),
        ("no state", lambda c: c.initial is None),
        ("no step", lambda c: c.steps == 0),
        ("one step", lambda c: c.steps == 1),
        ("a power of two", lambda c: c.steps in (64, 128)),
        ("one below", lambda c: c.steps in (63, 127)),
        ("one above", lambda c: c.steps in (65, 129, 257)),
        ("an odd number", lambda c: c.steps > 16 and c.steps % 2 == 1),
        ("several rows and channels", lambda c: c.gates.shape[0] == c.gates.shape[2] == 3),
        ("a gate of 0", lambda c: bool((c.gates == 0.0).any())),
        ("a gate of 1", lambda c: bool((c.gates == 1.0).any())),
        ("a gate of -1", lambda c: bool((c.gates == -1.0).any())),
        ("a gate above 2", lambda c: bool((c.gates > 2.0).any())),
        ("a tiny gate", lambda c: bool(((np.abs(c.gates) > 0.0) & (np.abs(c.gates) < 1e-8)).any())),
        ("an input of 0", lambda c: bool((c.inputs == 0.0).any())),
        *((f"dtype {d}", partial(lambda d, c: c.dtype == d, d)) for d in DTYPES),
    ],
)
def test_every_edge_is_reached(text: str, condition: Callable[[ScanCase], bool]) -> None:
    assert condition(found(scan_cases(domain=Domain(dtypes=DTYPES)), condition)), text


def test_the_simplest_case_has_one_row_one_channel_and_no_state() -> None:
    case = found(scan_cases(), lambda c: c.steps >= 5)
    assert case.gates.shape == (1, 5, 1)
    assert (case.initial, case.dtype, case.stratum) == (None, "float64", "between 0 and 1")


def test_a_case_shrinks_to_what_a_failure_needs() -> None:
    case = found(scan_cases(), lambda c: c.initial is not None and bool((c.gates < 0.0).any()))
    assert case.gates.shape[0] == case.gates.shape[2] == 1
    assert case.steps <= 2
    assert case.dtype == "float64"


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"min_steps": -1}, "min_steps"),
        ({"min_steps": 11, "domain": Domain(max_length=10)}, "min_steps"),
        ({"min_steps": 5, "usual_steps": 4}, "usual_steps"),
    ],
)
def test_impossible_lengths_are_refused_before_anything_is_drawn(
    arguments: dict[str, Any], argument: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        scan_cases(**arguments)
    assert caught.value.argument == argument


def test_many_steps_may_be_asked_for_alone() -> None:
    assert found(scan_cases(min_steps=30), lambda c: True).steps == 30


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gate_name", GATES)
def test_fixed_cases_are_valid_too(gate_name: str, dtype: str) -> None:
    domain = Domain(gates=gate_name, dtypes=(dtype,))
    long = long_case(dtype, domain)
    assert long.steps == 2048
    assert valid(long, domain)
    assert valid(sized_case(9, dtype, domain), domain)
    short = Domain(gates=gate_name, dtypes=(dtype,), max_length=7)
    assert long_case(dtype, short).steps == 7


@pytest.mark.parametrize("gate_name", ["unit", "signed", "any", "constant"])
def test_the_products_of_the_long_case_stay_in_range(gate_name: str) -> None:
    case = long_case("float32", Domain(gates=gate_name))
    logs = np.cumsum(np.log2(np.abs(case.gates)), axis=1)
    # 2,048 gates, and all products from the start within 2^-12 and 2: observed -11.6 and 0.8.
    assert logs.min() > -12.0
    assert logs.max() < 1.0


# Gates alone


@given(st.data(), st.sampled_from(DOMAINS), st.tuples(*[st.integers(0, 4)] * 3))
def test_gates_have_their_shape_and_keep_to_their_domain(
    data: st.DataObject, domain: Domain, shape: tuple[int, int, int]
) -> None:
    values = data.draw(gates(shape=shape, domain=domain))
    assert values.shape == shape
    assert values.dtype == np.float64
    assert inside(values, domain)


def test_gates_reach_every_class() -> None:
    shape = (1, 8, 1)
    conditions: list[Callable[[FloatArray], bool]] = [
        lambda v: bool((v == -1.0).any()),
        lambda v: bool((np.abs(v) > 4.0).any()),
        lambda v: bool((np.abs(v) < 1e-8).any()),
        lambda v: bool(((v > 0.99) & (v < 1.0)).all()),
    ]
    for condition in conditions:
        assert condition(found(gates(shape=shape), condition))


@pytest.mark.parametrize("shape", [(1, 2), (1, -1, 1), (1, 2, 3, 4), ()])
def test_impossible_shapes_are_refused_before_anything_is_drawn(shape: Any) -> None:
    with pytest.raises(ArgumentError, match=r"shape: got .* three sizes \(batch, time, channel\)"):
        gates(shape=shape)


# Domains and lengths


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"gates": "wild"}, "gates: got 'wild', expected one of unit, signed, any, constant, reset"),
        ({"inputs": "negative"}, "inputs: got 'negative', expected one of any, positive"),
        ({"arithmetic": "fft"}, "arithmetic: got 'fft', expected one of product, log"),
        ({"dtypes": ()}, "dtypes: got (), expected some of float64, float32, float16, bfloat16"),
        (
            {"dtypes": ("int8",)},
            "dtypes: got ('int8',), expected some of float64, float32, float16, bfloat16",
        ),
        ({"max_length": 0}, "max_length: got 0, expected a whole number of at least 1"),
        ({"reach": -1}, "reach: got -1, expected a whole number of at least 0"),
    ],
)
def test_an_impossible_domain_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Domain(**arguments)
    assert str(caught.value) == text


@given(
    st.integers(1, 5000).flatmap(
        lambda longest: st.builds(
            Domain,
            st.sampled_from(GATES),
            st.sampled_from(INPUTS),
            st.lists(st.sampled_from(DTYPES), min_size=1).map(tuple),
            st.just(longest),
            st.sampled_from(ARITHMETICS),
            st.none() | st.integers(0, min(100, longest)),
        )
    )
)
def test_a_domain_survives_json(domain: Domain) -> None:
    assert Domain.from_json(json.loads(json.dumps(domain.to_json()))) == domain


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(12, 3000))
def test_a_length_is_never_outside_its_limits(seed: int, shortest: int, longest: int) -> None:
    assert shortest <= length(RandomSource(seed), longest, shortest=shortest) <= longest


@cache
def independent_lengths() -> frozenset[int]:
    return frozenset(scan_case(RandomSource(i), Domain()).steps for i in range(600))


def test_independent_cases_reach_every_length_that_matters() -> None:
    wanted = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257}
    assert wanted <= independent_lengths()


@given(st.integers(0, 2**32 - 1), st.sampled_from(DOMAINS))
def test_independent_cases_are_valid_and_reproducible(seed: int, domain: Domain) -> None:
    first, second = (scan_case(RandomSource(seed), domain) for _ in range(2))
    assert valid(first, domain)
    assert first.to_json() == second.to_json()


# Cases of a layer


@cache
def gru() -> Any:
    subject = Layer.of(torch.nn.GRU)
    subject.preflight()
    return subject


@cache
def positive_gru() -> Any:
    subject = Layer.of(torch.nn.GRU, inputs="positive", dtypes=("float32",), max_length=9)
    subject.preflight()
    return subject


def cases_of_layer(subject: Any, **limits: Any) -> st.SearchStrategy[LayerCase]:
    return cases(partial(layer_case, **limits), subject.domain, subject)


def valid_layer(case: LayerCase, subject: Any) -> bool:
    batch, steps, features = case.inputs.shape
    arrays = [case.inputs, *case.sides.values()]
    if case.warm_up is not None:
        if case.warm_up.shape != (batch, 3, features):
            return False
        arrays.append(case.warm_up)
    return (
        features == subject.input_size
        and 1 <= steps <= min(40, subject.domain.max_length)
        and case.dtype in subject.domain.dtypes
        and all(np.array_equal(v, round_to(v, case.dtype)) for v in arrays)
        and (subject.domain.inputs == "any" or all(bool((v > 0.0).all()) for v in arrays))
        and all(v.shape[:2] == (batch, steps) for v in case.sides.values())
        and (case.lengths is None or (len(case.lengths) == batch and max(case.lengths) <= steps))
    )


@given(st.data(), st.sampled_from([gru, positive_gru]))
def test_layer_cases_are_representable_and_keep_to_their_domain(data: st.DataObject, build: Any) -> None:
    case = data.draw(cases_of_layer(build()))
    assert valid_layer(case, build())
    assert 1 <= case.batch <= 3


@given(st.data(), st.sampled_from([gru, positive_gru]))
@settings(max_examples=50)
def test_simpler_layer_cases_are_as_valid_and_not_larger(data: st.DataObject, build: Any) -> None:
    case = data.draw(cases_of_layer(build()))
    for simpler in case.smaller():
        assert valid_layer(simpler, build())
        assert simpler.inputs.size <= case.inputs.size


@given(
    cases_of_layer(SimpleNamespace(input_size=2, takes_state=True, side_shapes={"dt": ()}, domain=Domain()))
)
def test_rows_and_steps_of_a_layer_case_take_everything_along(case: LayerCase) -> None:
    row = replace(case, lengths=tuple(range(case.batch))).take(slice(0, 1))
    assert (row.batch, row.lengths) == (1, (0,))
    assert row.sides["dt"].tolist() == case.sides["dt"][:1].tolist()
    assert (row.warm_up is None) == (case.warm_up is None)
    part = case.part(1, None)
    assert part.steps == case.steps - 1
    assert part.sides["dt"].tolist() == case.sides["dt"][:, 1:].tolist()


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("a state", lambda c: c.warm_up is not None),
        ("no state", lambda c: c.warm_up is None),
        ("one step", lambda c: c.steps == 1),
        ("a power of two", lambda c: c.steps == 16),
        ("one above", lambda c: c.steps == 33),
        ("the longest", lambda c: c.steps == 40),
        ("three rows", lambda c: c.batch == 3),
        ("large inputs", lambda c: float(np.abs(c.inputs).max()) > 3.0),
        *((f"dtype {d}", partial(lambda d, c: c.dtype == d, d)) for d in ("float64", "float32", "bfloat16")),
    ],
)
def test_every_edge_of_a_layer_is_reached(text: str, condition: Callable[[LayerCase], bool]) -> None:
    assert condition(found(cases_of_layer(gru()), condition)), text


def test_the_simplest_layer_case_has_one_row_and_no_state() -> None:
    case = found(cases_of_layer(gru()), lambda c: c.steps >= 4)
    assert case.inputs.shape == (1, 4, 3)
    assert (case.warm_up, case.dtype) == (None, "float64")


@given(
    cases_of_layer(
        SimpleNamespace(
            input_size=2, takes_state=False, side_shapes={"dt": (), "mask": (2,)}, domain=Domain()
        )
    )
)
def test_a_layer_without_a_state_is_given_none_and_its_sides_fit(case: LayerCase) -> None:
    assert case.warm_up is None
    assert case.sides["dt"].shape == case.inputs.shape[:2]
    assert case.sides["mask"].shape == (*case.inputs.shape[:2], 2)
    assert all(v.min(initial=1.0) >= 0.5 and v.max(initial=1.0) <= 1.5 for v in case.sides.values())


@given(cases_of_layer(gru()))
def test_a_layer_case_survives_json(case: LayerCase) -> None:
    again = LayerCase.from_json(json.loads(json.dumps(case.to_json(), allow_nan=False)))
    assert again.inputs.tobytes() == case.inputs.tobytes()
    assert (again.warm_up is None) == (case.warm_up is None)
    assert again.to_json() == case.to_json()


# Cases of an associative scan


def cases_of_operation(whole: bool = True, most: int = 2048) -> st.SearchStrategy[AssociativeCase]:
    subject = SimpleNamespace(whole_numbers=whole)
    return cases(associative_scan.draw, Domain(max_length=most), subject)


@given(st.data(), st.booleans(), st.integers(2, 300))
def test_associative_cases_are_whole_numbers_that_stay_exact(
    data: st.DataObject, whole: bool, most: int
) -> None:
    case = data.draw(cases_of_operation(whole, most))
    assert 2 <= case.steps <= min(most, 257)
    assert {len(e) for e in case.elements} == {case.steps}
    if case.operation.floating:
        assert case.dtype in ("float64", "float32")
        assert all(np.array_equal(e, np.round(e)) for e in case.elements)
        # Prefixes add at most 257 numbers of at most 257, and float32 holds whole numbers to 2^24.
        assert max(float(np.abs(e).max()) for e in case.elements) <= 257
    else:
        assert whole
        assert case.dtype == "int64"
        assert all(e.dtype == np.int64 for e in case.elements)


@pytest.mark.parametrize("name", [m.name for m in MONOIDS])
def test_every_monoid_is_reached(name: str) -> None:
    assert found(cases_of_operation(), lambda c: c.monoid == name).steps == 2


@given(cases_of_operation())
def test_simpler_associative_cases_are_shorter_ones(case: AssociativeCase) -> None:
    for simpler in case.smaller():
        assert 0 < simpler.steps < case.steps
        assert all(
            np.array_equal(s, e[: simpler.steps])
            for s, e in zip(simpler.elements, case.elements, strict=True)
        )


@given(cases_of_operation())
def test_an_associative_case_survives_json(case: AssociativeCase) -> None:
    again = AssociativeCase.from_json(json.loads(json.dumps(case.to_json(), allow_nan=False)))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(again.elements, case.elements, strict=True))
    assert (again.monoid, again.dtype, again.seed) == (case.monoid, case.dtype, case.seed)


@pytest.mark.parametrize("monoid", MONOIDS, ids=lambda m: m.name)
def test_every_monoid_is_associative_and_does_not_commute(monoid: Any) -> None:
    drawn = monoid.draw(np.random.default_rng(0), 15)
    a, b, c = (tuple(part[i : i + 5] for part in drawn) for i in (0, 5, 10))
    with np.errstate(over="ignore"):
        left = monoid.combine(monoid.combine(a, b), c)
        right = monoid.combine(a, monoid.combine(b, c))
        flipped = monoid.combine(b, a)
    assert all(np.array_equal(x, y) for x, y in zip(left, right, strict=True))
    assert not monoid.commutative
    assert any(not np.array_equal(x, y) for x, y in zip(monoid.combine(a, b), flipped, strict=True))


# Layers and associative scans


@given(layer_cases(domain=Domain(dtypes=DTYPES), input_size=2, max_steps=20, side={"dt": ()}))
def test_a_case_of_a_layer_is_representable_and_keeps_to_its_sizes(case: LayerCase) -> None:
    assert case.dtype in DTYPES
    assert 1 <= case.batch <= 3
    assert 1 <= case.steps <= 20
    assert case.inputs.shape[2] == 2
    assert case.sides["dt"].shape == (case.batch, case.steps)
    for values in (case.inputs, case.sides["dt"], case.warm_up):
        assert values is None or np.array_equal(values, round_to(values, case.dtype))


def test_cases_of_a_layer_reach_states_rows_and_lengths_and_shrink_to_the_smallest() -> None:
    every = layer_cases(domain=Domain(dtypes=DTYPES))
    assert found(every, lambda case: case.warm_up is not None).batch == 1
    assert found(every, lambda case: case.batch == 3).steps == 1
    assert found(every, lambda case: case.steps > 10).batch == 1
    assert found(every, lambda case: case.dtype == "bfloat16").steps == 1


@pytest.mark.parametrize("state", [True, False])
def test_a_state_of_a_layer_is_given_as_asked(state: bool) -> None:
    @given(layer_cases(state=state))
    @settings(max_examples=300)
    def asked(case: LayerCase) -> None:
        assert (case.warm_up is not None) is state

    asked()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"input_size": 0}, "input_size"),
        ({"min_steps": 0}, "min_steps"),
        ({"max_batch": 0}, "max_batch"),
        ({"min_steps": 9, "max_steps": 3}, "max_steps"),
        ({"min_steps": 9, "domain": Domain(max_length=4)}, "max_steps"),
    ],
)
def test_impossible_sizes_of_a_layer_are_refused(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ArgumentError, match=name):
        layer_cases(**arguments)


def test_every_strategy_stands_in_the_public_module_and_makes_valid_values() -> None:
    every = {name: getattr(strategies, name) for name in strategies.__all__ if name != "cases"}
    simplest = {name: found(make(), lambda value: True) for name, make in every.items()}
    assert {name: type(value).__name__ for name, value in simplest.items()} == {
        "associative_cases": "AssociativeCase",
        "gates": "ndarray",
        "layer_cases": "LayerCase",
        "matrices": "ndarray",
        "power_cases": "PowerCase",
        "scan_cases": "ScanCase",
    }


def test_associative_cases_reach_every_operation_and_shrink() -> None:
    for monoid in MONOIDS:
        smallest = found(associative_cases(), partial(_is_of, monoid.name))
        assert smallest.steps == 2


def _is_of(name: str, case: AssociativeCase) -> bool:
    return case.monoid == name
