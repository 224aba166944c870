"""Hypothesis strategies for the cases of the laws, and for gates and matrices alone.

Strategies draw structure (sizes, classes of gates or matrices, dtypes) choice by choice, simplest first, and
the numbers from a drawn seed; they yield valid cases, not a distribution. All arguments are keywords with
defaults; impossible ones raise ArgumentError before anything is drawn.

Examples:
    A property of a scan, for gates of every class:

    >>> import numpy as np
    >>> from hypothesis import given, settings
    >>> from dynprop import scan
    >>> @settings(max_examples=5, database=None)
    ... @given(gates(shape=(1, 6, 2)))
    ... def test_without_inputs_the_first_state_is_the_first_gate(a):
    ...     states = scan(a, np.zeros_like(a), np.ones((1, 2)))
    ...     np.testing.assert_array_equal(states[:, 0], a[:, 0])
    >>> test_without_inputs_the_first_state_is_the_first_gate()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.kinds.associative_scan.laws import AssociativeCase
from dynprop.kinds.associative_scan.laws import draw as draw_associative
from dynprop.kinds.layer.cases import LayerCase, layer_case
from dynprop.kinds.power.strategies import matrices, power_cases
from dynprop.kinds.scan.cases import ScanCase, scan_case
from dynprop.kinds.scan.regimes import gate_regimes
from dynprop.kinds.scan.regimes import gates as regime_of_gates
from dynprop.laws.draw import Source
from dynprop.laws.gates import GATE_CLASSES, gate_classes
from dynprop.laws.hypothesis_source import HypothesisSource, cases

__all__ = [
    "associative_cases",
    "cases",
    "gates",
    "layer_cases",
    "matrices",
    "power_cases",
    "scan_cases",
]


def scan_cases(
    *, domain: Domain | None = None, min_steps: int = 0, usual_steps: int | None = None
) -> st.SearchStrategy[ScanCase]:
    """Cases of a gated scan.

    Args:
        domain: what the target promises; default everything in float64 and float32.
        min_steps: smallest number of steps.
        usual_steps: most cases have at most this many; default 12, or min_steps where that is more.

    Raises:
        ArgumentError: min_steps is negative or above the domain's max_length, or usual_steps below it.

    Examples:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, database=None)
        ... @given(scan_cases(min_steps=2))
        ... def test_gates_and_inputs_have_one_shape(case):
        ...     assert case.gates.shape == case.inputs.shape  # (batch, time, channel)
        >>> test_gates_and_inputs_have_one_shape()
    """
    domain = Domain() if domain is None else domain
    if not 0 <= min_steps <= domain.max_length:
        raise ArgumentError("min_steps", str(min_steps), f"a whole number from 0 to {domain.max_length}")
    usual = max(12, min_steps) if usual_steps is None else usual_steps
    if usual < min_steps:
        raise ArgumentError("usual_steps", str(usual_steps), f"at least min_steps, {min_steps}")

    def generate(source: Source, within: Domain, subject: Any) -> ScanCase:
        return scan_case(source, within, subject, shortest=min_steps, usual=usual)

    return cases(generate, domain)


@dataclass(frozen=True)
class _Sizes:
    """The layer that cases are drawn for: its sizes and domain."""

    domain: Domain
    input_size: int
    side_shapes: Mapping[str, tuple[int, ...]]
    takes_state: bool


def layer_cases(
    *,
    domain: Domain | None = None,
    input_size: int = 3,
    min_steps: int = 1,
    max_steps: int = 40,
    max_batch: int = 3,
    state: bool | None = None,
    side: Mapping[str, tuple[int, ...]] | None = None,
) -> st.SearchStrategy[LayerCase]:
    """Cases of a recurrent layer: inputs, side inputs, and the warm-up that leads to a given state.

    Args:
        domain: what the target promises; default everything in float64 and float32.
        input_size: number of features of an input.
        min_steps, max_steps: smallest and largest number of steps; most cases have few.
        max_batch: largest number of rows.
        state: whether a state is given; None draws it.
        side: trailing shapes of further per-step inputs, by name.

    Raises:
        ArgumentError: a size is below 1, or max_steps below min_steps.

    Examples:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, database=None)
        ... @given(layer_cases(input_size=2, max_batch=1, state=False))
        ... def test_a_case_has_one_row_and_no_state(case):
        ...     assert case.inputs.shape == (1, case.steps, 2)
        ...     assert case.warm_up is None
        >>> test_a_case_has_one_row_and_no_state()
    """
    domain = Domain() if domain is None else domain
    for name, size in (("input_size", input_size), ("min_steps", min_steps), ("max_batch", max_batch)):
        if size < 1:
            raise ArgumentError(name, str(size), "a whole number of at least 1")
    longest = min(max_steps, domain.max_length)
    if longest < min_steps:
        raise ArgumentError("max_steps", str(longest), f"at least min_steps, {min_steps}")
    sizes = _Sizes(domain, input_size, dict(side or {}), state is not False)

    def generate(source: Source, within: Domain, subject: Any) -> LayerCase:
        usual = min(max(10, min_steps), longest)
        return layer_case(
            source,
            within,
            subject,
            shortest=min_steps,
            usual=usual,
            longest=longest,
            batches=(1, max_batch),
            state=state,
        )

    return cases(generate, domain, sizes)


def associative_cases(*, domain: Domain | None = None) -> st.SearchStrategy[AssociativeCase]:
    """Cases of a scan over an associative operation, most of them not commutative.

    Args:
        domain: its dtypes and max_length; int64 cases are drawn whatever the dtypes.

    Examples:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, database=None)
        ... @given(associative_cases())
        ... def test_elements_have_the_time_axis_first(case):
        ...     assert {len(element) for element in case.elements} == {case.steps}
        >>> test_elements_have_the_time_axis_first()
    """
    domain = Domain() if domain is None else domain
    return cases(draw_associative, domain, _Whole(domain))


@dataclass(frozen=True)
class _Whole:
    """A target that takes integers."""

    domain: Domain
    whole_numbers: bool = True
    compiles: bool = False


def gates(
    *, shape: tuple[int, int, int] = (1, 4, 1), domain: Domain | None = None
) -> st.SearchStrategy[FloatArray]:
    """Gates of shape (batch, time, channel) from every class that a domain contains.

    Args:
        shape: batch, time and channel sizes.
        domain: its gates; default all finite numbers.

    Raises:
        ArgumentError: a size is negative, or there are not three of them.

    Examples:
        >>> from hypothesis import given, settings
        >>> from dynprop.contracts.domain import Domain
        >>> @settings(max_examples=5, database=None)
        ... @given(gates(shape=(2, 3, 1), domain=Domain(gates="unit")))
        ... def test_unit_gates_are_above_0_and_at_most_1(a):
        ...     assert a.shape == (2, 3, 1)
        ...     assert ((a > 0.0) & (a <= 1.0)).all()
        >>> test_unit_gates_are_above_0_and_at_most_1()
    """
    if len(shape) != 3 or min(shape) < 0:
        raise ArgumentError("shape", str(shape), "three sizes (batch, time, channel) of at least 0")
    return _gates(shape, Domain() if domain is None else domain)


@st.composite
def _gates(draw: st.DrawFn, shape: tuple[int, int, int], domain: Domain) -> FloatArray:
    if domain.gates == "reset":
        name = draw(st.sampled_from([name for names in gate_regimes(domain).values() for name in names]))
        return regime_of_gates(HypothesisSource(draw).generator(), shape, name, "float64", domain)
    make = GATE_CLASSES[draw(st.sampled_from(gate_classes(domain)))]
    rng = HypothesisSource(draw).generator()
    if domain.gates == "constant":
        return np.repeat(make(rng, (shape[0], 1, shape[2])), shape[1], axis=1)
    return np.asarray(make(rng, shape), dtype=np.float64)
