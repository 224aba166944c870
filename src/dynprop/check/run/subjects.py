"""A subject together with the target that it was loaded from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dynprop.contracts.domain import Domain

if TYPE_CHECKING:
    from dynprop.kinds.record import JudgedSubject
    from dynprop.laws.law import Case

__all__ = ["LoadedSubject", "TargetName", "target_name"]


@dataclass(frozen=True)
class LoadedSubject:
    """A subject from ``load_subject``; other attributes are delegated to the adapter.

    Attributes:
        subject: the adapter of the target.
        origin: the target string.
        options: the options that differ from the adapter's defaults.
        packages: versions of the packages that the target's module uses.
        places: the folders of its code.
    """

    subject: JudgedSubject
    origin: str
    options: Mapping[str, Any] = field(default_factory=dict)  # values are those of the kind's options
    packages: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the subject, of any type: laws of its kind use more than the runner does."""
        if name == "subject" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.subject, name)

    @property
    def name(self) -> str:
        """The subject's name."""
        return self.subject.name

    @property
    def kind(self) -> str:
        """The subject's kind."""
        return self.subject.kind

    @property
    def framework(self) -> str:
        """The library whose arrays the subject takes."""
        return self.subject.framework

    @property
    def domain(self) -> Domain:
        """The declared domain of the subject."""
        return self.subject.domain

    @property
    def compiles(self) -> bool:
        """Whether the library compiles every new shape."""
        return self.subject.compiles

    def seed(self, seed: int) -> None:
        """Seed the subject's random numbers."""
        self.subject.seed(seed)

    def preflight(self) -> None:
        """Call the target once."""
        self.subject.preflight()

    def case_from_json(self, data: dict[str, Any]) -> Case:
        """Build a case of the subject's kind from its JSON form."""
        return self.subject.case_from_json(data)


@dataclass(frozen=True)
class TargetName:
    """A target as scripts name it.

    Attributes:
        name: the subject's name, for a target that cannot be imported.
        kind, framework: as on the subject.
        origin: the target string; empty for an object passed to ``check``.
        options: those that differ from the adapter's defaults.
    """

    name: str
    kind: str
    framework: str
    origin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def target_name(subject: JudgedSubject) -> TargetName:
    """Return the target of a subject as scripts name it."""
    origin, options = "", {}
    if isinstance(subject, LoadedSubject):
        origin, options = subject.origin, dict(subject.options)
    return TargetName(subject.name, subject.kind, subject.framework, origin, options)
