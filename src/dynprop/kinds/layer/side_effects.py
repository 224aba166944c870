"""Side effects of calls: arguments that are modified, random numbers that are reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dynprop.arrays import FloatArray
from dynprop.contracts.states import State
from dynprop.contracts.subject import Native
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.subjects.adapter import Change

__all__ = ["SideEffects"]


@dataclass(frozen=True)
class SideEffects:
    """Finds what calls of a layer leave changed.

    Attributes:
        calls: the calls of the layer.
        first_change: makes a call and returns the first of the named arrays that it modified, or None.
    """

    calls: LayerCalls
    first_change: Callable[[Iterable[tuple[str, Native]], Callable[[], object]], Change | None]

    def changed_arguments(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
    ) -> str | None:
        """Call a form and describe an argument that it modified, in values or metadata, or None."""
        natives = self.calls.native_inputs(inputs, sides, dtype)
        tree = self.calls.native_state(state)
        leaves = self.calls.states.arrays(tree)
        watched = [*natives.items(), *((f"state (leaf {i})", leaf) for i, leaf in enumerate(leaves))]
        change = self.first_change(watched, lambda: self.calls.native_call(form, natives, tree, dtype))
        if change is None:
            return None
        if change.before is None:
            return f"{form} modified the caller's {change.name} in place"
        return f"{form} changed the caller's {change.name}: {change.before} became {change.after}"

    def resets_random_numbers(self, inputs: FloatArray, dtype: str, sides: Mapping[str, FloatArray]) -> bool:
        """Whether a call sets the library's global random numbers to a state of its own."""
        library, drawn = self.calls.library, []
        for seed in (1, 2):
            library.seed(seed)
            self.calls.call(self.calls.interface.primary, inputs, None, dtype, sides)
            drawn.append(library.random_number())
        return drawn[0] is not None and drawn[0] == drawn[1]
