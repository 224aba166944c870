"""Every public function has an example in its docstring, and the example prints what it shows."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from dynprop.kinds import all_kinds

ROOMS = ("linear", "products", "gradients", "training", "check")


def public_functions() -> list[Any]:
    parameters = []
    for room in ROOMS:
        package = importlib.import_module(f"dynprop.{room}")
        named = ((name, getattr(package, name)) for name in package.__all__)
        parameters += [
            pytest.param(f, id=f"{room}.{name}") for name, f in named if isinstance(f, FunctionType)
        ]
    return parameters


def adapters() -> list[Any]:
    """Return the public adapters, those that `dynprop.check` exports."""
    check = importlib.import_module("dynprop.check")
    kinds = [kind for kind in all_kinds().values() if kind.adapter_name in check.__all__]
    return [pytest.param(kind.adapter_class(), id=kind.adapter_name) for kind in kinds]


def examples(function: Any) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=True)
    module = sys.modules[function.__module__]
    return [test for test in finder.find(function, function.__name__, module=module) if test.examples]


def failures(test: doctest.DocTest) -> str:
    printed: list[str] = []
    with np.printoptions(precision=8, suppress=False, threshold=1000, linewidth=75):
        result = doctest.DocTestRunner(verbose=False).run(test, out=printed.append)
    return "".join(printed) if result.failed else ""


@pytest.mark.parametrize("function", [*public_functions(), *adapters()])
def test_an_example_runs_and_prints_what_it_shows(
    function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tests = examples(function)
    assert tests, f"the docstring of {function.__name__} has no >>> example"
    assert "Example:" in function.__doc__ or "Examples:" in function.__doc__
    for test in tests:
        assert failures(test) == ""


def test_a_missing_and_a_wrong_example_are_noticed() -> None:
    def without() -> None:
        """Return nothing."""

    def wrong() -> None:
        """Return nothing.

        Example:
            >>> 1 + 1
            3
        """

    assert examples(without) == []
    (test,) = examples(wrong)
    assert "Expected:" in failures(test)
    assert inspect.getdoc(wrong)


def test_the_listed_rooms_export_functions() -> None:
    assert len(public_functions()) >= 40
    assert len(adapters()) >= 8
