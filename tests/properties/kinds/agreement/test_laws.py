"""Each law of kind agreement fails a namespace with the one wrong function that it is about."""

from __future__ import annotations

import ast
import inspect
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dynprop import linear
from dynprop.arrays import NumericArray
from dynprop.check.run.runner import Options
from dynprop.cli import main
from dynprop.errors import ArgumentError, PrecisionError, TargetError
from dynprop.kinds import kind_named, laws_for
from dynprop.kinds.agreement.judging import compare_interval, compare_pair
from dynprop.kinds.agreement.subject import Scaled
from dynprop.kinds.agreement.target import FUNCTIONS, Agreement
from tests.properties.kinds.kinds import judged

ROOMS = ("forms", "norms", "spectra")
LAWS = [law.id for law in laws_for("agreement") if law.test.__module__.rpartition(".")[2] in ROOMS]


def replaced(**functions: Any) -> Agreement:
    names: dict[str, Any] = {name: getattr(linear, name) for name in FUNCTIONS if hasattr(linear, name)}
    return Agreement(SimpleNamespace(**{**names, **functions}), framework="numpy")


@pytest.mark.parametrize("law", LAWS)
def test_the_linear_room_agrees_with_itself(law: str) -> None:
    result = judged(law, Agreement(linear), Options(examples=30, iid=30, patience=0.3))
    assert result.verdict == "pass", result.counterexample
    # Of 1,400 cases a law, 7 were refused: exact zeros and eigenvalues that nearly coincide.
    assert result.refused <= 3
    assert result.decided >= 20
    assert result.worst_ratio <= 1.0


def test_a_radius_that_is_not_the_largest_modulus_is_seen() -> None:
    """Found so: of eigenvalues tied to 1e-12 the first has the larger real part, not the larger modulus."""

    def of_the_first(W: NumericArray) -> Any:
        found = linear.spectrum(W)
        return replace(found, radius=float(np.abs(found.eigenvalues[0])))

    assert linear.spectrum(np.diag([0.25, 0.24999999999994918])).radius == 0.25
    # Seeds 1, 4, 5 and 6 of the first six draw such a tie.
    options = Options(examples=300, patience=0.0, seed=1)
    assert judged("agreement/normal-growth", replaced(spectrum=of_the_first), options).failed
    assert judged("agreement/normal-growth", replaced(), options).verdict == "pass"


def test_refusals_are_counted_and_other_errors_are_not_refusals() -> None:
    def refuses(*arguments: Any) -> Any:
        raise PrecisionError("not today")

    def breaks(*arguments: Any) -> Any:
        raise KeyError("a defect")

    result = judged("agreement/kreiss", replaced(kreiss_constant=refuses))
    assert (result.verdict, result.refused, result.decided) == ("refused", result.cases, 0)
    assert judged("agreement/kreiss", replaced(kreiss_constant=breaks)).verdict == "error"


@pytest.mark.parametrize(
    ("functions", "law", "text"),
    [
        (
            {"growth": lambda W, horizon: 3.0},
            "growth-of-the-unrolled",
            "growth returned float 3.0, which has no",
        ),
        (
            {"unroll": lambda W, h0, steps: h0},
            "unroll-closed-form",
            "unroll returned numpy float64 array of shape (1,), expected shape (1, 1)",
        ),
        (
            {"modes": lambda W, h0: replace(linear.modes(W, h0), components=W[:1])},
            "modes-of-the-state",
            "modes returned",
        ),
    ],
)
def test_what_does_not_have_the_form_of_the_function_is_wrong(
    functions: dict[str, Any], law: str, text: str
) -> None:
    result = judged(f"agreement/{law}", replaced(**functions), Options(examples=5, patience=0.0))
    assert result.verdict == "wrong"
    assert result.counterexample is not None
    assert text in result.counterexample.message


# Comparisons


def test_neither_of_two_answers_escapes_by_being_zero_or_nothing() -> None:
    for value, other in ((0.0, 1.0), (1.0, 0.0), (np.nan, 1.0), (np.inf, 1.0)):
        found = compare_pair("x", np.array([value]), np.array([other]), 0.1, axes=("component",))
        assert found.decided.all()
        assert found.ratio > 1.0
    unknown = compare_pair("x", np.array([1.0]), np.array([2.0]), np.inf, axes=("component",))
    assert not unknown.decided.any()
    assert compare_pair("x", np.zeros(1), np.zeros(1), 0.0, axes=("component",)).ratio == 0.0


def test_complex_answers_are_compared_by_modulus_and_shown_in_parts() -> None:
    found = compare_pair("x", np.array([1.0 + 1.0j]), np.array([1.0 + 4.0j]), 2.0, axes=("component",))
    assert found.ratio == 1.5
    assert found.axes == ("component", "part")


def test_an_inequality_is_judged_by_what_it_is_violated_by() -> None:
    values = np.array([0.5, -0.02, 1.05, np.nan, -np.inf])
    found = compare_interval("x", values, 0.0, 1.0, 0.01, axes=("time",))
    assert found.residual.tolist() == pytest.approx([0.0, 0.02, 0.05, np.inf, np.inf])
    assert found.decided.all()
    assert not compare_interval("x", values, 0.0, 1.0, 0.2, axes=("time",)).decided.any()
    gone = compare_interval("x", np.array([-np.inf]), -np.inf, -np.inf, 0.0, axes=("time",))
    assert gone.ratio == 0.0


def test_a_scaled_answer_is_taken_to_any_exponent() -> None:
    state = Scaled(np.array([0.5, 0.75j]), 10**20 + 3, 1e-10)
    value, error = state.at(10**20)
    assert value.tolist() == [4.0, 6.0j]
    assert error == pytest.approx(6e-10)
    assert np.isinf(state.at(0)[0].real[0])
    assert state.at(10**21)[0].tolist() == [0.0, 0.0]


# References


THEORY = ("dynprop.linear", "dynprop.products", "dynprop.gradients", "dynprop.training")


@pytest.mark.parametrize("module", kind_named("agreement").laws)
def test_a_law_takes_from_the_rooms_under_test_the_settings_of_trials_only(module: str) -> None:
    tree = ast.parse(inspect.getsource(import_module(module)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    plain = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    named = [
        f"{node.module}.{alias.name}"
        for node in imports
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    reached = {name for name in [*plain, *named] if name.startswith(THEORY) or name == "dynprop.scan"}
    assert reached <= {"dynprop.training.Setting", "dynprop.training.Trial"}


# The adapter, and the command


def test_one_function_alone_agrees_with_itself_and_is_refused() -> None:
    with pytest.raises(TargetError) as caught:
        Agreement(SimpleNamespace(unroll=linear.unroll)).preflight()
    assert "kind agreement takes a module or object with some of the functions unroll, closed_form" in str(
        caught.value
    )
    assert str(caught.value).endswith("has unroll")
    assert "\n" not in str(caught.value)


def test_laws_about_functions_that_are_not_there_are_not_applicable() -> None:
    subject = Agreement(SimpleNamespace(unroll=linear.unroll, closed_form=linear.closed_form))
    result = judged("agreement/kreiss", subject)
    assert result.verdict == "not-applicable"
    assert result.note == "the namespace has no growth and no kreiss_constant"
    numpy = Agreement(linear, framework="numpy")
    assert judged("agreement/adjoint", numpy).note == "its library has no automatic differentiation"


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(ArgumentError, match="framework: got 'tf'"):
        Agreement(linear, framework="tf")


def test_the_module_is_checked_from_the_command_line(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    call = ["check", "dynprop:linear", "--kind", "agreement", "--examples", "2", "--json", str(report)]
    assert main(call) == 0
    data = json.loads(report.read_text())
    assert (data["verdict"], data["kind"]) == ("pass", "agreement")
    assert {law["id"] for law in data["laws"] if law["verdict"] == "pass"} == set(LAWS)


def test_a_counterexample_is_replayed_and_its_script_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, report = tmp_path / "names.py", tmp_path / "report.json"
    target.write_text(
        "from dynprop.linear import *\n"
        "from dynprop import linear\n"
        "class Namespace:\n"
        "    unroll, growth = staticmethod(unroll), lambda W, horizon: linear.growth(2.0 * W, horizon)\n"
    )
    call = ["check", f"{target}:Namespace", "--kind", "agreement", "--only", "growth-of-the-unrolled"]
    assert main([*call, "--examples", "5", "--json", str(report)]) == 1
    (law,) = json.loads(report.read_text())["laws"]
    capsys.readouterr()
    exec(compile(law["counterexample"]["script"], "script", "exec"), {})
    assert capsys.readouterr().out
    assert main(["replay", str(report)]) == 1
