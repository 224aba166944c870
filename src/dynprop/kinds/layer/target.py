"""A recurrent layer as its author declares it: the forms it has, and which axis is which."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dynprop.arrays import describe
from dynprop.contracts.domain import Domain
from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds.layer.target_calls import FORMS
from dynprop.kinds.layer.target_gradients import JudgedLayer as RunningLayer
from dynprop.subjects.calls import TargetRaisedError, guard
from dynprop.subjects.frameworks import framework_named

__all__ = ["Layer", "is_layer"]

SIZES = {"input_size": 3, "hidden_size": 8}
Form = Callable[..., Any]


@dataclass(frozen=True)
class Layer:
    """A recurrent layer, to be judged by the laws of kind ``layer``.

    A torch module that is called as ``torch.nn.GRU`` is needs nothing more; anything else is adapted by
    giving its forms. Each form that is given must be the same function.

    Args:
        target: a torch module, or a class or function that builds one (or a Layer). With forms beside it,
            the module that they close over: its parameters are converted in place between dtypes.
        forward: forward(x, state=None, lengths=None, **side) -> (y, state), the whole call. Leave out
            ``lengths`` if padded rows are not offered.
        step: step(x_t, state, **side) -> (y_t, state), x_t of shape (batch, feature).
        chunk: chunk(x, state, **side) -> (y, state), a sequence from a state.
        parallel: parallel(x, **side) -> y, a sequence from the initial state.
        initial_state: initial_state(batch) -> state, what no state means.
        input_size: number of features of x; default the target's ``input_size``, else 3.
        time_axis, batch_axis: axes of x and y; default (time, batch, feature), or the target's
            ``batch_first``. One of them, as 0 or 1, gives the other.
        state_batch_axis: batch axis of every leaf of the state; default found by calling at two sizes.
        framework: "torch" or "jax".
        side: trailing shape of each further per-step input by name; a keyword of a form that is not listed
            here is taken to have one number per row and step.
        inputs, dtypes, max_length, reach: what the target promises; see ``dynprop.contracts.domain.Domain``.
            dtypes None means the usual ones of the framework that an adapter's forms accept.
        device: where its arrays live.
        name: how reports call it.
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
    side: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True)
    inputs: str = field(default="any", kw_only=True)
    dtypes: Sequence[str] | None = field(default=None, kw_only=True)
    max_length: int = field(default=2048, kw_only=True)
    reach: int | None = field(default=None, kw_only=True)
    device: str = field(default="cpu", kw_only=True)
    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.target is None and not any(self._given(f) for f in FORMS):
            raise ArgumentError("Layer", "neither a target nor a form", "a module, or forward=, step=, ...")
        if self.framework not in ("torch", "jax"):
            raise ArgumentError("framework", repr(self.framework), "'torch' or 'jax' for a layer")

    def _given(self, form: str) -> Form | None:
        found: Form | None = getattr(self, form)
        return found

    @classmethod
    def of(
        cls, target: Any, *, sizes: Mapping[str, int] | None = None, seed: int = 0, **options: Any
    ) -> RunningLayer:
        """Build whatever is given into a layer that can be judged.

        Args:
            target: a Layer, a torch module, or a class or function that builds one of them. It is called
                once, seeded, as target(input_size=3, hidden_size=8), or target() if that does not fit.
            sizes: other sizes for that call.
            seed: seeds the call.
            **options: fields of Layer that override the declared ones.

        Raises:
            TargetError: it cannot be built, or is not a layer.
        """
        given = {k: v for k, v in options.items() if v is not None}
        declared = target if isinstance(target, cls) else cls(target, **given)
        if isinstance(target, cls):
            declared = replace(target, **given)
        wanted = {**SIZES, **(sizes or {})}
        if any(declared._given(f) for f in FORMS):
            return declared._running(declared.target, sizes)
        module = declared.target
        if not _is_module(module):
            label = getattr(module, "__qualname__", type(module).__name__)
            module = _built(module, wanted, seed, declared)
            declared = replace(declared, name=declared.name or label)
        else:
            module = copy.deepcopy(module)
        if isinstance(module, cls):
            inner = replace(module, **{"name": declared.name, **given})
            return inner._running(inner.target, sizes)
        return declared._running(module, sizes)

    def _running(self, module: Any, sizes: Mapping[str, int] | None) -> RunningLayer:
        """Settle every default and return the layer in a form that laws can call."""
        library = framework_named(self.framework, self.device)
        if _is_module(module):
            module.eval()
            module.to(self.device)
        adapted = any(self._given(f) for f in FORMS)
        forms = {f: self._given(f) for f in (*FORMS, "initial_state")}
        if not adapted:
            forms = {f: getattr(module, f, None) for f in (*FORMS, "initial_state")}
            forms["forward"] = module
        callable_forms = {f: guard(v) for f, v in forms.items() if callable(v)}
        size = self.input_size or getattr(module, "input_size", None)
        size = size or (sizes or {}).get("input_size") or SIZES["input_size"]
        time_axis, batch_axis = self._axes(module)
        return RunningLayer(
            name=self.name or getattr(type(module), "__qualname__", "layer"),
            forms_by_name=callable_forms,
            signatures={f: _keywords(v) for f, v in forms.items() if callable(v)},
            module=module,
            library=library,
            framework=self.framework,
            input_size=int(size),
            time_axis=time_axis,
            batch_axis=batch_axis,
            state_batch_axis=self.state_batch_axis,
            declared_sides=dict(self.side),
            bidirectional=bool(getattr(module, "bidirectional", False)),
            domain=Domain(
                "any", self.inputs, tuple(self.dtypes or library.dtypes), self.max_length, reach=self.reach
            ),
            adapted=adapted,
            lenient=adapted and self.dtypes is None,
        )

    def _axes(self, module: Any) -> tuple[int, int]:
        time, batch = self.time_axis, self.batch_axis
        if time is None and batch is None:
            return (1, 0) if bool(getattr(module, "batch_first", False)) else (0, 1)
        if time is None:
            time = 1 if batch == 0 else 0
        if batch is None:
            batch = 1 if time == 0 else 0
        if time == batch:
            raise ArgumentError("time_axis", str(time), "an axis other than batch_axis")
        return time, batch


def is_layer(value: object) -> bool:
    """Whether an object can be judged as it is: a Layer, or a torch module."""
    torch = sys.modules.get("torch")
    return isinstance(value, Layer) or (torch is not None and isinstance(value, torch.nn.Module))


def _is_module(value: Any) -> bool:
    return hasattr(value, "parameters") and hasattr(value, "eval") and not inspect.isclass(value)


def _built(build: Any, sizes: Mapping[str, int], seed: int, declared: Layer) -> Any:
    """Call a class or builder once, seeded, with sizes or without."""
    if not callable(build):
        raise TargetError(
            f"{describe(build)} is not a layer: kind layer takes a torch module, a class or function that "
            "builds one, or a dynprop.check.Layer"
        )
    framework_named(declared.framework, declared.device).seed(seed)
    label = getattr(build, "__qualname__", repr(build))
    call = f"{label}({', '.join(f'{k}={v}' for k, v in sizes.items())})"
    try:
        inspect.signature(build).bind(**sizes)
    except TypeError:
        call, sizes = f"{label}()", {}
    except ValueError:
        pass
    try:
        module = guard(build)(**sizes)
    except TargetRaisedError as error:
        if sizes and isinstance(error.cause, TypeError):
            return _built(lambda: build(), {}, seed, replace(declared, name=label))
        raise TargetError(
            f"kind layer builds its target by {call} (--sizes changes that), which raised {error}; "
            "a plain function forward(x, state) is given as dynprop.check.Layer(forward=...)"
        ) from error
    if not (isinstance(module, Layer) or _is_module(module)):
        raise TargetError(
            f"{call} returned {describe(module)}, expected a torch module or a dynprop.check.Layer"
        )
    return module


def _keywords(form: Form) -> tuple[str, ...] | None:
    """Names of the parameters of a form; None if its signature cannot be read."""
    try:
        parameters = inspect.signature(getattr(form, "forward", form)).parameters.values()
    except (TypeError, ValueError):
        return None
    return tuple(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
