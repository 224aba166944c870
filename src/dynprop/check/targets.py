"""Import of the implementation under test, and its adaptation to its kind.

A target is written ``package.module:attribute`` or ``path/to/file.py:attribute``. Any mistake in it raises
one :class:`~dynprop.errors.TargetError` of one line, with the name looked up and the names that exist. The
objects here are the user's own, of any type; hence Any.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from dynprop.check.run.attribution import places_of
from dynprop.check.run.session import described_object, takes
from dynprop.check.run.subjects import LoadedSubject
from dynprop.errors import ArgumentError, DynpropError, TargetError
from dynprop.kinds import Kind, all_kinds, kind_named
from dynprop.kinds.record import Adapter, TargetOption
from dynprop.subjects.calls import attributable, visiting
from dynprop.wording import error_text

__all__ = ["load_subject", "locate", "package_versions", "resolve"]

FORM = "write package.module:attribute or path/to/file.py:attribute"


def resolve(target: str) -> Any:
    """Return the object that a target string names.

    Args:
        target: "package.module:attribute" (the current folder is searched too) or
            "path/to/file.py:attribute"; attributes may be dotted.

    Raises:
        TargetError: there is no such module, file or attribute, or importing it raises; in one line.
    """
    return locate(target)[0]


def locate(target: str) -> tuple[Any, ModuleType]:
    """Return the object that a target string names, and the module in which it was looked up.

    Raises:
        TargetError: as for ``resolve``.
    """
    place, colon, attribute = target.rpartition(":")
    if not colon or not place or not attribute:
        raise TargetError(f"target {target!r}: {_form_hint(target.strip(':'))}")
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    module = _import_file(place) if is_file else _import_module(place)
    target_object: Any = module
    for depth, name in enumerate(attribute.split(".")):
        target_object = _attribute(target_object, name, ".".join([place, *attribute.split(".")[:depth]]))
    return target_object, module


def _form_hint(target: str) -> str:
    head, dot, tail = target.rpartition(".")
    if dot and tail == "py":
        return f"no attribute named; write {target}:NAME with the name of a function or class in that file"
    if dot and head and "/" not in target:
        return f"no colon between module and attribute; did you mean {head}:{tail}?"
    return f"no attribute named; {FORM}"


def _attribute(owner: Any, name: str, place: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        pass
    except attributable() as error:
        raise TargetError(f"looking up {name} in {place} raised {_raised(error)}") from error
    inner = f"{owner.__name__}.{name}" if hasattr(owner, "__path__") else ""
    if inner and importlib.util.find_spec(inner) is not None:
        return _import_module(inner)
    public = [n for n in dir(owner) if not n.startswith("_")]
    if not get_close_matches(name, public) and isinstance(owner, ModuleType):
        public = [n for n in public if callable(getattr(owner, n, None))]
    raise TargetError(f"{place} has no attribute {name!r}; {_suggest(name, public, 'it has')}")


def _suggest(name: str, known: Sequence[str], otherwise: str) -> str:
    """Return "did you mean a or b?", or some of the known names."""
    close = get_close_matches(name, known, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    names = ", ".join(known[:6]) + (", ..." if len(known) > 6 else "")
    return f"{otherwise} {names or 'nothing public'}"


def _import_module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        with visiting():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise TargetError(f"importing {name} raised {_raised(error)}") from error
        raise TargetError(_unknown_module(name, error.name)) from error
    except attributable() as error:
        raise TargetError(f"importing {name} raised {_raised(error)}") from error


def _unknown_module(name: str, missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    if parent:
        path = getattr(sys.modules.get(parent), "__path__", [])
        known = [module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")]
        return f"{parent} has no module {last!r}; {_suggest(last, known, 'it has')}"
    folder = Path.cwd()
    known = [p.stem for p in folder.glob("*.py")] + [p.parent.name for p in folder.glob("*/__init__.py")]
    close = get_close_matches(last, [*known, *sys.modules], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "is it installed in this environment?"
    return f"no module named {missing!r} in the current folder or among installed packages; {hint}"


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the current source of a file, without cached bytecode.

    Bytecode is valid by the size of the source and the whole second of its last change. A line repaired
    within the second of its first import would run as it was before.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _import_file(name: str) -> ModuleType:
    path = Path(name)
    if not path.is_file():
        if not path.parent.is_dir():
            raise TargetError(f"no file {name}: there is no folder {path.parent}")
        neighbours = [str(path.parent / p.name) for p in path.parent.glob("*.py")]
        raise TargetError(f"no file {name}; {_suggest(str(path), neighbours, f'{path.parent} has')}")
    path = path.resolve()
    folder, stem = str(path.parent), path.stem
    loaded = sys.modules.get(stem)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        stem = f"dynprop_target_{stem}"
    loader = _SourceLoader(stem, str(path)) if path.suffix == ".py" else None
    spec = importlib.util.spec_from_file_location(stem, path, loader=loader)
    if spec is None or spec.loader is None:
        raise TargetError(f"{name} is not a Python file; {FORM}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    sys.path.insert(0, folder)
    try:
        with visiting():
            spec.loader.exec_module(module)
    except attributable() as error:
        sys.modules.pop(stem, None)
        raise TargetError(f"importing {name} raised {_raised(error)}") from error
    finally:
        # A target may import its neighbours when it is called. At the end of the path they shadow nothing.
        if folder in sys.path:
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)
    return module


def _raised(error: BaseException) -> str:
    """Describe an exception on one line: type, first line, and the place that raised it."""
    text = error_text(error)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({_short(error.filename)}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    outside = [f for f in frames if f.filename != __file__ and f.filename != importlib.__file__]
    return f"{text} ({_short(outside[-1].filename)}:{outside[-1].lineno})" if outside else text


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def load_subject(target: str, kind: str | None = None, *, seed: int = 0, **options: Any) -> LoadedSubject:
    """Find a target and adapt it to its kind, so that laws can judge it.

    Args:
        target: "package.module:attribute" or "path/to/file.py:attribute".
        kind: the name of a kind; None for an object that says it, such as a Layer or a torch module.
        seed: seeds the making of a layer from a class or builder.
        **options: values of the kind's options, such as framework, gates, dtypes, max_length. None means the
            kind's default.

    Returns:
        The subject, with ``origin`` (the target string), ``options`` (those that differ from the defaults)
        and ``packages`` (versions of the packages that the target's module uses).

    Raises:
        TargetError: the target cannot be found, imported or built, or its signature does not fit.
        ArgumentError: an unknown kind or option, or a value that the option does not take.

    Example:
        >>> from dynprop.check import load_subject
        >>> subject = load_subject("numpy:multiply.accumulate", "product", max_length=64)
        >>> subject.origin, subject.options, subject.domain.max_length
        ('numpy:multiply.accumulate', {'max_length': 64}, 64)
    """
    record = None if kind is None else _usable(kind)
    if record is not None:
        _require_known(record, options)
    try:
        target_object, module = locate(target)
        record = record or _kind_of(target_object, target)
        adapter, changed = _adapted(record, options, seed)
        _require_kind(target_object, record, target)
        subject = adapter.of(target_object, **{**changed, **_named_targets(record, changed)})
        return LoadedSubject(subject, target, changed, package_versions(module), places_of(module))
    except DynpropError:
        raise
    except attributable() as error:
        name = "its kind" if record is None else f"kind {record.name}"
        raise TargetError(f"adapting {target} to {name} raised {_raised(error)}") from error


def _usable(kind: str) -> Kind:
    """Return the record of a kind; ArgumentError if it cannot be used."""
    record = kind_named(kind)
    record.require_usable()
    return record


def _kind_of(target: object, place: str) -> Kind:
    """Return the kind that an object states: that of its adapter, or the one that takes it as it is."""
    for record in all_kinds().values():
        if record.is_adapter(target) or takes(record, target):
            return _usable(record.name)
    got = f"none, and {place} is {described_object(target)}, of which there are several kinds"
    raise ArgumentError("kind", got, f"--kind with one of {', '.join(all_kinds())}")


def _adapted(record: Kind, options: Mapping[str, Any], seed: int) -> tuple[Adapter, dict[str, Any]]:
    """Return the adapter of a kind, and the options that were given and differ from its defaults."""
    adapter = record.adapter_class()
    changed = _changed_options(record, adapter, options)
    return adapter, {**changed, "seed": seed} if record.built and seed else changed


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {n: value for n, value in options.items() if value is not None and value != {} and value != ()}


def _require_known(record: Kind, options: Mapping[str, Any]) -> None:
    """Raise ArgumentError if a kind does not take an option."""
    known = [option.name for option in record.options]
    for name, value in _given(options).items():
        if name not in known:
            raise ArgumentError(
                name, repr(value), f"an option that kind {record.name} takes: {', '.join(known)}"
            )


def _changed_options(record: Kind, adapter: Adapter, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given and differ from the adapter's defaults."""
    _require_known(record, options)
    defaults = {name: field.default for name, field in inspect.signature(adapter).parameters.items()}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in _given(options).items()
        if value != defaults.get(name)
    }


def _named_targets(record: Kind, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the objects that options of this kind name, such as a reference."""
    found = {}
    for option in record.options:
        if isinstance(option, TargetOption) and isinstance(changed.get(option.name), str):
            place = changed[option.name]
            found[option.name] = resolve(place)
            _require_kind(found[option.name], record, place)
    return found


def _require_kind(target: object, record: Kind, place: str) -> None:
    """Raise if the target is an adapter of another kind, or no function of the kind's arguments."""
    if record.is_adapter(target):
        return
    for other in all_kinds().values():
        if other is not record and other.is_adapter(target):
            text = f"{other.name!r}: {place} is a {other.adapter_name}"
            raise ArgumentError("kind", repr(record.name), text)
    if record.arguments:
        _require_arguments(target, record, place)


def _require_arguments(target: object, record: Kind, place: str) -> None:
    """Raise TargetError if a readable signature cannot take the arguments of the kind."""
    kind, arguments = record.name, record.arguments
    if not callable(target):
        raise TargetError(
            f"kind {kind} takes a function f({', '.join(arguments)}); "
            f"{place} is of type {type(target).__name__}"
        )
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TargetError(
            f"kind {kind} calls f({', '.join(arguments)}), but {place} takes {signature} ({error})"
        ) from error


def package_versions(module: ModuleType) -> dict[str, str]:
    """Return the versions of the installed packages whose names a module uses."""
    names = {module.__name__.partition(".")[0]}
    for value in vars(module).values():
        try:
            origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        except attributable():  # an attribute of the user's own object
            continue
        if isinstance(origin, str):
            names.add(origin.partition(".")[0])
    versions = {}
    for name in sorted(names - set(sys.stdlib_module_names) - {"dynprop"}):
        try:
            versions[name.replace("_", "-")] = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            version = getattr(sys.modules.get(name), "__version__", None)
            if isinstance(version, str):
                versions[name] = version
    return versions
