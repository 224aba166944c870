"""The interface of a recurrent layer under test."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.states import State
from dynprop.contracts.subject import Subject
from dynprop.kinds.layer.layouts import Layouts
from dynprop.kinds.layer.parameters import Parameters
from dynprop.kinds.layer.pullback import Cotangents, Leaves, Pullback, StepProducts
from dynprop.kinds.layer.remembered import Remembered

__all__ = ["LayerSubject", "Referred"]


class LayerSubject(Subject, Protocol):
    """A recurrent layer under test; inputs and outputs are (batch, time, feature) here.

    Forms are named "forward" (the whole call), "step", "chunk" and "parallel".
    """

    @property
    def input_size(self) -> int:
        """Number of features of an input."""
        ...

    @property
    def side_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Trailing shapes of further per-step inputs, by name."""
        ...

    @property
    def forms(self) -> frozenset[str]:
        """Names of the forms that the object offers."""
        ...

    @property
    def primary(self) -> str:
        """The form that maps a whole sequence: "forward", else "chunk", else "parallel"."""
        ...

    @property
    def stepper(self) -> str:
        """The form whose single steps have Jacobians: the primary, or "step" where that keeps no state."""
        ...

    @property
    def needs_state(self) -> frozenset[str]:
        """Forms that take no None in place of a state."""
        ...

    @property
    def takes_state(self) -> bool:
        """Whether a state can be given to the whole call."""
        ...

    @property
    def returns_state(self) -> bool:
        """Whether the whole call returns a state."""
        ...

    @property
    def bidirectional(self) -> bool:
        """Whether outputs depend on later inputs by design."""
        ...

    @property
    def shortest_row(self) -> int | None:
        """Smallest length of a padded row, None where padded rows are not offered."""
        ...

    @property
    def state_obstacle(self) -> str | None:
        """Why no Jacobian to the state can be taken, or None."""
        ...

    @property
    def units(self) -> int | None:
        """Size of the last axis of the first leaf of the state."""
        ...

    def call(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> tuple[FloatArray, State | None]:
        """Call a form; inputs are (batch, feature) for "step"."""
        ...

    def initial_state(self, batch: int, dtype: str) -> State | None:
        """Return the object's own initial state, or None if it offers none."""
        ...

    def nudged(self, seed: int) -> AbstractContextManager[None]:
        """Move every parameter that is known by one unit in the last place inside the block."""
        ...

    def changed_arguments(
        self, form: str, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> str | None:
        """Call a form and say which argument it modified, values or metadata, or None."""
        ...

    def overwritten_result(
        self,
        form: str,
        inputs: FloatArray,
        others: Sequence[FloatArray],
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
    ) -> str | None:
        """Call a form, call it on other inputs, and describe a first result that changed, or None."""
        ...

    def changed_setting(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        run: Callable[[], object],
    ) -> str | None:
        """Call a form, then ``run``, and name a global setting that either changed, or None."""
        ...

    @property
    def layouts(self) -> Layouts:
        """Calls on arrays of other memory layouts."""
        ...

    def resets_random_numbers(self, inputs: FloatArray, dtype: str, sides: Mapping[str, FloatArray]) -> bool:
        """Say whether a call sets the library's global random numbers to a state of its own."""
        ...

    def expected_device(self) -> str:
        """Return the device that the arguments live on."""
        ...

    def output_of(
        self, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> tuple[str, str, tuple[str, ...]]:
        """Return the dtype and device of the outputs and the dtypes of the returned state."""
        ...

    @property
    def reference(self) -> Referred | None:
        """Another layer that must agree with it."""
        ...

    @property
    def parameters(self) -> Parameters:
        """The parameters that are known."""
        ...

    @property
    def remembered(self) -> Remembered:
        """Evaluations that laws share."""
        ...

    def pullback(
        self,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        weights: Cotangents,
        form: str,
        size: int,
        lengths: Sequence[int] | None = None,
        *,
        wanted: Container[str] = ...,
    ) -> Pullback | None:
        """Return the gradients of sum(weights * outputs), and of the weighted last state.

        The form runs on ``size`` steps per call, each call resumed from the state of the one before, and
        one backward pass goes through all of them. None where nothing carries a gradient at all.
        """
        ...

    def step_products(
        self,
        inputs: FloatArray,
        states: Sequence[State],
        sides: Mapping[str, FloatArray],
        weights: Cotangents,
        *,
        cuts: Container[int] = (),
        disturb: Callable[[Leaves, int], Leaves] = ...,
    ) -> StepProducts:
        """Return the gradients of the same loss by vector-Jacobian products of single float64 steps.

        The gradient is cut before the steps in ``cuts``; ``disturb`` moves it at every state.
        """
        ...

    def initial_products(self, batch: int, weights: Leaves) -> dict[str, NumericArray]:
        """Return the gradients of the weighted own initial state to the parameters."""
        ...

    def step_jacobians(
        self,
        inputs: FloatArray,
        state: State,
        sides: Mapping[str, FloatArray],
        outputs: bool,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Jacobians of one step of every row in float64, to its state and to its input.

        Shapes (rows, S, S) and (rows, S, features), S the size of the state of one row; with ``outputs``
        the rows of the Jacobians are those of the output instead of the next state.
        """
        ...


class Referred(Protocol):
    """Another layer with the same parameters, which a layer must agree with."""

    @property
    def subject(self) -> LayerSubject:
        """The other layer."""
        ...

    @property
    def names(self) -> Mapping[str, str]:
        """What it calls each parameter, by the name that the layer has for it."""
        ...

    def preflight(self, target: LayerSubject) -> None:
        """Call it as its kind demands; TargetError if it takes or returns other arrays than the target."""
        ...

    def dtype(self, dtype: str) -> str:
        """Return the format in which it runs a case."""
        ...

    def parameters_as(self, dtype: str) -> AbstractContextManager[None]:
        """Return the context in which its parameters have the values that they have in a format."""
        ...
