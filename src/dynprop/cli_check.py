"""The options of ``dynprop check``: those of every check, and those in the records of the kinds.

Typer reads options from the signature of a function, so the signature is built from the records.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any

import typer

from dynprop.kinds import Option, all_kinds

__all__ = ["check_signature", "kinds_text", "options_of_kinds", "register_check"]

LAST_COMMON = "timeout"


@cache
def options_of_kinds() -> tuple[Option, ...]:
    """Return the options of all kinds, each name once, those of many kinds first."""
    options = [option for kind in all_kinds().values() for option in kind.options]
    kinds = {name: sum(option.name == name for option in options) for name in (o.name for o in options)}
    first = {option.name: option for option in reversed(options)}
    order = {option.name: place for place, option in enumerate(dict.fromkeys(options))}
    return tuple(sorted(first.values(), key=lambda option: (-kinds[option.name], order[option.name])))


def kinds_text() -> str:
    """Return the names of the kinds as a list in words."""
    *most, last = all_kinds()
    return f"{', '.join(most)} or {last}."


def _of_every_check() -> dict[str, tuple[Any, Any]]:
    """Return annotation and default of the parameters that do not depend on kinds."""
    return {
        "target": (
            Annotated[
                str | None,
                typer.Argument(
                    metavar="TARGET",
                    help="package.module:attribute or path/to/file.py:attribute; without it, the targets of "
                    "the project.",
                ),
            ],
            None,
        ),
        "kind": (
            Annotated[
                str | None,
                typer.Option(metavar="KIND", help=f"{kinds_text()} An adapter such as a Layer states it."),
            ],
            None,
        ),
        "examples": (
            Annotated[int | None, typer.Option(metavar="N", help="Cases drawn per law; default up to 100.")],
            None,
        ),
        "iid": (
            Annotated[
                int,
                typer.Option(
                    metavar="N", show_default=False, help="Further independent cases per law; default 0."
                ),
            ],
            0,
        ),
        "seed": (
            Annotated[
                int, typer.Option(metavar="N", show_default=False, help="Seeds everything; default 0.")
            ],
            0,
        ),
        "timeout": (
            Annotated[
                float | None,
                typer.Option(metavar="S", help="Seconds that one case may take; default 60."),
            ],
            None,
        ),
        "only": (
            Annotated[
                list[str] | None,
                typer.Option(metavar="LAW", help="Run this law only; may be repeated."),
            ],
            None,
        ),
        "strict": (
            Annotated[bool, typer.Option("--strict", help="Exit 3 if some law is undecidable.")],
            False,
        ),
        "coverage": (
            Annotated[
                bool, typer.Option("--coverage", help="Print the pairs of classes of cases, and the holes.")
            ],
            False,
        ),
        "json_file": (
            Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write JSON; - is stdout.")],
            None,
        ),
        "html_file": (
            Annotated[
                str | None, typer.Option("--html", metavar="FILE", help="Write a self-contained page.")
            ],
            None,
        ),
        "junit": (
            Annotated[
                str | None,
                typer.Option("--junit", metavar="FILE", help="Write JUnit XML, which CI systems show."),
            ],
            None,
        ),
        "jobs": (
            Annotated[
                int | None,
                typer.Option(
                    "--jobs", metavar="N", min=1, help="Targets of a project at a time; default all cores."
                ),
            ],
            None,
        ),
    }


def _annotation(option: Option) -> Any:
    """Return the annotation from which typer makes an option of a kind."""
    if option.type is bool:
        return Annotated[bool, typer.Option(option.flag, help=option.help)]
    shown = typer.Option(option.flag, metavar=option.metavar, help=option.help)
    if option.repeatable:
        return Annotated[list[str] | None, shown]
    return Annotated[int | None, shown] if option.type is int else Annotated[str | None, shown]


def check_signature() -> inspect.Signature:
    """Return the signature of ``dynprop check``: its target, the options of every check and of all kinds."""
    return inspect.Signature(list(_parameters()))


def _parameters() -> Iterator[inspect.Parameter]:
    def parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    for name, (annotation, default) in _of_every_check().items():
        yield parameter(name, annotation, default)
        if name == LAST_COMMON:
            for option in options_of_kinds():
                yield parameter(option.name, _annotation(option), False if option.type is bool else None)


def register_check(app: typer.Typer, command: Callable[..., int]) -> None:
    """Register the command with the options of every check and of all kinds."""

    def call(**given: Any) -> int:
        return command(**given)

    call.__doc__ = command.__doc__
    call.__annotations__ = {}
    call.__signature__ = check_signature()  # type: ignore[attr-defined]  # PEP 362
    app.command(command.__name__)(call)
