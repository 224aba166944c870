"""The examples in the docstrings of public functions run as doctests."""

from __future__ import annotations

import doctest
import inspect

import pytest

import dynprop.check

FUNCTIONS = [name for name in dynprop.check.__all__ if inspect.isfunction(getattr(dynprop.check, name))]


def test_the_functions_of_the_room_are_known() -> None:
    assert set(FUNCTIONS) == {"again", "check", "load_subject", "parametrize_with_laws"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_public_function_runs(name: str) -> None:
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(dynprop.check, name), name, globs={})
    assert test.examples
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert report == []
