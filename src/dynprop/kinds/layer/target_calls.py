"""Calling a layer: axes and trees translated, so that laws see (batch, time, feature) and leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, describe, dtype_name, is_array, to_numpy
from dynprop.contracts.domain import Domain
from dynprop.contracts.states import State
from dynprop.errors import TargetError
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.parameters import Parameters
from dynprop.kinds.layer.trees import flatten, rebuild
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, attributed
from dynprop.subjects.frameworks import Framework

__all__ = ["FORMS", "RunningLayer"]

FORMS = ("forward", "chunk", "step", "parallel")
WHOLE = ("forward", "chunk", "parallel")
DEMAND = "kind layer takes forward(x, state=None) -> (y, state)"
POSITIONAL = {"forward": 2, "chunk": 2, "step": 2, "parallel": 1}


@dataclass
class RunningLayer(Adapter):
    """A layer whose every default is settled; ``Layer.of`` makes it, laws call it.

    Attributes:
        name, framework, library, domain: as in ``Layer``.
        forms_by_name: the forms, each attributing what it raises to the target.
        signatures: parameter names of each form.
        module: the torch module behind it, if any.
        input_size: number of features.
        time_axis, batch_axis: axes of x and y.
        state_batch_axis: batch axis of every leaf of the state, or None to find out.
        declared_sides: trailing shapes of side inputs.
        bidirectional: whether outputs depend on later inputs by design.
        adapted: whether its forms were given one by one.
        lenient: whether dtypes that its forms do not keep are dropped rather than errors.
    """

    name: str
    forms_by_name: dict[str, Callable[..., Any]]
    signatures: dict[str, tuple[str, ...] | None]
    module: Any
    library: Framework
    framework: str
    input_size: int
    time_axis: int
    batch_axis: int
    state_batch_axis: int | None
    declared_sides: dict[str, tuple[int, ...]]
    bidirectional: bool
    domain: Domain
    adapted: bool
    lenient: bool
    kind: str = "layer"
    returns_state: bool = False
    units: int | None = None
    note: str = ""
    needs_state: frozenset[str] = frozenset()
    _state_axes: tuple[int | None, ...] = ()
    _complex_state: bool = False
    _parameters: Parameters = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._parameters = Parameters(self.module)

    # What the layer offers.

    @property
    def forms(self) -> frozenset[str]:
        """Names of the forms that the object offers."""
        return frozenset(self.forms_by_name)

    @property
    def primary(self) -> str:
        """The form that maps a whole sequence: forward, else chunk, else parallel."""
        found = next((f for f in WHOLE if f in self.forms_by_name), None)
        if found is None:
            raise TargetError(f"{self.name} has only a step: give Layer(forward=...) or chunk= beside it")
        return found

    @property
    def takes_state(self) -> bool:
        """Whether a state can be given."""
        names = self.signatures.get(self.primary)
        return self.primary != "parallel" and (names is None or len(names) >= 2)

    @property
    def stepper(self) -> str:
        """The form whose single steps have Jacobians: the primary, or "step" where that keeps no state."""
        keeps = self.takes_state and self.returns_state
        return self.primary if keeps or "step" not in self.forms_by_name else "step"

    @property
    def side_shapes(self) -> dict[str, tuple[int, ...]]:
        """Trailing shapes of further per-step inputs, by name."""
        known = dict(self.declared_sides)
        if self.adapted:
            for form in FORMS:
                names = (self.signatures.get(form) or ())[POSITIONAL[form] :]
                known |= {n: () for n in names if n not in known and n not in ("lengths", "state")}
        return known

    @property
    def shortest_row(self) -> int | None:
        """Smallest length of a padded row, None where padded rows are not offered."""
        if self._packs:
            return 1  # pack_padded_sequence documents lengths above 0.
        return 0 if "lengths" in (self.signatures.get("forward") or ()) else None

    @property
    def _packs(self) -> bool:
        """Whether it is a torch.nn.RNN, LSTM or GRU as it is, which takes packed sequences."""
        if self.framework != "torch" or self.adapted:
            return False
        import torch

        return isinstance(self.module, torch.nn.RNNBase)

    @property
    def state_obstacle(self) -> str | None:
        """Why no Jacobian to the state can be taken, or None."""
        if self.stepper != "step" and not (self.takes_state and self.returns_state):
            return "no state is returned and taken back"
        if not self._state_axes:
            return "a step returns no state"
        if None in self._state_axes:
            return "a part of the state has no batch axis"
        if self._complex_state:
            return "the state is complex"
        return None

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> LayerCase:
        """Build a case of this kind from its JSON form."""
        return LayerCase.from_json(data)

    # Finding out what it is.

    def preflight(self) -> None:
        """Call the layer at two batch sizes in every dtype and find the batch axes of its state.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        kept, reasons = [], []
        for dtype in self.domain.dtypes:
            try:
                self._probe(dtype)
                kept.append(dtype)
            except (TargetRaisedError, TargetMismatchError) as error:
                reasons.append((dtype, error))
        if reasons and (not kept or not self.lenient):
            dtype, reason = reasons[0]
            misfit = not isinstance(reason, TargetRaisedError) or isinstance(
                reason.cause, TypeError | ValueError | AttributeError
            )
            if misfit and not kept:
                raise TargetError(" ".join(self._call_text(dtype, str(reason)).split())) from reason
            # It raises on ordinary input: the laws say so, with the input.
            kept, self.returns_state = list(self.domain.dtypes), self.returns_state or not kept
        elif reasons:
            self.note = "; ".join(f"{d} is not offered ({e})" for d, e in reasons)
        self.domain = replace(self.domain, dtypes=tuple(kept))
        self._probe_steps(kept[0])

    def _call_text(self, dtype: str, what: str) -> str:
        shape = [2, 2, self.input_size]
        x = np.moveaxis(np.zeros(shape), (0, 1), (self.batch_axis, self.time_axis))
        place = "target" if self.primary == "forward" else self.primary
        return f"{DEMAND}; {place} called with x {dtype} {x.shape} ({self.framework}): {what}"

    def _probe(self, dtype: str) -> None:
        found = []
        for batch in (2, 3):
            rng = np.random.default_rng(batch)
            x = np.abs(rng.standard_normal((batch, 2, self.input_size))) + 0.1
            sides = {n: np.ones((batch, 2, *s)) for n, s in self.side_shapes.items()}
            natives = self._natives(x, sides, dtype)
            y, state = self._split(self._raw(self.primary, natives, None, dtype), self.primary)
            if not is_array(y):
                raise TargetMismatchError(f"y is {describe(y)}, expected an array")
            shape = self._canonical(y).shape
            if shape[:2] != (batch, 2):
                raise TargetMismatchError(
                    f"y has shape {tuple(y.shape)}, expected batch {batch} at axis {self.batch_axis} and "
                    f"time 2 at axis {self.time_axis}"
                )
            if self.lenient and dtype_name(y) != dtype:
                raise TargetMismatchError(f"y has dtype {dtype_name(y)} for x of {dtype}")
            found.append([leaf for leaf in flatten(state, self.framework)[0] if is_array(leaf)])
        self.returns_state = bool(found[0])
        self._state_axes = tuple(self._axis(a, b) for a, b in zip(*found, strict=True))
        self._complex_state = any(dtype_name(v).startswith("complex") for v in found[0])
        if found[0] and found[0][0].ndim:
            self.units = int(found[0][0].shape[-1])

    def _probe_steps(self, dtype: str) -> None:
        """Find out which forms take no None for a state, and the axes of a state that only steps keep."""
        found = []
        for form in [f for f in ("chunk", "step") if f in self.forms_by_name and f != self.primary]:
            for batch in (2, 3):
                x = np.ones((batch, self.input_size) if form == "step" else (batch, 2, self.input_size))
                sides = {n: np.ones((*x.shape[:-1], *s)) for n, s in self.side_shapes.items()}
                try:
                    _, state = self._split(self._raw(form, self._natives(x, sides, dtype), None, dtype), form)
                except TargetMismatchError:
                    break  # the laws say so, with the input
                except TargetRaisedError as error:
                    if not self.returns_state:
                        why = " ".join(str(error).split())
                        raise TargetError(
                            f"{form} called without a state raised {why}, and nothing offers one: give "
                            "initial_state=, or a whole call that returns a state"
                        ) from error
                    self.needs_state |= {form}
                    break
                if form == self.stepper:
                    found.append([leaf for leaf in flatten(state, self.framework)[0] if is_array(leaf)])
        if len(found) == 2 and not self._state_axes:
            self._state_axes = tuple(self._axis(a, b) for a, b in zip(*found, strict=True))
            self._complex_state = any(dtype_name(v).startswith("complex") for v in found[0])

    def _axis(self, two: Any, three: Any) -> int | None:
        if self.state_batch_axis is not None:
            return self.state_batch_axis
        pairs = list(zip(two.shape, three.shape, strict=True))
        return next((i for i, pair in enumerate(pairs) if pair == (2, 3)), None)

    # Calling it.

    def call(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> tuple[FloatArray, State | None]:
        """Call a form on numpy arrays; inputs are (batch, feature) for "step"."""
        natives = self._natives(inputs, sides or {}, dtype)
        native_state = None if state is None else self.native_state(state)
        result = self._raw(form, natives, native_state, dtype, lengths)
        y, after = self._split(result, form)
        values = to_numpy(y if form == "step" else self._canonical(y))
        expected = inputs.shape[:1] if form == "step" else inputs.shape[:2]
        if values.shape[: len(expected)] != expected:
            raise TargetMismatchError(f"{form} returned y of shape {tuple(y.shape)} for x of {inputs.shape}")
        flat = values.reshape(*expected, -1)
        if np.iscomplexobj(flat):
            flat = np.concatenate([flat.real, flat.imag], axis=-1)
        return np.asarray(flat, dtype=np.float64), self.numpy_state(after)

    def initial_state(self, batch: int, dtype: str) -> State | None:
        """Return the object's own initial state in a dtype, or None if it offers none."""
        if "initial_state" not in self.forms_by_name:
            return None
        self._parameters.use(dtype)
        with self.library.setting(dtype):
            made = self.forms_by_name["initial_state"](batch)
        state = self.numpy_state(made)
        if state is None:
            return None
        complex_ = "complex128" if dtype == "float64" else "complex64"
        names = {"f": dtype, "c": complex_}
        kinds = [leaf.dtype.kind for leaf in state.leaves]
        return replace(
            state,
            dtypes=tuple(names.get(k, d) for k, d in zip(kinds, state.dtypes, strict=True)),
        )

    def _own_initial(self, x: Any, form: str, dtype: str) -> Any:
        state = self.initial_state(x.shape[0 if form == "step" else self.batch_axis], dtype)
        return None if state is None else self.native_state(state)

    def numpy_state(self, tree: Any) -> State | None:
        """Return a native state as numpy leaves, or None where there is none."""
        leaves, spec = flatten(tree, self.framework)
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        if not arrays:
            return None
        pattern = [None if is_array(leaf) else leaf for leaf in leaves]
        axes = self._state_axes
        if len(axes) != len(arrays):
            axes = (self.state_batch_axis,) * len(arrays)
            if self.state_batch_axis is None and not self.returns_state:
                axes = (None,) * len(arrays)
        return State(
            tuple(to_numpy(leaf) for leaf in arrays),
            tuple(dtype_name(leaf) for leaf in arrays),
            axes,
            (spec, pattern, [is_array(leaf) for leaf in leaves]),
        )

    def native_state(self, state: State, leaves: Sequence[Any] | None = None) -> Any:
        """Return a state as the tree that the target knows, of fresh arrays or given leaves."""
        spec, pattern, is_leaf = state.spec
        if leaves is None:
            leaves = [self._leaf(v, d) for v, d in zip(state.leaves, state.dtypes, strict=True)]
        arrays = iter(leaves)
        full = [next(arrays) if leaf else kept for leaf, kept in zip(is_leaf, pattern, strict=True)]
        return rebuild(full, spec, self.framework)

    def _leaf(self, values: NumericArray, dtype: str) -> Any:
        real = {"complex128": "float64", "complex64": "float32"}.get(dtype, dtype)
        return self.library.array(values, real)

    def _natives(self, inputs: FloatArray, sides: Mapping[str, FloatArray], dtype: str) -> dict[str, Any]:
        """Return x and the sides in the target's axes; a step has no time axis."""
        whole = inputs.ndim == 3
        made = {}
        for name, values in {"x": inputs, **sides}.items():
            if whole:
                values = np.moveaxis(values, (0, 1), (self.batch_axis, self.time_axis))
            made[name] = self.library.array(values, dtype)
        return made

    def _canonical(self, y: Any) -> Any:
        """Return y with batch and time first."""
        if y.ndim < 2:
            raise TargetMismatchError(f"y is {describe(y)}, expected axes for batch, time and feature")
        order = [self.batch_axis, self.time_axis]
        order += [i for i in range(y.ndim) if i not in order]
        return y.transpose(order) if self.framework == "jax" else y.permute(order)

    def _raw(
        self,
        form: str,
        natives: Mapping[str, Any],
        state: Any,
        dtype: str,
        lengths: Sequence[int] | None = None,
    ) -> Any:
        """Call a form on native arrays, in its dtype."""
        self._parameters.use(dtype)
        names = self.signatures.get(form)
        sides = {n: v for n, v in natives.items() if n != "x" and (names is None or n in names)}
        call = self.forms_by_name[form]
        with self.library.setting(dtype):
            if form == "forward" and lengths is not None:
                if self._packs:
                    return self._packed(natives["x"], state, lengths)
                kind = "int32" if self.framework == "jax" else "int64"
                rows = self.library.array(np.asarray(lengths, dtype=kind), kind)
                return call(natives["x"], state, lengths=rows, **sides)
            if form == "parallel" or (form == "forward" and state is None):
                return call(natives["x"], **sides)
            if state is None and "initial_state" in self.forms_by_name:
                # A piece that starts a sequence starts from the layer's own initial state.
                state = self._own_initial(natives["x"], form, dtype)
            return call(natives["x"], state, **sides)

    def _packed(self, x: Any, state: Any, lengths: Sequence[int]) -> Any:
        from torch.nn.utils import rnn

        first = self.batch_axis == 0
        with attributed():
            packed = rnn.pack_padded_sequence(x, list(lengths), first, enforce_sorted=False)
            y, after = self.forms_by_name["forward"](packed, state)
            whole, _ = rnn.pad_packed_sequence(y, first, total_length=x.shape[self.time_axis])
        return whole, after

    def _split(self, result: Any, form: str) -> tuple[Any, Any]:
        if form == "parallel":
            return (result[0] if isinstance(result, tuple) else result), None
        if not isinstance(result, tuple | list) or len(result) != 2:
            got = f"{len(result)} values" if isinstance(result, tuple | list) else describe(result)
            raise TargetMismatchError(f"{form} returned {got}, expected (y, state)")
        return result[0], result[1]
