"""A layer under test: the subject of the laws of kind layer, composed of its parts."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.states import State
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.kinds.layer.cases import LayerCase
from dynprop.kinds.layer.derivatives import EVERYTHING, Derivatives, unmoved
from dynprop.kinds.layer.interface import Interface
from dynprop.kinds.layer.layouts import Layouts
from dynprop.kinds.layer.parameters import Parameters
from dynprop.kinds.layer.probe import Findings, probe
from dynprop.kinds.layer.pullback import Cotangents, Leaves, Pullback, StepProducts
from dynprop.kinds.layer.remembered import Remembered
from dynprop.kinds.layer.side_effects import SideEffects
from dynprop.kinds.layer.subject import Referred
from dynprop.subjects.adapter import Adapter
from dynprop.subjects.frameworks import Framework

__all__ = ["LayerUnderTest"]


class LayerUnderTest(Adapter):
    """A layer with every default settled; ``Layer.of`` makes it, and laws call it.

    Attributes:
        domain: the declared domain, without the formats that the probe leaves out.
        findings: what the probe found out; before ``preflight`` nothing is known of the state.
        reference: another layer that must agree with it, or None.
    """

    kind = "layer"

    def __init__(
        self,
        calls: LayerCalls,
        domain: Domain,
        optional: frozenset[str],
        declared_reference: tuple[Any, Mapping[str, str]] = (None, {}),
    ) -> None:
        """Compose the subject.

        Args:
            calls: calls the forms of the layer.
            domain: what the layer promises.
            optional: formats of the domain that are left out where the layer does not keep them.
            declared_reference: the layer that it is compared with, of any type that a target may have, and
                the names of its parameters there.
        """
        self.declared_reference = declared_reference
        self.reference: Referred | None = None
        self.name: str = calls.interface.name
        self.library: Framework = calls.library
        self.framework: str = calls.library.name
        self._declared = domain
        self.domain: Domain = domain
        self._optional = optional
        self.remembered = Remembered()
        self._accept(calls, Findings(domain.dtypes))

    def _accept(self, calls: LayerCalls, findings: Findings) -> None:
        self.findings = findings
        self.domain = replace(self._declared, dtypes=findings.dtypes)
        self.calls: LayerCalls = calls.with_batch_axes(findings.batch_axes)
        self._derivatives = Derivatives(self.calls)
        self._side_effects = SideEffects(self.calls, self._change)

    def preflight(self) -> None:
        """Probe the layer: call it at two batch sizes in every format.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        self._accept(self.calls, probe(self.calls, self._declared.dtypes, self._optional))
        if self.reference is not None:
            self.reference.preflight(self)

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> LayerCase:
        """Build a case of this kind from its JSON form."""
        return LayerCase.from_json(data)

    # What the layer offers, and what the probe found.

    @property
    def interface(self) -> Interface:
        """The forms, keywords, axes and side inputs."""
        return self.calls.interface

    @property
    def input_size(self) -> int:
        """Number of features of an input."""
        return self.interface.input_size

    @property
    def side_shapes(self) -> dict[str, tuple[int, ...]]:
        """Trailing shapes of further per-step inputs, by name."""
        return self.interface.side_shapes

    @property
    def forms(self) -> frozenset[str]:
        """Names of the forms that the object offers."""
        return frozenset(self.interface.forms)

    @property
    def primary(self) -> str:
        """The form that maps a whole sequence: "forward", else "chunk", else "parallel"."""
        return self.interface.primary

    @property
    def stepper(self) -> str:
        """The form whose single steps have Jacobians: the primary, or "step" where that keeps no state."""
        return self.interface.stepper(returns_state=self.returns_state)

    @property
    def takes_state(self) -> bool:
        """Whether a state can be given to the whole call."""
        return self.interface.takes_state

    @property
    def returns_state(self) -> bool:
        """Whether the whole call returns a state."""
        return self.findings.returns_state

    @property
    def needs_state(self) -> frozenset[str]:
        """Forms that do not take None for a state."""
        return self.findings.needs_state

    @property
    def units(self) -> int | None:
        """Size of the last axis of the first leaf of the state."""
        return self.findings.units

    @property
    def note(self) -> str:
        """Formats that the probe left out, with reasons."""
        return self.findings.note

    @property
    def bidirectional(self) -> bool:
        """Whether outputs depend on later inputs by design."""
        return self.interface.bidirectional

    @property
    def shortest_row(self) -> int | None:
        """Smallest length of a padded row, None where padded rows are not offered."""
        return self.interface.shortest_row

    @property
    def state_obstacle(self) -> str | None:
        """Why no Jacobian to the state can be taken, or None."""
        if self.stepper != "step" and not (self.takes_state and self.returns_state):
            return "no state is returned and taken back"
        if not self.findings.batch_axes:
            return "a step returns no state"
        if None in self.findings.batch_axes:
            return "a part of the state has no batch axis"
        if self.findings.complex_state:
            return "the state is complex"
        return None

    # Calls.

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
        return self.calls.call(form, inputs, state, dtype, sides, lengths)

    def initial_state(self, batch: int, dtype: str) -> State | None:
        """Return the object's own initial state, or None if it offers none."""
        return self.calls.initial_state(batch, dtype)

    def output_of(
        self, inputs: FloatArray, state: State | None, dtype: str, sides: Mapping[str, FloatArray]
    ) -> tuple[str, str, tuple[str, ...]]:
        """Return the dtype and device of the outputs and the dtypes of the returned state."""
        return self.calls.output_of(inputs, state, dtype, sides)

    @property
    def parameters(self) -> Parameters:
        """The parameters that are known."""
        return self.calls.parameters

    def nudged(self, seed: int) -> AbstractContextManager[None]:
        """Move every parameter that is known by one unit in the last place inside the block."""
        return self.calls.parameters.nudged(seed)

    # Side effects.

    def changed_arguments(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
    ) -> str | None:
        """Call a form and describe an argument that it modified, in values or metadata, or None."""
        return self._side_effects.changed_arguments(form, inputs, state, dtype, sides)

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
        return self._side_effects.overwritten_result(form, inputs, others, state, dtype, sides)

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
        return self._side_effects.changed_setting(form, inputs, state, dtype, sides, run)

    @property
    def layouts(self) -> Layouts:
        """Calls on arrays of other memory layouts."""
        return Layouts(self.calls)

    def resets_random_numbers(self, inputs: FloatArray, dtype: str, sides: Mapping[str, FloatArray]) -> bool:
        """Whether a call sets the library's global random numbers to a state of its own."""
        return self._side_effects.resets_random_numbers(inputs, dtype, sides)

    # Derivatives.

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
        wanted: Container[str] = EVERYTHING,
    ) -> Pullback | None:
        """Return the gradients of a weighted loss; see ``Derivatives.pullback``."""
        return self._derivatives.pullback(
            inputs, state, dtype, sides, weights, form, size, lengths, wanted=wanted
        )

    def step_products(
        self,
        inputs: FloatArray,
        states: Sequence[State],
        sides: Mapping[str, FloatArray],
        weights: Cotangents,
        *,
        cuts: Container[int] = (),
        disturb: Callable[[Leaves, int], Leaves] = unmoved,
    ) -> StepProducts:
        """Return the gradients by single float64 steps of ``stepper``; see ``Derivatives.step_products``."""
        return self._derivatives.step_products(
            self.stepper, inputs, states, sides, weights, cuts=cuts, disturb=disturb
        )

    def initial_products(self, batch: int, weights: Leaves) -> dict[str, NumericArray]:
        """Return the gradients of the weighted own initial state to the parameters."""
        return self._derivatives.initial_products(batch, weights)

    def step_jacobians(
        self, inputs: FloatArray, state: State, sides: Mapping[str, FloatArray], outputs: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Jacobians of one float64 step of ``stepper``; see ``Derivatives.step_jacobians``."""
        return self._derivatives.step_jacobians(self.stepper, inputs, state, sides, outputs)
