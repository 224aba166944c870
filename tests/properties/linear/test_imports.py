"""The package attribute is the function, also where a module or folder has its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

ORDERS = [
    "pass",
    "import dynprop.linear.growth.growth",
    "import dynprop.linear.growth.norms",
    "from dynprop.linear.scan import scan",
    "from dynprop.linear.closed.closed_form import closed_form",
    "import dynprop; dynprop.scan; import dynprop.linear.scan, dynprop.linear.unroll",
    "from dynprop.linear import growth, scan, unroll; import dynprop.linear.growth.kreiss",
]


@pytest.mark.parametrize("order", ORDERS)
def test_names_shared_with_modules_are_functions_in_any_order_of_imports(order: str) -> None:
    code = (
        f"{order}\n"
        "import dynprop, dynprop.linear as room\n"
        "from types import FunctionType\n"
        "from dynprop.linear import closed_form, growth, scan, unroll\n"
        "found = [closed_form, growth, scan, unroll, room.growth, room.scan, room.unroll, dynprop.scan]\n"
        "assert all(isinstance(f, FunctionType) for f in found), found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
