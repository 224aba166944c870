"""Declaration of a recurrent layer: the forms that its author offers, and the axes of its arrays."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError
from dynprop.kinds.layer.axes import Axes
from dynprop.kinds.layer.build import build, is_module
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.kinds.layer.interface import FORMS, Interface
from dynprop.kinds.layer.parameters import Parameters
from dynprop.kinds.layer.referred import Reference
from dynprop.kinds.layer.state_conversion import StateConverter
from dynprop.kinds.layer.under_test import LayerUnderTest
from dynprop.subjects.calls import guard
from dynprop.subjects.frameworks import framework_named

__all__ = ["Layer", "is_layer"]

SIZES = {"input_size": 3, "hidden_size": 8}
# A form takes and returns the user's arrays and states.
Form = Callable[..., Any]


@dataclass(frozen=True)
class Layer:
    """A recurrent layer, to be judged by the laws of kind ``layer``.

    A torch module that is called as ``torch.nn.GRU`` is needs no adapter. Any other layer is given by its
    forms, each of which must compute the same function.

    Args:
        target: a torch module, or a class or function that builds one (or a Layer). With forms beside it,
            the module that the forms close over: its parameters are converted in place between dtypes.
        forward: forward(x, state=None, lengths=None, **side) -> (y, state), the whole call. Leave out
            ``lengths`` if padded rows are not offered.
        step: step(x_t, state, **side) -> (y_t, state), x_t of shape (batch, feature).
        chunk: chunk(x, state, **side) -> (y, state), a sequence from a state.
        parallel: parallel(x, **side) -> y, a sequence from the initial state.
        initial_state: initial_state(batch) -> state, the state that a call without a state starts from.
        input_size: number of features of x; default the target's ``input_size``, else 3.
        time_axis, batch_axis: axes of x and y; default (time, batch, feature), or the target's
            ``batch_first``. One of them, as 0 or 1, gives the other.
        state_batch_axis: batch axis of every leaf of the state; default found by calling at two batch sizes.
        framework: "torch" or "jax".
        parameters: what the forms compute with and is trained, where no module holds it: tensors that they
            close over, which are converted in place, or for forms with a keyword ``parameters`` a tree of
            arrays that is passed to them. A module's parameters need not be named.
        side: trailing shape of each further per-step input by name; a keyword of a form that is not listed
            here has one number per row and step.
        inputs, dtypes, max_length, reach, windows: what the target promises; see
            ``dynprop.contracts.domain.Domain``. dtypes None means the usual formats of the framework that the
            forms of an adapter keep.
        reference: another layer that must agree with it in outputs and gradients: anything that may be a
            target, such as a slow loop. It gets the same parameters.
        reference_parameters: what the reference calls a parameter, by the name that it has here; those that
            have one name in both are left out.
        device: the device of its arrays.
        name: the name in reports.

    Examples:
        A leaky sum h_t = h_{t-1} / 2 + x_t, x of shape (time, batch, feature), with one of its laws:

        >>> import torch
        >>> def step(x_t, h):
        ...     return (h := 0.5 * h + x_t), h
        >>> def forward(x, h=None):
        ...     h = torch.zeros_like(x[0]) if h is None else h
        ...     return torch.stack([(h := step(x_t, h)[1]) for x_t in x]), h
        >>> from dynprop.check import Layer, check
        >>> leaky = Layer(forward=forward, step=step, name="leaky", max_length=8)
        >>> report = check(leaky, laws=["own-steps"], examples=2)
        >>> report.verdict
        'pass'
    """

    target: Any = None
    forward: Form | None = field(default=None, kw_only=True)
    step: Form | None = field(default=None, kw_only=True)
    chunk: Form | None = field(default=None, kw_only=True)
    parallel: Form | None = field(default=None, kw_only=True)
    initial_state: Form | None = field(default=None, kw_only=True)
    input_size: int | None = field(default=None, kw_only=True)
    time_axis: int | None = field(default=None, kw_only=True)
    batch_axis: int | None = field(default=None, kw_only=True)
    state_batch_axis: int | None = field(default=None, kw_only=True)
    framework: str = field(default="torch", kw_only=True)
    parameters: Any = field(default=None, kw_only=True)
    side: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True)
    inputs: str = field(default="any", kw_only=True)
    dtypes: Sequence[str] | None = field(default=None, kw_only=True)
    max_length: int = field(default=2048, kw_only=True)
    reach: int | None = field(default=None, kw_only=True)
    windows: str | None = field(default=None, kw_only=True)
    reference: Any = field(default=None, kw_only=True)
    reference_parameters: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    device: str = field(default="cpu", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.target is None and not self._forms:
            raise ArgumentError("Layer", "neither a target nor a form", "a module, or forward=, step=, ...")
        if self.framework not in ("torch", "jax"):
            raise ArgumentError("framework", repr(self.framework), "'torch' or 'jax' for a layer")

    @property
    def _forms(self) -> dict[str, Form]:
        """The forms that are given one by one."""
        forms: dict[str, Form | None] = {name: getattr(self, name) for name in FORMS}
        return {name: form for name, form in forms.items() if form is not None}

    @classmethod
    def of(
        cls, target: Any, *, sizes: Mapping[str, int] | None = None, seed: int = 0, **options: Any
    ) -> LayerUnderTest:
        """Return the subject that laws judge.

        Args:
            target: a Layer, a torch module, or a class or function that builds one of them. It is called
                once, seeded, as target(input_size=3, hidden_size=8), or target() if that does not fit.
            sizes: other sizes for that call; without one, input_size of a layer that states none.
            seed: seeds the call.
            **options: fields of Layer that override the declared ones.

        Raises:
            TargetError: it cannot be built, or is not a layer.
        """
        given = {name: value for name, value in options.items() if value is not None}
        declared = replace(target, **given) if isinstance(target, cls) else cls(target, **given)
        subject = cls._settled(declared, sizes or {}, seed, given)
        # A builder may return a Layer that has a reference of its own.
        reference, names = subject.declared_reference
        if reference is not None:
            kept = {n: v for n, v in given.items() if n in ("device", "max_length", "inputs")}
            other = cls.of(reference, sizes=sizes, seed=seed, **kept)
            subject.reference = Reference.of(subject, other, names)
        return subject

    @classmethod
    def _settled(
        cls, declared: Layer, sizes: Mapping[str, int], seed: int, given: Mapping[str, Any]
    ) -> LayerUnderTest:
        """Build a declared target and settle its defaults."""
        module = declared.target
        if declared._forms or is_module(module):
            _require_stated(declared.input_size or getattr(module, "input_size", None), sizes)
        if declared._forms:
            return declared._under_test(module, sizes)
        if is_module(module):
            return declared._under_test(copy.deepcopy(module), sizes)
        library = framework_named(declared.framework, declared.device)
        label = getattr(module, "__qualname__", type(module).__name__)
        built = build(module, sizes, SIZES, seed, library, _is_built)
        name = declared.name or label
        if isinstance(built, cls):
            inner = replace(built, **{"name": name, **given})
            return inner._under_test(inner.target, sizes)
        return replace(declared, name=name)._under_test(built, sizes)

    def _under_test(self, module: Any, sizes: Mapping[str, int]) -> LayerUnderTest:
        """Settle every default.

        Args:
            module: the module behind the forms, of the user's own class, or None.
            sizes: sizes that the caller asked for.
        """
        library = framework_named(self.framework, self.device)
        if is_module(module):
            module.eval()
            module.to(self.device)
        adapted = bool(self._forms)
        source = self if adapted else module
        forms = {name: getattr(source, name, None) for name in (*FORMS, "initial_state")}
        if not adapted:
            forms["forward"] = module
        offered = {name: form for name, form in forms.items() if callable(form)}
        size = self.input_size or getattr(module, "input_size", None) or sizes.get("input_size")
        interface = Interface(
            name=self.name or getattr(type(module), "__qualname__", "layer"),
            library=library.name,
            forms={name: guard(form) for name, form in offered.items()},
            keywords={name: _keywords(form) for name, form in offered.items()},
            module=module,
            adapted=adapted,
            input_size=int(size or SIZES["input_size"]),
            axes=Axes.declared(self.batch_axis, self.time_axis, module),
            declared_sides=dict(self.side),
            bidirectional=bool(getattr(module, "bidirectional", False)),
        )
        states = StateConverter(library, self.state_batch_axis)
        passed = any("parameters" in (names or ()) for names in interface.keywords.values())
        passed = passed and self.parameters is not None
        parameters = Parameters(library, module, self.parameters, passed=passed)
        dtypes = tuple(self.dtypes or library.dtypes)
        return LayerUnderTest(
            LayerCalls(interface, library, parameters, states),
            Domain("any", self.inputs, dtypes, self.max_length, reach=self.reach, windows=self.windows),
            optional=frozenset(dtypes if adapted and self.dtypes is None else ()),
            declared_reference=(self.reference, self.reference_parameters),
        )


def _require_stated(input_size: Any, sizes: Mapping[str, int]) -> None:
    """Raise ArgumentError for sizes of a layer that is built already, and states its own or none."""
    own = {} if input_size is None else {"input_size": input_size}
    other = {name: n for name, n in sizes.items() if own.get(name, n if name == "input_size" else None) != n}
    if other:
        given = ",".join(f"{name}={n}" for name, n in other.items())
        text = "none: the target is built already; name a class or function that builds it"
        raise ArgumentError("sizes", given, text)


def is_layer(value: object) -> bool:
    """Whether an object can be judged as it is: a Layer, or a torch module."""
    torch = sys.modules.get("torch")
    return isinstance(value, Layer) or (torch is not None and isinstance(value, torch.nn.Module))


def _is_built(value: Any) -> bool:
    return isinstance(value, Layer) or is_module(value)


def _keywords(form: Form) -> tuple[str, ...] | None:
    """Names of the parameters of a form; None if its signature cannot be read."""
    try:
        parameters = inspect.signature(getattr(form, "forward", form)).parameters.values()
    except (TypeError, ValueError):
        return None
    return tuple(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
