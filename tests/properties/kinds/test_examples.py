"""The examples in the docstrings of the public adapters run, and print what they show."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import pytest

from dynprop.kinds import all_kinds

# A layer, a task and an agreement have no example yet.
WITH_EXAMPLE = ("scan", "associative-scan", "product", "unroll", "closed-form", "initializer")


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_the_example_of_an_adapter_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = all_kinds()[name].adapter.partition(":")[0]
    adapter = all_kinds()[name].adapter_class()
    (example,) = doctest.DocTestFinder(recurse=False).find(adapter, module=sys.modules[module])
    failed, tried = doctest.DocTestRunner().run(example)
    assert tried >= 3
    assert failed == 0
