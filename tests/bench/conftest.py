"""What every benchmark shares: which versions were timed, stored with the result."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

TIMED = ("dynprop", "numpy", "scipy", "torch", "hypothesis", "python-flint", "typer")


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["python"] = platform.python_version()
    machine_info["cores"] = os.cpu_count()
    machine_info["versions"] = {package: installed(package) for package in TIMED}
