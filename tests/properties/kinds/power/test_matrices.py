"""Families of matrices are what they say, exact powers are exact, and cases are data."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import hypothesis
import numpy as np
import pytest
from flint import fmpq, fmpq_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from dynprop.arrays import NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError
from dynprop.kinds.power.cases import LARGEST, PowerCase, power_case
from dynprop.kinds.power.exact import power_state, power_states
from dynprop.kinds.power.families.families import FAMILIES, draw_matrices, families_for, round_matrix
from dynprop.kinds.power.families.lapack import LAPACK_TYPES
from dynprop.kinds.power.families.normal import reflectors, spectra
from dynprop.kinds.power.strategies import matrices, power_cases
from dynprop.laws.draw import RandomSource

NAMES = tuple(FAMILIES)
DTYPES = ("float64", "float32", "float16", "bfloat16")


def drawn(name: str, n: int = 5, count: int = 20) -> NumericArray:
    return draw_matrices(np.random.default_rng([n, sum(name.encode())]), name, count, n)


def commutator(w: NumericArray) -> float:
    adjoint = w.conj().swapaxes(-1, -2)
    scale = np.linalg.norm(w, axis=(1, 2)) ** 2 + 1e-300
    return float((np.linalg.norm(w @ adjoint - adjoint @ w, axis=(1, 2)) / scale).max())


# Families


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_a_family_yields_finite_square_matrices_of_its_kind_of_numbers(name: str, n: int) -> None:
    if n < FAMILIES[name].smallest:
        with pytest.raises(ArgumentError):
            draw_matrices(np.random.default_rng(0), name, 1, n)
        return
    found = drawn(name, n, 3)
    assert found.shape == (3, n, n)
    assert np.isfinite(found).all()
    assert np.iscomplexobj(found) == ("complex" in FAMILIES[name].traits)
    again = drawn(name, n, 3)
    assert found.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", families_for(traits=["normal"]))
def test_normal_families_commute_with_their_adjoints(name: str) -> None:
    # Observed: 3e-16 for random Q; a matrix that is not normal has 1e-2 and more.
    assert commutator(drawn(name)) < 1e-13


@pytest.mark.parametrize("name", ["random", "triangular", "Jordan", "complex pairs", "Grcar", "Toeplitz"])
def test_the_other_families_are_not_normal(name: str) -> None:
    assert commutator(drawn(name)) > 1e-2


@pytest.mark.parametrize("name", families_for(traits=["symmetric"]))
def test_symmetric_families_are_symmetric_bit_by_bit(name: str) -> None:
    w = drawn(name)
    assert np.array_equal(w, w.swapaxes(-1, -2))


@pytest.mark.parametrize("name", families_for(traits=["integer"]))
def test_integer_families_are_made_of_whole_numbers_and_halves(name: str) -> None:
    assert np.array_equal(2.0 * drawn(name), np.rint(2.0 * drawn(name)))


@pytest.mark.parametrize("name", families_for(traits=["nilpotent"]))
def test_nilpotent_families_vanish_at_the_size_and_not_at_once(name: str) -> None:
    w = drawn(name)
    assert not np.linalg.matrix_power(w, 5).any()
    assert np.linalg.matrix_power(w, 2).any()


def is_defective(w: NumericArray) -> bool:
    """Say, in exact arithmetic, whether the stored matrix lacks eigenvectors: minpoly is not squarefree."""
    rows = [[fmpq(*float(v).as_integer_ratio()) for v in row] for row in w]
    smallest = fmpq_mat(rows).minpoly()
    return bool(smallest.gcd(smallest.derivative()).degree() > 0)


@pytest.mark.parametrize("name", families_for(traits=["defective"]))
def test_defective_families_lack_eigenvectors_in_exact_arithmetic(name: str) -> None:
    # A gain rounds the eigenvalue and the ones above it alike: an open block stays defective.
    assert all(is_defective(w) for w in drawn(name, 5, 10))


@pytest.mark.parametrize("name", ["repeated eigenvalues", "diagonal", "nonnegative"])
def test_other_families_have_their_eigenvectors(name: str) -> None:
    assert not any(is_defective(w) for w in drawn(name, 4, 5))


def test_lapack_s_types_are_all_there() -> None:
    assert sorted(LAPACK_TYPES) == list(range(1, 22))
    assert {f"LAPACK type {k}" for k in range(1, 22)} <= set(NAMES)


@pytest.mark.parametrize("kind", [13, 14, 15, 16])
def test_lapack_s_similarities_are_ill_conditioned(kind: int) -> None:
    rng = np.random.default_rng(kind)
    conditions = [np.linalg.cond(np.linalg.eig(w)[1]) for w in LAPACK_TYPES[kind](rng, 10, 5)]
    assert np.median(conditions) > 1e4


def test_reflectors_are_orthogonal_and_not_symmetric() -> None:
    q = reflectors(np.random.default_rng(0), 50, 4)
    assert np.allclose(q @ q.swapaxes(-1, -2), np.eye(4), atol=1e-14)
    assert np.linalg.norm(q - q.swapaxes(-1, -2), axis=(1, 2)).min() > 1e-3
    u = reflectors(np.random.default_rng(0), 50, 4, dtype=complex)
    assert np.allclose(u @ u.conj().swapaxes(-1, -2), np.eye(4), atol=1e-14)


def test_spectra_have_radius_one_and_reach_ties_and_clusters() -> None:
    found = np.abs(spectra(np.random.default_rng(0), 400, 5))
    assert np.allclose(found.max(axis=1), 1.0)
    second = np.sort(found, axis=1)[:, -2]
    assert (second == 1.0).any()
    assert ((second > 1.0 - 1e-6) & (second < 1.0)).any()
    assert (second < 0.5).any()


def test_gains_reach_radii_below_at_and_above_one() -> None:
    radii = np.abs(np.linalg.eigvals(drawn("orthogonal", 3, 200))).max(axis=1)
    assert radii.min() < 0.6
    assert np.isclose(radii, 1.0, atol=1e-12).any()
    assert radii.max() > 2.0


def test_traits_that_nobody_has_are_refused() -> None:
    with pytest.raises(ArgumentError, match="traits"):
        families_for(traits=["defective", "normal"])
    with pytest.raises(ArgumentError, match="family: got 'nothing'"):
        draw_matrices(np.random.default_rng(0), "nothing", 1, 2)


# Exact powers


def by_fractions(case: PowerCase) -> list[list[Fraction]]:
    w = [[Fraction(v) for v in row] for row in case.W.tolist()]
    states = [[Fraction(v) for v in case.h.tolist()]]
    for _ in range(case.t):
        last = states[-1]
        states.append([sum((last[i] * w[i][j] for i in range(case.n)), Fraction(0)) for j in range(case.n)])
    return states


def off_by(high: float, low: float, exact: Fraction) -> Fraction:
    return abs(Fraction(high) + Fraction(low) - exact)


@given(power_cases(without=["complex"], usual_steps=8, domain=Domain(max_length=12)))
@settings(max_examples=60)
def test_exact_states_agree_with_fractions(case: PowerCase) -> None:
    found, exact = power_states(case.W, case.h, case.t), by_fractions(case)
    last = power_state(case.W, case.h, case.t)
    scale = np.abs(case.h) @ np.linalg.matrix_power(np.abs(case.W), case.t)
    for j in range(case.n):
        # Two floats hold 106 bits of the value, or what is left of 160 bits of the scale.
        if np.isfinite(scale).all():
            room = Fraction(2) ** -100 * (abs(exact[-1][j]) + Fraction(float(scale[j]))) + Fraction(
                1, 2**1070
            )
            assert off_by(float(found.high[-1, j]), float(found.low[-1, j]), exact[-1][j]) <= room
            assert off_by(float(last.high[j]), float(last.low[j]), exact[-1][j]) <= room


@given(power_cases(traits=["complex"], min_steps=1, usual_steps=9))
@settings(max_examples=30)
def test_exact_states_do_not_depend_on_the_route_or_the_bits(case: PowerCase) -> None:
    found, last = power_states(case.W, case.h, case.t), power_state(case.W, case.h, case.t, bits=900)
    with np.errstate(all="ignore"):
        scale = np.abs(case.h) @ np.linalg.matrix_power(np.abs(case.W), case.t)
        distance = np.abs((found.high[-1] - last.high) + (found.low[-1] - last.low))
        held = np.isfinite(scale) & np.isfinite(distance)
        assert (distance <= 2.0**-95 * scale + 1e-320)[held].all()


# Cases and strategies


@given(st.data(), st.sampled_from(NAMES), st.sampled_from(("float64", "float32", "bfloat16")))
def test_cases_of_every_family_are_representable(data: st.DataObject, name: str, dtype: str) -> None:
    if dtype == "bfloat16" and "complex" in FAMILIES[name].traits:
        return
    case = data.draw(power_cases(families=[name], domain=Domain(dtypes=(dtype,))))
    assert case.family == name
    for values in (case.W, case.h):
        assert np.isfinite(values).all()
        assert np.array_equal(round_matrix(values, dtype), values)
    assert FAMILIES[name].smallest <= case.n <= LARGEST
    assert case.W.dtype == case.h.dtype


@given(power_cases(min_steps=2, usual_steps=6))
@settings(max_examples=40)
def test_simpler_cases_are_simpler_and_as_valid(case: PowerCase) -> None:
    for simpler in case.smaller():
        assert simpler.to_json() != case.to_json()
        assert simpler.t <= case.t
        assert simpler.n <= case.n
        assert simpler.W.shape == (simpler.n, simpler.n)
        assert np.array_equal(round_matrix(simpler.W, case.dtype), simpler.W)
        assert simpler.is_complex == case.is_complex


@given(power_cases())
def test_a_case_survives_json(case: PowerCase) -> None:
    again = PowerCase.from_json(json.loads(json.dumps(case.to_json(), allow_nan=False)))
    assert again.W.tobytes() == case.W.tobytes()
    assert again.h.tobytes() == case.h.tobytes()
    assert again.to_json() == case.to_json()
    assert again.describe() == case.describe()


@pytest.mark.parametrize("name", NAMES)
def test_independent_draws_reach_every_family(name: str) -> None:
    case = power_case(RandomSource(1), Domain(), families=(name,), shortest=1)
    assert case.family == name
    assert 1 <= case.t <= 257


@pytest.mark.parametrize("name", ["near overflow", "LAPACK type 7", "LAPACK type 17", "near underflow"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extreme_families_come_near_the_edge_and_stay_inside(name: str, dtype: str) -> None:
    sizes = []
    for seed in range(30):
        case = power_case(RandomSource(seed), Domain(dtypes=(dtype,)), families=(name,), shortest=1)
        assert np.isfinite(case.W).all()
        exact = power_state(case.W, case.h, case.t)
        sizes.append(float(np.log2(np.abs(exact.high).max(initial=0.0) + 5e-324)))
    edge = np.log2(FORMATS[dtype].largest)
    assert max(np.abs(sizes)) > 0.5 * edge


def found(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any:
    options = settings(max_examples=2000, derandomize=True, database=None)
    return hypothesis.find(strategy, condition, settings=options)


@pytest.mark.parametrize("name", NAMES)
def test_the_strategy_reaches_every_family(name: str) -> None:
    w = found(matrices(families=[name]), lambda w: True)
    # It shrinks to the smallest size that the family has.
    assert len(w) == FAMILIES[name].smallest


@pytest.mark.parametrize(
    ("condition", "size"),
    [
        (lambda w: len(w) >= 4, 4),
        (lambda w: np.abs(np.linalg.eigvals(w)).max() > 1.2, 1),
        (lambda w: 0.0 < np.abs(np.linalg.eigvals(w)).max() < 0.8, 1),
        (lambda w: bool(np.iscomplex(np.linalg.eigvals(w)).any()), 2),
    ],
)
def test_a_found_matrix_is_as_small_as_the_condition_allows(
    condition: Callable[[NumericArray], bool], size: int
) -> None:
    assert len(found(matrices(without=["complex"]), condition)) == size


@given(matrices(traits=["normal", "symmetric"], min_size=2, max_size=4, dtype="float32"))
@settings(max_examples=30)
def test_the_strategy_keeps_to_what_is_asked(w: NumericArray) -> None:
    assert 2 <= len(w) <= 4
    assert np.array_equal(w, w.T)
    assert np.array_equal(w, w.astype(np.float32))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"min_size": 0}, "min_size: got 0"),
        ({"min_size": 5, "max_size": 4}, "min_size: got 5"),
        ({"dtype": "int8"}, "dtype: got 'int8'"),
        ({"families": ["nothing"]}, "families: got"),
        ({"families": []}, "families: got"),
        ({"families": ["Jordan"], "traits": ["normal"]}, "one with these traits"),
        ({"families": ["Jordan"], "max_size": 1}, "max_size: got 1"),
        ({"traits": ["purple"]}, "traits: got"),
    ],
)
def test_impossible_matrices_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        matrices(**arguments)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"min_steps": -1}, "min_steps: got -1"),
        ({"min_steps": 9, "domain": Domain(max_length=8)}, "min_steps: got 9"),
        ({"min_steps": 9, "usual_steps": 8}, "usual_steps: got 8"),
        ({"refusals": "never"}, "refusals: got 'never'"),
        ({"families": ["nothing"]}, "families: got"),
    ],
)
def test_impossible_cases_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        power_cases(**arguments)
    assert text in str(caught.value)
