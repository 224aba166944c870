"""House rules that a machine can check and import-linter cannot.

The arrows between rooms are contracts of import-linter (pyproject.toml, ``make lint``). Here stands what it
does not see: modules that are named by strings, what an import loads, what is exported, how long files are.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynprop.kinds import Kind, all_kinds

PACKAGE = "dynprop"
ROOT = Path(__file__).resolve().parents[2] / "src" / PACKAGE
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

MAX_LINES = 600

# Neither the package nor its command line may load these before they are needed.
HEAVY = ("torch", "jax", "hypothesis", "scipy.stats", "distributed", "sqlite3")

# In the experiments "task" is a field of a setting; random calls call the function `unroll`.
OTHER_WORDS = ("evidence/record/experiments.py", "evidence/record/call_linear.py")

OPTIONAL = frozenset({"jax", "torch"})


def module_name(file: str) -> str:
    """Return the dotted name of a file under src/dynprop."""
    parts = [PACKAGE, *file.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def test_no_hypothesis_profile_is_registered_or_loaded() -> None:
    """A profile is global: it belongs to the user's test session."""
    for file in FILES:
        named = {node.attr for node in ast.walk(ast.parse(read(file))) if isinstance(node, ast.Attribute)}
        assert not named & {"register_profile", "load_profile"}, file


def test_no_file_is_long() -> None:
    lengths = {file: len(read(file).splitlines()) for file in FILES}
    assert {file: lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_exported_name_exists_once() -> None:
    for file in FILES:
        try:
            module = importlib.import_module(module_name(file))
        except ModuleNotFoundError as missing:
            if missing.name not in OPTIONAL:
                raise
            continue
        names = list(getattr(module, "__all__", ()))
        assert len(names) == len(set(names)), file
        assert [name for name in names if not hasattr(module, name)] == [], file


def test_public_functions_and_classes_say_what_they_do() -> None:
    silent = [
        f"{file}:{node.lineno}: {node.name}"
        for file in FILES
        for node in public_definitions(ast.parse(read(file)))
        if not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.parametrize("record", all_kinds().values(), ids=lambda kind: kind.name)
def test_what_a_record_names_stands_in_the_folder_of_its_kind(record: Kind) -> None:
    """Modules that are named by strings are no arrows for import-linter."""
    functions = [name for name in (record.adapter, record.promise, record.setup, record.accepts) if name]
    folder = record.adapter.rpartition(".")[0]
    shared = folder.rpartition(".")[0] if folder.count(".") > 2 else folder
    for name in [*record.laws, *record.faults, *record.controls, *functions]:
        assert importlib.util.find_spec(name.partition(":")[0]) is not None, name
        assert name.startswith((f"{folder}.", f"{shared}.")), name


def test_no_room_but_the_kinds_names_a_kind() -> None:
    """Nothing in check, evidence or the command line knows which kinds there are."""
    names = set(all_kinds())
    found = [
        f"{file}:{node.lineno}: {node.value!r}"
        for file in FILES
        if file.split("/")[0] in ("check", "evidence", "cli.py", "cli_check.py", "subjects")
        and file not in OTHER_WORDS
        for node in ast.walk(ast.parse(read(file)))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert found == []


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.cli"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = modules_loaded_by(f"import {module}")
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


def test_definitions_without_all_are_public_by_name_and_overloads_count_once() -> None:
    source = "@overload\ndef f(x: int): ...\ndef f(x): ...\ndef _g(): ...\nclass H: ..."
    assert [node.name for node in public_definitions(ast.parse(source))] == ["f", "H"]


def test_definitions_with_all_are_public_by_it() -> None:
    source = "__all__ = ['_g']\ndef f(): ...\ndef _g(): ..."
    assert [node.name for node in public_definitions(ast.parse(source))] == ["_g"]
