"""The house rules of dynprop that a machine can check.

Rooms follow an argument, so imports point one way; importing the package is cheap; Hypothesis stays
where cases are generated and run; what is exported exists and says what it does.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = "dynprop"
ROOT = Path(__file__).resolve().parents[2] / "src" / PACKAGE
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# Each room imports only from itself and from the rooms that stand before it.
ROOMS = (
    "lazy",
    "errors",
    "arrays",
    "precision",
    "linear",
    "products",
    "gradients",
    "training",
    "laws",
    "check",
    "cli",
    "__main__",
)

# Laws can be replayed without Hypothesis: only what generates cases and what runs them imports it.
HYPOTHESIS_HOMES = (
    "laws/strategies*.py",
    "laws/strategies/*.py",
    "check/runner.py",
    "check/plugin.py",
    "check/plugin/*.py",
)

# A reference never shares code with its subject: laws do not import what they judge, except where
# agreement between rooms is itself the law, and implementations to be judged do not import the
# exact arithmetic that judges them.
INDEPENDENCE = (
    ("laws/*", "laws/agreement*", ("linear", "products", "gradients", "training")),
    ("check/faults/*", "", ("laws.exact",)),
)

MAX_LINES = 400

# Neither the package nor its command line may load these before they are needed.
HEAVY = ("torch", "jax", "hypothesis", "scipy.stats", "distributed", "sqlite3")

OPTIONAL = frozenset({"jax", "torch"})


@dataclass(frozen=True)
class Import:
    """One import statement, or one call of import_module with a literal name."""

    line: int
    name: str


def module_name(file: str) -> str:
    """Return the dotted name of a file under src/dynprop."""
    parts = [PACKAGE, *file.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, file: str) -> Iterator[Import]:
    """Yield every import in a source, nested, conditional and relative ones included.

    ``from dynprop import x`` yields ``dynprop.x`` where x is a room, else ``dynprop``.
    """
    package = module_name(file).split(".")
    if not file.endswith("__init__.py"):
        package = package[:-1]
    for node in ast.walk(ast.parse(source, filename=file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            if module != PACKAGE:
                yield Import(node.lineno, module)
                continue
            for alias in node.names:
                if alias.name in ROOMS:
                    yield Import(node.lineno, f"{PACKAGE}.{alias.name}")
                elif alias.name != "__version__":
                    yield Import(node.lineno, PACKAGE)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            literal = node.args[0] if node.args else None
            if (
                called in ("import_module", "__import__")
                and isinstance(literal, ast.Constant)
                and isinstance(literal.value, str)
            ):
                yield Import(node.lineno, literal.value)


def forbidden_arrows(source: str, file: str) -> list[str]:
    """List the imports by which a file reaches a room below its own, or the top package."""
    if file == "__init__.py":
        return []
    room = module_name(file).split(".")[1]
    if room not in ROOMS:
        return [f"{file}: no room named {room}; the rooms are {', '.join(ROOMS)}"]
    allowed = ROOMS[: ROOMS.index(room) + 1]
    found = []
    for item in imports_of(source, file):
        target = item.name.split(".")
        if target[0] != PACKAGE:
            continue
        if len(target) == 1:
            found.append(f"{file}:{item.line}: imports from the top package instead of a room")
        elif target[1] not in allowed:
            found.append(f"{file}:{item.line}: {room} imports from {target[1]}")
    return found


def shared_code(source: str, file: str) -> list[str]:
    """List the imports by which a reference and what it judges would share code."""
    found = []
    for files, exempt, forbidden in INDEPENDENCE:
        if not fnmatch(file, files) or fnmatch(file, exempt):
            continue
        roots = tuple(f"{PACKAGE}.{name}" for name in forbidden)
        for item in imports_of(source, file):
            if item.name in roots or item.name.startswith(tuple(f"{root}." for root in roots)):
                found.append(f"{file}:{item.line}: imports {item.name}")
    return found


def public_definitions(
    tree: ast.Module,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the functions and classes of a module that its ``__all__`` names, or without one
    those whose name has no leading underscore; of overloads only the implementation."""
    exported: set[str] | None = None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        named = any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            exported = set(ast.literal_eval(node.value))
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list):
            continue
        if node.name in exported if exported is not None else not node.name.startswith("_"):
            yield node


def modules_loaded_by(statement: str) -> set[str]:
    """Return what sys.modules holds after one statement in a fresh interpreter."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def test_the_package_has_files() -> None:
    assert "__init__.py" in FILES


@pytest.mark.parametrize("file", FILES)
def test_imports_point_to_rooms_above(file: str) -> None:
    assert forbidden_arrows(read(file), file) == []


@pytest.mark.parametrize("file", FILES)
def test_hypothesis_is_imported_only_where_cases_are_generated_or_run(file: str) -> None:
    if any(fnmatch(file, home) for home in HYPOTHESIS_HOMES):
        return
    found = [
        f"{file}:{item.line}"
        for item in imports_of(read(file), file)
        if item.name.split(".")[0] == "hypothesis"
    ]
    assert found == []


@pytest.mark.parametrize("file", FILES)
def test_references_share_no_code_with_their_subjects(file: str) -> None:
    assert shared_code(read(file), file) == []


@pytest.mark.parametrize("file", FILES)
def test_no_hypothesis_profile_is_registered_or_loaded(file: str) -> None:
    """A profile is global: it belongs to the user's test session."""
    named = {node.attr for node in ast.walk(ast.parse(read(file))) if isinstance(node, ast.Attribute)}
    assert not named & {"register_profile", "load_profile"}


@pytest.mark.parametrize("file", FILES)
def test_no_file_is_long(file: str) -> None:
    assert len(read(file).splitlines()) <= MAX_LINES


@pytest.mark.parametrize("file", FILES)
def test_every_exported_name_exists(file: str) -> None:
    if file.endswith("__main__.py"):
        return
    try:
        module = importlib.import_module(module_name(file))
    except ModuleNotFoundError as missing:
        if missing.name not in OPTIONAL:
            raise
        pytest.skip(f"{file} needs {missing.name}")
    names = list(getattr(module, "__all__", ()))
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("file", FILES)
def test_public_functions_and_classes_say_what_they_do(file: str) -> None:
    tree = ast.parse(read(file))
    silent = [
        f"{file}:{node.lineno}: {node.name}"
        for node in public_definitions(tree)
        if not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = modules_loaded_by(f"import {module}")
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


# The checks above, checked: each sees what it is there to see.


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("arrays.py", "from dynprop.linear import scan"),
        ("arrays.py", "import dynprop.linear.scan as scan"),
        ("arrays.py", "from . import linear"),
        ("arrays.py", "from .linear import scan"),
        ("linear/scan.py", "from ..laws import registry"),
        ("linear/__init__.py", "from ..check import runner"),
        ("linear/scan.py", "def late():\n    from dynprop.training import tasks"),
        ("gradients/cells.py", "if TYPE_CHECKING:\n    from dynprop.training import Trial"),
        ("laws/scan.py", "importlib.import_module('dynprop.check.runner')"),
        ("check/runner.py", "import dynprop"),
        ("check/runner.py", "from dynprop import scan"),
        ("elsewhere.py", ""),
    ],
)
def test_a_forbidden_arrow_is_seen(file: str, source: str) -> None:
    assert len(forbidden_arrows(source, file)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("__init__.py", "from dynprop.cli import main"),
        ("arrays.py", "from dynprop.errors import ArgumentError"),
        ("linear/scan.py", "from .spectrum import spectrum"),
        ("linear/scan.py", "from ..arrays import to_numpy"),
        ("linear/__init__.py", "from .scan import scan"),
        ("check/faults/scans.py", "from ..report import Report"),
        ("check/report.py", "from dynprop import __version__, errors"),
        ("cli.py", "import numpy, dynprop.check.runner"),
    ],
)
def test_an_allowed_arrow_is_not_accused(file: str, source: str) -> None:
    assert forbidden_arrows(source, file) == []


@pytest.mark.parametrize(
    ("file", "source", "count"),
    [
        ("laws/scan/forward.py", "from dynprop.linear import scan", 1),
        ("laws/scan/forward.py", "from dynprop import linear", 1),
        ("laws/scan/forward.py", "from ..exact import scan_states", 0),
        ("laws/agreement.py", "from dynprop.linear import scan", 0),
        ("check/faults/scans.py", "from dynprop.laws.exact import scan_states", 1),
        ("check/faults/scans.py", "from dynprop.laws.exactly import x", 0),
        ("check/runner.py", "from dynprop.laws.exact import scan_states", 0),
    ],
)
def test_shared_code_is_seen_where_it_matters(file: str, source: str, count: int) -> None:
    assert len(shared_code(source, file)) == count


def test_definitions_without_all_are_public_by_name_and_overloads_count_once() -> None:
    source = "@overload\ndef f(x: int): ...\ndef f(x): ...\ndef _g(): ...\nclass H: ..."
    assert [node.name for node in public_definitions(ast.parse(source))] == ["f", "H"]


def test_definitions_with_all_are_public_by_it() -> None:
    source = "__all__ = ['_g']\ndef f(): ...\ndef _g(): ..."
    assert [node.name for node in public_definitions(ast.parse(source))] == ["_g"]
