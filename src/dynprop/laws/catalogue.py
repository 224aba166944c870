"""Planted faults, which the laws must catch, and controls, which the laws must never accuse.

A fault is a wrong implementation of a recurrence with one defect, often named after a bug in released
software. A control is a correct implementation, written independently of dynprop's own routines and of the
other controls. Each stands in the folder of its kind, under the decorator of a :class:`Catalogue`; the first
line of its docstring is its summary. Importing this module imports none of them, and no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dynprop.errors import ArgumentError

__all__ = ["Catalogue", "Control", "Fault"]

Target = TypeVar("Target", bound=Callable[..., object])


@dataclass(frozen=True)
class Fault:
    """A wrong implementation that at least one law must catch.

    Attributes:
        name: readable slug, kind first, such as "scan/state-applied-twice".
        kind: the name of its kind.
        framework: "numpy" or "torch".
        summary: one sentence.
        source: the real bug it is named after; "dynprop" where it is ours.
        gross: visible in any decent case within 20 examples.
        build: returns the target to judge, a fresh one where it keeps something between calls.
        domain: the options of ``dynprop check`` that the target declares, such as gates: unit, as its adapter
            takes them.
        caught_by: the laws that the fault is planted for, without the name of the kind, with their verdicts.
            The first catches it within a check's number of examples; the others may need more.
    """

    name: str
    kind: str
    framework: str
    summary: str
    source: str
    gross: bool
    build: Callable[[], object]
    domain: Mapping[str, Any] = field(default_factory=dict, hash=False)
    caught_by: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Control:
    """A correct implementation that no law may accuse; the fields are those of :class:`Fault`."""

    name: str
    kind: str
    framework: str
    summary: str
    build: Callable[[], object]
    domain: Mapping[str, Any] = field(default_factory=dict, hash=False)


class Catalogue:
    """The faults and controls of one kind and framework, entered by decorators in file order."""

    def __init__(self, kind: str, framework: str) -> None:
        self.kind = kind
        self.framework = framework
        self.faults: list[Fault] = []
        self.controls: list[Control] = []

    def fault(
        self,
        name: str,
        *,
        source: str = "dynprop",
        gross: bool = True,
        fresh: bool = False,
        domain: Mapping[str, Any] | None = None,
        caught_by: Mapping[str, str] | None = None,
    ) -> Callable[[Target], Target]:
        """Plant the decorated target, or with ``fresh`` every instance of the decorated class.

        Args:
            name, source, gross, domain: as on :class:`Fault`.
            fresh: call the decorated class for every subject; for targets that keep something between calls.
            caught_by: verdicts by the slug of the law, without the name of the kind.

        Raises:
            ArgumentError: the name does not begin with the kind, or a key of ``caught_by`` is no slug.
        """
        if not name.startswith(f"{self.kind}/"):
            raise ArgumentError("fault", repr(name), f"a name that begins with {self.kind + '/'!r}")
        for slug in caught_by or {}:
            if "/" in slug:
                expected = f"the law's slug, {slug.rpartition('/')[2]!r}: laws are of kind {self.kind}"
                raise ArgumentError("caught_by", f"{slug!r} for fault {name!r}", expected)

        def plant(target: Target) -> Target:
            build = target if fresh else lambda: target
            summary, domains, laws = summary_of(target), dict(domain or {}), dict(caught_by or {})
            entry = Fault(name, self.kind, self.framework, summary, source, gross, build, domains, laws)
            self.faults.append(entry)
            return target

        return plant

    def control(
        self,
        name: str,
        *,
        domain: Mapping[str, Any] | None = None,
    ) -> Callable[[Target], Target]:
        """Enter the decorated target among the controls."""

        def enter(target: Target) -> Target:
            self.add_control(name, summary_of(target), target, domain=domain)
            return target

        return enter

    def add_control(
        self,
        name: str,
        summary: str,
        target: object,
        *,
        domain: Mapping[str, Any] | None = None,
    ) -> None:
        """Enter a target that has no definition to decorate."""
        domains = dict(domain or {})
        entry = Control(name, self.kind, self.framework, summary, lambda: target, domains)
        self.controls.append(entry)


def summary_of(target: Callable[..., object]) -> str:
    """Return the first line of the target's docstring, which every fault and control must have."""
    text = inspect.getdoc(target)
    if not text:
        raise ValueError(f"{target!r} has no docstring: its first line is the summary of the entry")
    return text.splitlines()[0]
