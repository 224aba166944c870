"""The examples in the docstrings of public functions run as doctests."""

from __future__ import annotations

import doctest
import inspect

import pytest

import dynprop.training

FUNCTIONS = [name for name in dynprop.training.__all__ if inspect.isfunction(getattr(dynprop.training, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_public_function_runs(name: str) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(dynprop.training, name), name, globs={})
    assert test.examples
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert report == []
