"""Digests of the code that a run executes: two runs with equal digests executed the same code.

A digest covers the modules that the named ones import, directly or not, also inside functions. It is taken
over syntax trees without docstrings, so that comments, docstrings and layout do not change it, and every
other edit does. Digests are grouped by room (``laws``, ``kinds.scan``, ``linear``), so that a page can name
what changed. The text of a tree does not depend on the version of Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from dynprop.kinds import kind_named

__all__ = [
    "Rooms",
    "closure",
    "code_of",
    "code_of_kind",
    "code_of_planted",
    "digest_of_file",
    "is_own",
    "normalised",
]

Rooms = Mapping[str, str]
# Level of a relative import, module, name.
Import = tuple[int, str, str]

# Registries and versions: a new kind or version changes no result of another kind.
REGISTRIES = frozenset({"dynprop", "dynprop._version", "dynprop.kinds"})
# The runner that every record of a kind goes through.
RUNNER = "dynprop.check.run.runner"
LENGTH = 12


def code_of(roots: Iterable[str]) -> dict[str, str]:
    """Return the digest of each room with modules that the given ones import.

    Modules of `dynprop.evidence` count only if they are named: they record results and do not change them.
    """
    rooms: dict[str, list[str]] = {}
    for module in sorted(closure(roots)):
        rooms.setdefault(_room(module), []).append(module)
    return {room: _digest(map(_line, modules)) for room, modules in rooms.items()}


def code_of_kind(kind: str, *modules: str) -> dict[str, str]:
    """Return the digests of the code that judges a target of one kind: runner, adapter, laws, imports.

    Args:
        kind: name of the kind.
        modules: further modules to include.
    """
    record = kind_named(kind)
    return code_of([RUNNER, record.adapter.partition(":")[0], *record.laws, *modules])


def code_of_planted(kinds: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the digests of the code that judges the faults and controls of some kinds, theirs included."""
    records = [kind_named(kind) for kind in dict.fromkeys(kinds)]
    return {record.name: code_of_kind(record.name, *record.faults, *record.controls) for record in records}


def is_own(kind: str) -> bool:
    """Whether a kind is one of dynprop's; records do not cover kinds of installed packages."""
    return kind_named(kind).adapter.startswith("dynprop.")


def closure(roots: Iterable[str]) -> frozenset[str]:
    """Return the given modules and those of the same packages that they import, directly or not."""
    named = list(roots)
    packages = {name.partition(".")[0] for name in named} | {"dynprop"}
    modules: set[str] = set()
    pending = list(named)
    while pending:
        module = pending.pop()
        if module in modules or module in REGISTRIES or module.partition(".")[0] not in packages:
            continue
        if module.startswith("dynprop.evidence.") and module not in named:
            continue
        if _file(module) is None:
            continue
        modules.add(module)
        pending += _imports(module)
    return frozenset(modules)


def digest_of_file(path: Path) -> str:
    """Return the digest of one Python file, such as an adapter that stands beside the package."""
    return _source(path).digest


def normalised(source: str) -> str:
    """Return source code as the text of its syntax tree, without docstrings, comments and layout."""
    return _form(_without_docstrings(ast.parse(source)))


def _room(module: str) -> str:
    package, *parts = module.split(".")
    if package != "dynprop":
        return package
    return ".".join(parts[:2] if parts[0] == "kinds" else parts[:1])


def _line(module: str) -> str:
    path = _file(module)
    assert path is not None
    return f"{module} {_source(path).digest}"


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:LENGTH]


# Files


@dataclass(frozen=True)
class _Source:
    """The digest of a file's syntax tree, and the names that it imports.

    Attributes:
        digest: digest of the tree without docstrings.
        imports: (level, module, name) of every executed import; the name is empty for ``import module``.
        exports: name -> (level, module, name), for the top-level imports of a package.
    """

    digest: str
    imports: tuple[Import, ...]
    exports: Mapping[str, Import]


@cache
def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


@cache
def _file(module: str) -> Path | None:
    """Return the file of a module, or None where there is none."""
    package, *parts = module.split(".")
    folder = _folder(package)
    if folder is None:
        return None
    place = folder.joinpath(*parts)
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _source(path: Path) -> _Source:
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@cache
def _read(path: Path, modified: int, size: int) -> _Source:
    """Parse a file, once for each modification."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = tuple(imported for node in _executed(tree) for _, imported in _imported(node))
    exports = {name: imported for node in tree.body for name, imported in _imported(node)}
    return _Source(_digest([_form(_without_docstrings(tree))]), imports, exports)


def _stub(path: Path) -> Path | None:
    """Return the stub from which a package loads its names lazily, if it has one."""
    stub = path.with_suffix(".pyi")
    return stub if stub.is_file() else None


# Trees


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del node.body[0]
    return tree


def _form(node: object) -> str:
    """Return a node as text; empty fields are left out, which newer versions of Python add."""
    if isinstance(node, ast.AST):
        values = [(name, getattr(node, name, None)) for name in node._fields]
        fields = [f"{name}={_form(value)}" for name, value in values if value is not None and value != []]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_form, node))}]"
    return repr(node)


# Imports


def _imported(node: ast.AST) -> Iterator[tuple[str, Import]]:
    """Yield the names that an import statement binds, each with its origin."""
    if isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name, (0, alias.name, "")) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = node.level, node.module or ""
        yield from ((alias.asname or alias.name, (*origin, alias.name)) for alias in node.names)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below a node, but for those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _executed(other)
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from _executed(child)


def _imports(module: str) -> Iterator[str]:
    """Yield the modules that a module imports, in functions too."""
    path = _file(module)
    assert path is not None
    stub = _stub(path)
    for source in (_source(path), *([_source(stub)] if stub else [])):
        yield from (_defining(imported, module, path) for imported in source.imports)


def _defining(imported: Import, module: str, path: Path) -> str:
    """Return the module that defines an imported name: a submodule, or the origin of a re-exported name."""
    level, origin, name = imported
    if level:
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - level + 1])
        origin = f"{base}.{origin}" if origin else base
    if not name:
        return origin
    if _file(f"{origin}.{name}") is not None:
        return f"{origin}.{name}"
    place = _file(origin)
    if place is None or place.name != "__init__.py":
        return origin
    exports = _source(_stub(place) or place).exports
    return _defining(exports[name], origin, place) if name in exports else origin
