"""Names of the room are loaded when they are used, and nothing heavy with them."""

from __future__ import annotations

import pytest

import dynprop.products
from tests.properties.test_architecture import HEAVY, modules_loaded_by


def test_every_public_name_is_there_and_none_other() -> None:
    for name in dynprop.products.__all__:
        assert getattr(dynprop.products, name).__name__ == name
    with pytest.raises(AttributeError, match="laws_of_motion"):
        _ = getattr(dynprop.products, "laws_of_motion")  # noqa: B009  # a name that is not there
    assert dir(dynprop.products) == sorted(dynprop.products.__all__)


def test_using_every_name_loads_neither_statistics_nor_pictures() -> None:
    loaded = modules_loaded_by("import dynprop.products as p; [getattr(p, name) for name in p.__all__]")
    assert loaded.isdisjoint({*HEAVY, "matplotlib", "scipy"})
