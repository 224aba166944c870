"""A kernel of matrix-valued states under test, in each of its forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, is_array
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Arguments, ArrayType, Native
from dynprop.errors import ArgumentError
from dynprop.kinds.linear_attention.cases import LinearCase, linear_case, packed_case
from dynprop.kinds.linear_attention.convention import Convention, format_inside
from dynprop.kinds.linear_attention.signature import ARGUMENTS, Parameters
from dynprop.laws.draw import RandomSource
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, real_numbers
from dynprop.subjects.frameworks import framework_named

__all__ = ["Form", "LinearAttention"]

Kernels = Callable[..., Any] | Sequence[Callable[..., Any]] | None
STATES = ("initial_state", "final_state")


@dataclass(frozen=True)
class Form(ArrayFunction[FloatArray]):
    """One form of a kernel; its arguments are in the layout of the kernel.

    Attributes:
        target: the function.
        framework, device, dtypes, name: as on :class:`LinearAttention`.
        form: "forward", "step", "chunk", "parallel" or "packed".
        convention: what the kernel computes.
        parameters: the names of its arguments.
        promised: the domain of the kernel.
    """

    target: Callable[..., Any]
    framework: str
    device: str
    dtypes: Sequence[str] | None
    form: str
    convention: Convention
    parameters: Parameters
    promised: Domain
    name: str = ""
    kind: str = field(default="linear-attention", init=False)

    def __post_init__(self) -> None:
        self._settle_function(lambda dtypes: self.promised)

    @property
    def has_state(self) -> bool:
        """Whether it returns a final state."""
        return self.form != "parallel"

    @property
    def takes_initial(self) -> bool:
        """Whether it takes an initial state."""
        if self.form == "parallel":
            return False
        known = self.parameters.takes("initial_state") or self.parameters.open
        return known and (self.form == "step" or self.convention.initial)

    @property
    def order(self) -> tuple[str, ...]:
        """Names of the arguments of a call, in order."""
        takes = {*self.convention.leaves} - {"initial_state"}
        if self.takes_initial:
            takes.add("initial_state")
        if self.convention.scale == "argument":
            takes.add("scale")
        if self.form == "packed":
            takes.add("cu_seqlens")
        return tuple(name for name in ARGUMENTS if name in takes)

    @property
    def signature(self) -> Signature[FloatArray]:
        """The call, with the parameters' own names."""
        own = self.parameters.names
        # Values come first, so that results have their dtype and device.
        order = self.order
        parameters = tuple(own.get(name, name) for name in order)
        unnamed = {"q", "k", "v"} - {n for n in ("q", "k", "v") if own.get(n, n) != n}
        positional = {own.get(name, name) for name in unnamed} if len(unnamed) == 3 else set()
        results = [Result("outputs", self._output_shape, "the shape of v", real_numbers)]
        if self.has_state:
            results.append(Result("final state", self._state_shape, "one state a sequence", real_numbers))
        return Signature(
            f"f({', '.join(parameters)}) -> (outputs, final state)",
            parameters,
            tuple(results),
            lambda domain: self.arguments(self.example(domain)),
            frozenset(parameters) - frozenset(positional),
        )

    def example(self, domain: Domain) -> LinearCase:
        """Return an ordinary case of this form."""
        draw = packed_case if self.form == "packed" else linear_case
        return draw(RandomSource(0), domain.limited(max(20, self.convention.multiple_of)), self)

    def arguments(self, case: LinearCase) -> Arguments:
        """Return the arguments of a call, in order and in the layout of the kernel."""
        found: list[NumericArray | float | None] = []
        for name in self.order:
            if name == "scale":
                found.append(case.scale)
            elif name == "cu_seqlens":
                found.append(np.array(case.boundaries, dtype=np.int64))
            else:
                value = case.argument(name)
                found.append(None if value is None else self.convention.encode(name, value))
        return tuple(found)

    def _given(self, arguments: Sequence[Any], name: str) -> Any:
        return arguments[self.order.index(name)]

    def _output_shape(self, *arguments: Any) -> tuple[int, ...]:
        return tuple(self._given(arguments, "v").shape)

    def _state_shape(self, *arguments: Any) -> tuple[int, ...]:
        v, q = (self._given(arguments, name).shape for name in ("v", "q"))
        layout = self.convention.layout
        heads = v[{"bthd": 2, "bhtd": 1, "thd": 1}[layout]]
        sequences = 1 if layout == "thd" else v[0]
        if self.form == "packed":
            sequences = self._given(arguments, "cu_seqlens").shape[0] - 1
        pair = (q[-1], v[-1]) if self.convention.state_layout == "kv" else (v[-1], q[-1])
        return (sequences, heads, *pair)

    def state_dtype(self, dtype: str) -> str:
        """Return the dtype in which states are passed: that in which the kernel computes."""
        return format_inside(dtype, self.convention)

    def _natives(self, arguments: Arguments, dtype: str) -> list[Any]:
        natives = super()._natives(arguments, dtype)
        if "initial_state" in self.order:
            place = self.order.index("initial_state")
            state = arguments[place]
            if isinstance(state, np.ndarray):
                natives[place] = self.library.array(state, self.state_dtype(dtype))
        return natives

    def expected(self, arguments: Arguments, dtype: str) -> tuple[ArrayType, ...]:
        """Return shape, dtype and device of each result; a state may also have the dtype inside."""
        outputs, *states = super().expected(arguments, dtype)
        return (outputs, *(state._replace(dtype=self.state_dtype(dtype)) for state in states))

    def layouts(self, arguments: Arguments, dtype: str) -> Iterator[tuple[str, tuple[FloatArray, ...]]]:
        """Yield the results for arguments of every memory layout; states keep their dtype."""
        natives = self._natives(arguments, dtype)
        dtypes = [self.state_dtype(dtype) if name == "initial_state" else dtype for name in self.order]
        variants = [dict(self._variants(v, d)) for v, d in zip(arguments, dtypes, strict=True)]
        for layout in variants[0]:
            given = [v.get(layout, native) for v, native in zip(variants, natives, strict=True)]
            yield layout, self._read(self._returned(given, dtype), natives)

    def run(self, case: LinearCase) -> tuple[FloatArray, FloatArray | None]:
        """Return outputs and final state of a case, with the axes of the case."""
        if self.form == "step":
            return self._stepped(case)
        results = self.results(self.arguments(case), case.dtype)
        state = self.convention.decode("final_state", results[1]) if self.has_state else None
        return self.convention.decode("o", results[0]), state

    def _stepped(self, case: LinearCase) -> tuple[FloatArray, FloatArray | None]:
        state, outputs = case.initial, []
        for t in range(case.steps):
            one = self.arguments(case.part(t, t + 1).with_initial(state))
            o, state = self.results(one, case.dtype)
            outputs.append(self.convention.decode("o", o))
            state = self.convention.decode("final_state", state)
        return np.concatenate(outputs, axis=1), state

    def losses(
        self,
        case: LinearCase,
        weights: tuple[FloatArray, FloatArray],
        cuts: Sequence[int] = (),
        others: Sequence[Form] = (),
    ) -> dict[str, FloatArray]:
        """Return the gradients of a weighted sum of outputs and final state to every argument.

        Args:
            case: the case.
            weights: of outputs and final state.
            cuts: steps at which the sequence is cut: each part resumes from the state of the part before.
            others: the forms of the later parts; default this one.
        """
        convention, order = self.convention, self.order
        timed = [n for n in order if n not in ("scale", "cu_seqlens") and convention.is_timed(n)]
        given = dict(zip(order, self.arguments(case), strict=True))
        arrays = {n: v for n, v in given.items() if isinstance(v, np.ndarray) and n != "cu_seqlens"}
        wrt = tuple(arrays)
        arrays["weights of o"] = convention.encode("o", weights[0])
        if self.has_state:
            arrays["weights of state"] = convention.encode("final_state", weights[1])
        stops = range(1, case.steps) if self.form == "step" else cuts
        edges = [0, *stops, case.steps]
        forms = [self, *others] if others else [self] * (len(edges) - 1)
        axis = (slice(None),) * convention.time_axis
        packed = case.boundaries
        boundaries = None if packed is None else np.array(packed, dtype=np.int64)

        def program(_: Callable[..., Native], a: Mapping[str, Native]) -> Native:
            state, total = a.get("initial_state"), None
            for form, start, stop in zip(forms, edges, edges[1:], strict=False):
                whole = (start, stop) == (0, case.steps)
                part = (*axis, slice(start, stop))

                def at(name: str, whole: bool = whole, part: tuple[slice, ...] = part) -> Native:
                    value = a.get(name, given.get(name))
                    return value if whole or name not in (*timed, "weights of o") else value[part]

                values = [state if name == "initial_state" else at(name) for name in form.order]
                if boundaries is not None and "cu_seqlens" in form.order:
                    values[form.order.index("cu_seqlens")] = form.library.array(boundaries, case.dtype)
                o, state = form.called(values)
                summed = (o * at("weights of o")).sum()
                total = summed if total is None else total + summed
            if self.has_state:
                total = total + (state * a["weights of state"]).sum()
            return total

        found = self._differentiated_states(program, arrays, case.dtype, wrt)
        return {name: convention.decode(name, value) for name, value in found.items()}

    def modified(self, case: LinearCase, allowed: Sequence[str]) -> str | None:
        """Call the target; return a sentence about an argument that it modified and may not, or None."""
        natives = self._natives(self.arguments(case), case.dtype)
        watched = [
            (name, value)
            for name, value in zip(self.order, natives, strict=True)
            if is_array(value) and name not in allowed
        ]
        change = self._change(watched, lambda: self._returned(natives, case.dtype))
        return change.sentence if change else None

    def called(self, arguments: Sequence[Native]) -> tuple[Native, Native]:
        """Call the target on arrays of its library; return outputs and final state, or None."""
        positional, keywords = self.signature.bound(arguments)
        results = self.signature.unpacked(self._call(*positional, **keywords))
        self._require_shapes(results, arguments)
        return results[0], results[1] if self.has_state else None

    def _differentiated_states(
        self,
        program: Callable[..., Native],
        arrays: Mapping[str, NumericArray],
        dtype: str,
        wrt: Sequence[str],
    ) -> dict[str, FloatArray]:
        states = {"initial_state": self.state_dtype(dtype), "weights of state": self.state_dtype(dtype)}
        natives = {n: self.library.array(v, states.get(n, dtype)) for n, v in arrays.items()}
        with self.library.setting(dtype):
            gradients = self.library.gradients(lambda leaves: program(None, leaves), natives, wrt)
        return {name: np.asarray(value, dtype=np.float64) for name, value in gradients.items()}


def _wrapped(form: str, kernel: Callable[..., Any], constants: Mapping[str, bool]) -> Callable[..., Any]:
    """Return a kernel whose parallel form returns an array, and whose further keywords are given."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        result = kernel(*arguments, **keywords, **constants)
        return result[0] if form == "parallel" and isinstance(result, tuple | list) else result

    return call


@dataclass(frozen=True)
class LinearAttention(Adapter):
    """A kernel with matrix-valued states in one or several forms, to be judged by kind ``linear-attention``.

    Every form is called f(q, k, v, log_decay=, beta=, a=, b=, bonus=, initial_state=, scale=, cu_seqlens=)
    and returns (outputs, final state); q, k, v stand first, the others are keywords, and those that the
    function does not have are left out. Shapes are those of the table of kinds; the equations stand in
    ``dynprop.kinds.linear_attention.convention``.

    Args:
        forward: the kernel, called on whole sequences.
        step: the same for one step.
        chunk: further forms like ``forward``: one, or several such as block sizes.
        parallel: a form that returns (outputs, None), without an initial state.
        packed: a form that takes ``cu_seqlens``; default ``forward`` if its signature has it.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live, such as "cpu" or "cuda".
        update: "add", "delta" or "dplr"; None for what the signature says (a and b: dplr; beta: delta).
        decay: "none", "constant", "scalar" or "channel"; None: scalar if it takes log_decay.
        decay_space: "log", "log2" or "linear", how the decay is given.
        order: "decay-first" or "decay-after".
        read: "after" or "before"; before needs no bonus, and a bonus needs before.
        scale: "argument", "1/sqrt(K)" or "none"; None: argument if it takes scale, else 1/sqrt(K).
        layout: "bthd", "bhtd" or "thd" (no batch axis).
        state_layout: "kv" or "vk".
        groups: "none" (as many key heads as value heads), "interleave" or "tile".
        normalises: epsilon of the norm by which it divides q and k itself; None if it does not.
        multiple_of: its lengths are multiples of this.
        max_log_decay: the largest sum of abs(log decay) in a chunk that it handles.
        chunk_size: steps in its chunk: lengths of cases lie around it; default around 16 and 64.
        sizes: the only sizes that it takes, such as {"K": 16, "V": 32}.
        inside: "input", or "float32" if it computes in float32 whatever its arguments are.
        overwrites: arguments that a call may destroy.
        names: its names of arguments, such as {"log_decay": "g"}; else those of ``signature.ARGUMENTS``.
        dtypes, max_length: what it promises; see ``dynprop.contracts.domain.Domain``.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: a form that is not callable, an unknown option, or one that contradicts the signature.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import LinearAttention, check
        >>> def attention(q, k, v, initial_state=None, scale=1.0):
        ...     state = 0.0 if initial_state is None else initial_state
        ...     outputs = np.empty_like(v)
        ...     for t in range(v.shape[1]):
        ...         state = state + k[:, t, :, :, None] * v[:, t, :, None]
        ...         outputs[:, t] = scale * np.einsum("bhk,bhkv->bhv", q[:, t], state)
        ...     return outputs, state
        >>> kernel = LinearAttention(attention, framework="numpy")
        >>> check(kernel, examples=3, laws=["outputs", "final-state"]).verdict
        'pass'
    """

    forward: Callable[..., Any]
    step: Callable[..., Any] | None = None
    chunk: Kernels = None
    parallel: Callable[..., Any] | None = None
    packed: Callable[..., Any] | None = None
    framework: str = "torch"
    device: str = "cpu"
    update: str | None = None
    decay: str | None = None
    decay_space: str = "log"
    order: str = "decay-first"
    read: str = "after"
    scale: str | None = None
    layout: str = "bthd"
    state_layout: str = "kv"
    groups: str = "none"
    normalises: float | None = None
    multiple_of: int = 1
    max_log_decay: float | None = None
    chunk_size: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    inside: str = "input"
    overwrites: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    name: str = ""
    kind: str = field(default="linear-attention", init=False)
    convention: Convention = field(init=False, repr=False)
    forms: Mapping[str, Form] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        library = framework_named(self.framework, self.device)
        domain = Domain(dtypes=tuple(self.dtypes or library.dtypes), max_length=self.max_length)
        kernels = self._kernels()
        for form, kernel in kernels.items():
            if not callable(kernel):
                raise ArgumentError(form.split(" ")[0], describe(kernel), "a function")
        for name in self.overwrites:
            if name not in ARGUMENTS:
                raise ArgumentError("overwrites", repr(name), f"some of {', '.join(ARGUMENTS)}")
        for name in self.sizes:
            if name not in ("K", "V"):
                raise ArgumentError("sizes", repr(name), "K, V or both, such as K=16,V=32")
        parameters = Parameters.of(self.forward, self.names)
        convention = self._convention(parameters)
        if self.packed is None and parameters.takes("cu_seqlens"):
            kernels["packed"] = self.forward
        if self.max_length < self.multiple_of:
            expected = f"at least multiple_of, {self.multiple_of}"
            raise ArgumentError("max_length", str(self.max_length), expected)
        self._settle(library, domain, getattr(self.forward, "__qualname__", repr(self.forward)))
        object.__setattr__(self, "convention", convention)
        forms = {label: self._form(label, kernel) for label, kernel in kernels.items()}
        object.__setattr__(self, "forms", forms)

    def _kernels(self) -> dict[str, Callable[..., Any]]:
        """Return the kernels that are given, by form."""
        kernels: dict[str, Callable[..., Any]] = {"forward": self.forward}
        chunks = [self.chunk] if callable(self.chunk) else list(self.chunk or ())
        for i, kernel in enumerate(chunks):
            kernels["chunk" if len(chunks) == 1 else f"chunk {i + 1}"] = kernel
        single = {"parallel": self.parallel, "step": self.step, "packed": self.packed}
        return kernels | {form: kernel for form, kernel in single.items() if kernel is not None}

    def _convention(self, parameters: Parameters) -> Convention:
        low_rank = parameters.takes("a") and parameters.takes("b") and not parameters.open
        by_signature = "dplr" if low_rank else "delta" if parameters.takes("beta") else "add"
        update = by_signature if self.update is None else self.update
        decay = self.decay or ("scalar" if parameters.takes("log_decay") else "none")
        scale = self.scale or ("argument" if parameters.takes("scale") else "1/sqrt(K)")
        if decay != "none":
            parameters.require("decay", decay, "log_decay")
        if update == "delta":
            parameters.require("update", update, "beta")
        if update == "dplr":
            for name in ("a", "b"):
                parameters.require("update", update, name)
        if scale == "argument":
            parameters.require("scale", scale, "scale")
        return Convention(
            update=update,
            decay=decay,
            decay_space=self.decay_space,
            order=self.order,
            read=self.read,
            scale=scale,
            layout=self.layout,
            state_layout=self.state_layout,
            groups=self.groups,
            normalises=self.normalises,
            multiple_of=self.multiple_of,
            max_log_decay=self.max_log_decay,
            chunk_size=self.chunk_size,
            keys=self.sizes.get("K"),
            values=self.sizes.get("V"),
            inside=self.inside,
            write_strength=update == "delta" or (update == "add" and parameters.takes("beta")),
            bonus=self.read == "before" and parameters.takes("bonus"),
            initial=parameters.takes("initial_state"),
        )

    def _form(self, label: str, kernel: Callable[..., Any]) -> Form:
        form = label.split(" ")[0]
        own = Parameters.of_form(kernel, self.names)
        if form == "step" and not (own.takes("initial_state") or own.open):
            raise ArgumentError("step", "a function without an initial state", "one that takes a state")
        return Form(
            _wrapped(form, kernel, own.constants),
            self.framework,
            self.device,
            self.dtypes,
            form,
            self.convention,
            own,
            self.domain,
            f"{self.name} ({label})",
        )

    @property
    def has_packed(self) -> bool:
        """Whether a form takes packed sequences."""
        return "packed" in self.forms

    @property
    def whole(self) -> dict[str, Form]:
        """The forms that take a batch of sequences of one length."""
        return {label: form for label, form in self.forms.items() if form.form != "packed"}

    def preflight(self) -> None:
        """Call every form once on an ordinary case.

        Raises:
            TargetError: a form cannot be called as the kind demands, in one line.
        """
        for form in self.forms.values():
            if form.form != "step":
                form.preflight()

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> LinearCase:
        """Build a case of this kind from its JSON form.

        Raises:
            ArgumentError: arrays of the wrong rank, heads that do not divide, or boundaries that do not fit.
        """
        boundaries = data["boundaries"]
        case = LinearCase.from_json({**data, "boundaries": boundaries and tuple(boundaries)})
        case.require_consistent()
        return case
