"""The record of a kind: everything that the rest of dynprop knows about it, in one place.

A kind is a sort of implementation that laws can judge, such as a gated scan or a recurrent layer. It has a
folder of its own (cases, bounds, judging, laws, target, faults, controls), and its record names the modules
there. Modules are named by strings and imported when they are needed, so that the command line reads all
records without numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from dynprop.errors import ArgumentError
from dynprop.wording import error_text

if TYPE_CHECKING:  # `dynprop --help` reads the records without numpy
    from dynprop.contracts.domain import Domain
    from dynprop.laws.covering import Plan
    from dynprop.laws.law import Case

__all__ = ["Adapter", "JudgedSubject", "Kind", "Option", "Setup", "TargetOption"]


@dataclass(frozen=True)
class Option:
    """A property of a target that a caller may declare, on the command line and in Python.

    Attributes:
        name: the keyword of the adapter, such as "max_length"; the command line has ``--max-length``.
        help: one line for ``dynprop check --help``.
        metavar: the placeholder of the value in that line; empty for a flag.
        type: ``int``, ``str``, or ``bool`` for a flag.
        parse: turns the text of the command line into the value of the keyword, raising ArgumentError; None
            takes the text, or the number, as it is.
        repeatable: whether it may be given several times; ``parse`` then takes a list.
    """

    name: str
    help: str
    metavar: str = ""
    type: type[int] | type[str] | type[bool] = str
    parse: Callable[[Any], Any] | None = None
    repeatable: bool = False

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.name.replace("_", "-")

    def value(self, given: Any) -> Any:
        """Return the keyword's value for a value of the command line; None where there is none."""
        if given is None or given is False or given == []:
            return None
        return given if self.parse is None else self.parse(given)


@dataclass(frozen=True)
class TargetOption(Option):
    """An option whose value on the command line names another target of the same kind.

    The keyword of the adapter takes the object that it names, any that the adapter takes as a target.
    """


@dataclass(frozen=True)
class Setup:
    """The lines of a script that hold one case: the library that they need, and the arguments.

    Attributes:
        library: "numpy", "torch" or "jax".
        dtype: the format of the case; jax needs a setting for float64.
        lines: code that defines the arguments under the names that the scripts of the laws use.
    """

    library: str
    dtype: str
    lines: tuple[str, ...]


class JudgedSubject(Protocol):
    """A target behind the interface that a check needs; the laws of a kind ask for more."""

    @property
    def name(self) -> str:
        """The name of the target in reports."""
        ...

    @property
    def kind(self) -> str:
        """The name of the kind."""
        ...

    @property
    def framework(self) -> str:
        """The library whose arrays the target takes, such as "numpy"."""
        ...

    @property
    def domain(self) -> Domain:
        """The cases that the target promises to handle."""
        ...

    @property
    def compiles(self) -> bool:
        """Whether the library compiles every new shape, so that a first call may take long."""
        ...

    def seed(self, seed: int) -> None:
        """Seed the random numbers that the target may draw; called before every case."""
        ...

    def preflight(self) -> None:
        """Call the target once on an ordinary case; TargetError, in one line, if it does not fit."""
        ...

    def case_from_json(self, data: dict[str, Any]) -> Case:
        """Build a case from its JSON form; KeyError, TypeError or ValueError if the data is no case."""
        ...


class Adapter(Protocol):
    """The public class of a kind that turns a target into a subject.

    Its parameters are the options of the kind, and ``framework`` and ``name``.
    """

    __name__: str

    def __call__(self, target: Any, **options: Any) -> JudgedSubject:
        """Return the subject of a target that is used as it is."""
        ...

    def of(self, target: Any, *, seed: int = 0, **options: Any) -> JudgedSubject:
        """Return the subject of a target.

        Args:
            target: any object of the user, or an adapter of it, of which the options replace fields.
            seed: seeds the making of a target that is built; others ignore it.
            **options: values of the kind's options, ``framework`` and ``name``.

        Raises:
            TargetError: the target cannot be adapted.
            ArgumentError: an option has a value that it cannot have.
        """
        ...


@dataclass(frozen=True)
class Kind:
    """What the rest of dynprop knows about one kind of implementation.

    Attributes:
        name: the word after ``--kind``, and the first half of the ids of the kind's laws.
        callable: how a target is called, as code: "f(weights) -> products".
        arguments_text: shapes of arguments and results, one line for the tables of kinds.
        adapter: "module:Class" of the public adapter, as :class:`Adapter` describes it.
        laws: modules whose import registers the laws, in the order in which laws are listed.
        faults: modules with ``CATALOGUES`` of planted faults.
        controls: modules with ``CATALOGUES`` of correct implementations.
        options: what a caller may declare about a target.
        arguments: names of the positional arguments with which a plain function is called; empty where a
            target is no plain function.
        framework: the arrays that a target takes unless the caller says otherwise.
        promise: "module:function" of (domain, options) -> line that says what a target promises, from the
            JSON forms in a report; empty for the line that names formats and length.
        setup: "module:function" of (case as JSON, framework) -> Setup, or None where a case is too large
            for a script; empty where no script can do without dynprop.
        plan: "module:function" of (subject) -> ``dynprop.laws.covering.Plan`` of its cases; empty where cases
            follow no plan.
        classes: "module:function" of (case) -> the class of each factor of the plan that the case has, by the
            name of the factor; empty without a plan.
        built: whether a target may be a class or builder that is called once, seeded.
        accepts: "module:function" of (object) -> bool: whether ``dynprop.check.check`` may take this object
            as it is; empty where only adapters are taken.
        accepted: these objects in words, for messages, such as "a torch module".
    """

    name: str
    callable: str
    arguments_text: str
    adapter: str
    laws: tuple[str, ...]
    faults: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    arguments: tuple[str, ...] = ()
    framework: str = "numpy"
    promise: str = ""
    setup: str = ""
    plan: str = ""
    classes: str = ""
    built: bool = False
    accepts: str = ""
    accepted: str = ""

    @property
    def adapter_name(self) -> str:
        """The name of the adapter's class."""
        return self.adapter.rpartition(":")[2]

    def adapter_class(self) -> Adapter:
        """Import and return the adapter's class; ArgumentError if there is none."""
        adapter: Adapter = self._imported(self.adapter)
        return adapter

    def require_usable(self) -> None:
        """Raise ArgumentError if an object that the record names by a string does not exist."""
        for place in (self.adapter, self.promise, self.setup, self.plan, self.classes, self.accepts):
            if place:
                self._imported(place)

    def is_adapter(self, target: object) -> bool:
        """Whether an object is an adapter of this kind; a module that is not imported has no instances."""
        module, _, name = self.adapter.partition(":")
        adapter = getattr(sys.modules.get(module), name, None)
        return isinstance(adapter, type) and isinstance(target, adapter)

    def promise_text(self, domain: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Describe on one line what a target promises, from the JSON forms in a report."""
        if not self.promise:
            from dynprop.contracts.domain import described

            return described(domain)
        text: str = self._imported(self.promise)(domain, options)
        return text

    def script_setup(self, case: Mapping[str, Any], framework: str) -> Setup | None:
        """Return the lines of a script that hold a case, or None where there are none."""
        if not self.setup:
            return None
        setup: Setup | None = self._imported(self.setup)(case, framework)
        return setup

    def plan_for(self, subject: JudgedSubject) -> Plan | None:
        """Return the plan of cases for a subject, or None where the kind has none; may raise PlanError."""
        if not self.plan:
            return None
        plan: Plan = self._imported(self.plan)(subject)
        return plan

    def classes_of(self, case: Case) -> Mapping[str, str]:
        """Return the classes of a case in the kind's plan; empty without one."""
        if not self.classes:
            return {}
        classes: Mapping[str, str] = self._imported(self.classes)(case)
        return classes

    def takes(self, subject: object) -> bool:
        """Whether an object can be judged as it is."""
        return bool(self.accepts) and bool(self._imported(self.accepts)(subject))

    def _imported(self, place: str) -> Any:
        """Return the object, of any type, that "module:attribute" names; ArgumentError if there is none."""
        name, _, attribute = place.partition(":")
        try:
            module = import_module(name)
        except (Exception, SystemExit) as error:  # whatever somebody else's module raises
            raise unusable(self.name, f"importing {name} raised {error_text(error)}") from error
        if not hasattr(module, attribute):
            raise unusable(self.name, f"module {name} has no {attribute or 'attribute without a name'}")
        return getattr(module, attribute)


def unusable(kind: str, reason: str) -> ArgumentError:
    """Return the error for a kind whose record cannot be used."""
    return ArgumentError("kind", repr(kind), f"a kind that can be used: {reason}")
