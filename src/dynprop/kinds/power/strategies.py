"""Hypothesis strategies for matrices of every declared class, and for cases of their powers.

``dynprop.strategies`` exports them. They yield valid values, not a distribution: sizes and classes are drawn
choice by choice and shrink towards the smallest size and the first class; the numbers come from a drawn seed.
All arguments are keywords with defaults; impossible ones raise ArgumentError before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError
from dynprop.kinds.power.cases import USUAL, PowerCase, power_case, within_format
from dynprop.kinds.power.families.families import FAMILIES, draw_matrices, families_for, round_matrix
from dynprop.laws.draw import Source
from dynprop.laws.hypothesis_source import HypothesisSource, cases

__all__ = ["matrices", "power_cases"]

REFUSALS = ("free", "judged", "at zero")


def _chosen(families: Sequence[str] | None, traits: Iterable[str], without: Iterable[str]) -> tuple[str, ...]:
    fitting = families_for(traits=traits, without=without)
    if families is None:
        return fitting
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ArgumentError("families", repr(tuple(families)), f"some of {', '.join(FAMILIES)}")
    chosen = tuple(name for name in families if name in fitting)
    if not chosen:
        raise ArgumentError("families", repr(tuple(families)), f"one with these traits: {', '.join(fitting)}")
    return chosen


def matrices(
    *,
    families: Sequence[str] | None = None,
    traits: Iterable[str] = (),
    without: Iterable[str] = (),
    min_size: int = 1,
    max_size: int = USUAL,
    dtype: str = "float64",
) -> st.SearchStrategy[NumericArray]:
    """Square matrices of some classes, float64 or complex128 and representable in a format.

    Args:
        families: names of ``dynprop.kinds.power.families.families.FAMILIES``; default all.
        traits: properties that every class has, such as "normal", "defective", "complex"; see ``Family``.
        without: properties that no class has.
        min_size, max_size: smallest and largest size; a class has no member below its own smallest size.
        dtype: the real format of the entries, or of their real and imaginary parts.

    Raises:
        ArgumentError: an unknown family or format, sizes out of order, or no class that fits them.

    Examples:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, database=None)
        ... @given(matrices(traits=["symmetric"], max_size=3))
        ... def test_a_symmetric_matrix_is_its_transpose(w):
        ...     assert len(w) <= 3
        ...     assert (w == w.T).all()
        >>> test_a_symmetric_matrix_is_its_transpose()
    """
    if not 1 <= min_size <= max_size:
        raise ArgumentError("min_size", f"{min_size}, with max_size {max_size}", "1 <= min_size <= max_size")
    if dtype not in FORMATS:
        raise ArgumentError("dtype", repr(dtype), f"one of {', '.join(FORMATS)}")
    names = _chosen(families, tuple(traits), tuple(without))
    fitting = tuple(name for name in names if FAMILIES[name].smallest <= max_size)
    if not fitting:
        least = FAMILIES[names[0]].smallest
        raise ArgumentError("max_size", str(max_size), f"at least {least} for {names[0]}")
    return _matrices(fitting, min_size, max_size, dtype)


@st.composite
def _matrices(
    draw: st.DrawFn, families: tuple[str, ...], min_size: int, max_size: int, dtype: str
) -> NumericArray:
    name = draw(st.sampled_from(families))
    n = draw(st.integers(max(min_size, FAMILIES[name].smallest), max_size))
    rng = HypothesisSource(draw).generator()
    return round_matrix(within_format(draw_matrices(rng, name, 1, n), dtype)[0], dtype)


def power_cases(
    *,
    domain: Domain | None = None,
    families: Sequence[str] | None = None,
    traits: Iterable[str] = (),
    without: Iterable[str] = (),
    min_steps: int = 0,
    usual_steps: int = 12,
    refusals: str = "free",
) -> st.SearchStrategy[PowerCase]:
    """Cases of an unroll or a closed form: a matrix, a vector, a number of steps.

    Args:
        domain: what the target promises; default float64 and float32, up to 2,048 steps.
        families, traits, without: which classes of matrices, as for ``matrices``.
        min_steps: smallest number of steps.
        usual_steps: most cases have at most this many.
        refusals: which cases a target may refuse; see ``PowerCase``.

    Raises:
        ArgumentError: an unknown family, or impossible numbers of steps.

    Examples:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, database=None)
        ... @given(power_cases(families=["diagonal"], min_steps=1))
        ... def test_matrix_and_vector_fit(case):
        ...     assert case.W.shape == (case.n, case.n)
        ...     assert case.h.shape == (case.n,)
        ...     assert case.t >= 1
        >>> test_matrix_and_vector_fit()
    """
    within = Domain() if domain is None else domain
    if not 0 <= min_steps <= within.max_length:
        raise ArgumentError("min_steps", str(min_steps), f"a whole number from 0 to {within.max_length}")
    if usual_steps < min_steps:
        raise ArgumentError("usual_steps", str(usual_steps), f"at least min_steps, {min_steps}")
    if refusals not in REFUSALS:
        raise ArgumentError("refusals", repr(refusals), f"one of {', '.join(REFUSALS)}")
    names = _chosen(families, tuple(traits), tuple(without))

    def generate(source: Source, limits: Domain, subject: Any) -> PowerCase:
        return power_case(
            source,
            limits,
            subject,
            shortest=min_steps,
            usual=usual_steps,
            families=names,
            refusals=refusals,
        )

    return cases(generate, within)
