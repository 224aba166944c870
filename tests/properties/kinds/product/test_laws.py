"""Each law of kind product fails a product with the defect it is about, and passes one that is right."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.arrays import FloatArray
from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.contracts.domain import Domain
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds import laws_for
from dynprop.kinds.product.bounds import bound_of
from dynprop.kinds.product.cases import MATRIX_CLASSES, ProductCase, build_case, classes_of, product_case
from dynprop.kinds.product.judging import exact_products, judge
from dynprop.kinds.product.target import Product
from dynprop.laws.draw import RandomSource
from tests.properties.kinds.kinds import judged, planted

LAWS = [law.id for law in laws_for("product")]


def test_scaling_by_powers_of_two_is_exact_in_every_format() -> None:
    """Other laws are for digits."""
    subject = planted("product/matrices-in-single-precision")
    assert judged("product/powers-of-two", subject, Options(examples=30, iid=20)).verdict == "pass"


@pytest.mark.parametrize(
    ("fault", "hypothesis"),
    [
        ("order-reversed", "order of the factors reversed"),
        ("matrices-transposed", "matrices transposed"),
        ("entry-by-entry", "elementwise products of matrices"),
        ("logarithms-without-sign", "signs lost"),
        ("zeros-left-out", "zeros left out"),
        ("one-weight-shared", "the first weight at every step"),
        ("exclusive", "off by one step"),
        ("logarithms-undeclared", "a log-space evaluation"),
    ],
)
def test_a_mistake_is_named(fault: str, hypothesis: str) -> None:
    result = judged("product/exact", planted(f"product/{fault}"), Options(patience=0.0))
    assert result.hypothesis is not None
    assert result.hypothesis.startswith(hypothesis)


# The reference and the bound.

WEIGHTS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=9)


@given(WEIGHTS)
def test_the_reference_is_the_product_of_fractions(weights: list[float]) -> None:
    found = exact_products(ProductCase(np.array(weights), "float64"))
    product = Fraction(1)
    for t, weight in enumerate(weights):
        product *= Fraction(weight)
        got = Fraction(float(found.high[t])) + Fraction(float(found.low[t]))
        # Two floats hold 106 bits; below the smallest float there is nothing.
        assert abs(got - product) <= abs(product) * Fraction(1, 2**100) + Fraction(1, 2**1070)


def test_matrices_are_multiplied_from_the_left() -> None:
    first, second = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    found = exact_products(ProductCase(np.array([first, second]), "float64", matrix=True))
    np.testing.assert_array_equal(found.high[1], second @ first)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_sound_product_uses_much_of_the_bound_and_a_coarser_one_exceeds_it(dtype: str) -> None:
    """From both sides: the worst of 4000 products of 3 factors reaches 0.6 of gamma(2)."""
    rng = np.random.default_rng(0)
    case = build_case(rng, (3, 4000), "above 1", dtype, Domain(), matrix=False)
    numbers = case.weights.astype(dtype)
    sound = judge(case, np.cumprod(numbers, axis=0).astype(float), Domain())
    assert 0.6 <= sound.ratio <= 1.0
    coarse = {"float64": "float32", "float32": "float16", "float16": "float16"}[dtype]
    if coarse != dtype:
        inside = np.cumprod(numbers.astype(coarse), axis=0).astype(float)
        assert judge(case, inside, Domain()).ratio > 100.0


def test_a_sound_matrix_product_uses_some_of_the_bound() -> None:
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(60):
        case = build_case(rng, (3, 2, 2), "positive", "float32", Domain(), matrix=True)
        found = case.weights.astype(np.float32)
        for t in (1, 2):
            found[t] = case.weights[t].astype(np.float32) @ found[t - 1]
        worst = max(worst, judge(case, found.astype(float), Domain()).ratio)
    assert 0.2 <= worst <= 1.0


def test_what_a_tree_may_overflow_on_its_way_is_undecidable() -> None:
    big, small = 1e200, 1e-200
    case = ProductCase(np.array([0.5, big, big, small, small]), "float64")
    assert bound_of(case, Domain()).in_range.tolist() == [True, True, False, False, False]
    tiny = ProductCase(np.array([small, small, big, big]), "float64")
    assert bound_of(tiny, Domain()).in_range.tolist() == [True, False, False, False]
    # A zero in between: no nonzero product reaches across it.
    cut = ProductCase(np.array([big, 0.0, big, 0.5]), "float64")
    assert bound_of(cut, Domain()).in_range.all()


# Cases.


@pytest.mark.parametrize("matrix", [False, True])
def test_cases_reach_every_class_and_hold_what_they_promise(matrix: bool) -> None:
    subject = Product(np.cumprod, matrix=matrix)
    domain = Domain(dtypes=("float64", "float32", "bfloat16"), max_length=40)
    source = RandomSource(0)
    cases = [product_case(source, domain, subject) for _ in range(400)]
    assert {c.stratum for c in cases} == set(classes_of(domain, matrix))
    assert {c.dtype for c in cases} == set(domain.dtypes)
    assert {0, 1} <= {c.steps for c in cases}
    assert max(c.steps for c in cases) <= 40
    for case in cases:
        single = np.float32(case.weights) if case.dtype != "float64" else case.weights
        np.testing.assert_array_equal(single, case.weights)
        assert case.matrix is matrix
        assert not matrix or case.weights.shape[1] == case.weights.shape[2]
        again = ProductCase.from_json(case.to_json())
        np.testing.assert_array_equal(again.weights, case.weights)
        for other in itertools.islice(case.smaller(), 20):
            assert other.weights.size <= case.weights.size
    if not matrix:
        assert {c.weights.ndim for c in cases} == {1, 2, 3}


@pytest.mark.parametrize("gates", ["unit", "signed", "constant"])
def test_a_declared_domain_is_kept(gates: str) -> None:
    domain, source = Domain(gates=gates, max_length=20), RandomSource(1)
    for _ in range(100):
        case = product_case(source, domain, Product(np.cumprod, gates=gates), shortest=2)
        low, high = (0.0, 1.0) if gates == "unit" else (-1.0, 1.0)
        if gates == "constant":
            assert (case.weights == case.weights[:1]).all()
        else:
            assert case.weights.min(initial=1.0) >= low
            assert case.weights.max(initial=-1.0) <= high


def test_matrices_of_every_class_are_what_they_are_called() -> None:
    rng = np.random.default_rng(2)
    made = {name: draw(rng, (50, 3, 3)) for name, draw in MATRIX_CLASSES.items()}
    np.testing.assert_allclose(
        made["reflections"] @ made["reflections"], np.tile(np.eye(3), (50, 1, 1)), atol=1e-14
    )
    assert (np.tril(made["triangular"], -1) == 0.0).all()
    assert (made["whole numbers"] == np.rint(made["whole numbers"])).all()
    assert (made["positive"] >= 0.0).all()
    assert 0.3 < (made["half zeros"] == 0.0).mean() < 0.7


# The adapter, and the command line.


@pytest.mark.parametrize(
    ("flags", "domain"),
    [
        ([], "domain: weights any · "),
        (["--matrix"], "domain: matrices · "),
        (["--gates", "unit"], "weights unit"),
    ],
)
def test_a_report_says_what_was_promised(
    flags: list[str], domain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "running.py"
    operator = "@" if flags == ["--matrix"] else "*"
    target.write_text(
        "def run(w):\n"
        "    found = w.copy()\n"
        "    for t in range(1, len(w)):\n"
        f"        found[t] = w[t] {operator} found[t - 1]\n"
        "    return found\n"
    )
    call = ["check", f"{target}:run", "--kind", "product", "--examples", "3", "--only", "exact", *flags]
    assert main(call) == 0
    assert domain in capsys.readouterr().out


def cumprod(weights: FloatArray) -> FloatArray:
    return np.asarray(np.cumprod(weights, axis=0))


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"gates": "positive"}, "gates"),
        ({"dtypes": ("int8",)}, "dtypes"),
        ({"framework": "tensorflow"}, "framework"),
        ({"arithmetic": "exact"}, "arithmetic"),
    ],
)
def test_options_that_are_unknown_are_refused(options: dict[str, Any], argument: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument}: got"):
        Product(cumprod, **options)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda a, b: a, "raised TypeError"),
        (lambda weights: list(weights), "returned a list"),
        (lambda weights: (weights, weights), "returned a tuple"),
    ],
)
def test_a_target_of_another_form_is_told_so(target: Any, text: str) -> None:
    with pytest.raises(TargetError, match=text):
        Product(target).preflight()


def test_the_last_product_alone_is_of_the_wrong_shape() -> None:
    result = judged("product/exact", Product(lambda weights: np.prod(weights, axis=0, keepdims=True)))
    assert result.verdict == "wrong"
    assert result.counterexample is not None
    assert "expected the shape of the weights" in result.counterexample.message


def test_a_script_shows_the_failure_without_dynprop(capsys: pytest.CaptureFixture[str]) -> None:
    result = judged("product/exact", planted("product/exclusive"), Options(examples=20, patience=1.0))
    assert result.counterexample is not None
    script = result.counterexample.script.replace("# f = product/exclusive", "f = lambda w: 0 * w  #")
    exec(compile(script, "script", "exec"), {})
    assert capsys.readouterr().out


def test_formats_have_a_range_that_bounds_use() -> None:
    case = ProductCase(np.array([1e-30, 1e-30]), "float32")
    assert FORMATS["float32"].tiny > 1e-60
    assert bound_of(case, Domain()).in_range.tolist() == [True, False]
