"""Side effects of calls: arguments or results that are modified, settings that change, reset generators."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.states import State
from dynprop.contracts.subject import Native
from dynprop.kinds.layer.calls import LayerCalls
from dynprop.subjects.adapter import Change

__all__ = ["SideEffects"]

# No layer has this seed by chance.
RESEEDED = 918273645


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

    def overwritten_result(
        self,
        form: str,
        inputs: FloatArray,
        others: Sequence[FloatArray],
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
    ) -> str | None:
        """Call a form, then call it on other inputs, and describe a first result that changed, or None."""
        for mode, context in (
            ("", nullcontext()),
            (" without gradients", self.calls.library.without_gradients()),
        ):
            with context:
                natives = self.calls.native_inputs(inputs, sides, dtype)
                result = self.calls.native_call(form, natives, self.calls.native_state(state), dtype)
                y, after = self.calls.native_outputs(form, result)
                leaves = self.calls.states.arrays(after)
                watched = [("y", y), *((f"state (leaf {i})", leaf) for i, leaf in enumerate(leaves))]

                def again(form: str = form) -> None:
                    for other in others:
                        natives = self.calls.native_inputs(other, sides, dtype)
                        self.calls.native_call(form, natives, self.calls.native_state(state), dtype)

                change = self.first_change(watched, again)
            if change is not None:
                return f"a later call of {form}{mode} changed the {change.name} that an earlier one returned"
        return None

    def changed_setting(
        self,
        form: str,
        inputs: FloatArray,
        state: State | None,
        dtype: str,
        sides: Mapping[str, FloatArray],
        run: Callable[[], object],
    ) -> str | None:
        """Call a form, then a backward pass, and name a global setting that either of them changed, or None.

        Args:
            form: the form.
            inputs, state, dtype, sides: arguments of the call.
            run: makes a call and its backward pass.
        """

        def call() -> None:
            natives = self.calls.native_inputs(inputs, sides, dtype)
            self.calls.native_call(form, natives, self.calls.native_state(state), dtype)

        with _generators_elsewhere():
            # A first call may import what it needs, and imports change filters of warnings.
            call()
            for what, action in (("a call", call), ("a backward pass", run)):
                random.seed(RESEEDED)
                np.random.seed(RESEEDED)  # noqa: NPY002  (the process's global state)
                before = self._settings()
                action()
                after = self._settings()
                changed = next((name for name, value in before.items() if after.get(name) != value), None)
                if changed is not None:
                    values = _change_text(before[changed], after.get(changed))
                    return f"{what} of {form} changed {changed}{values}"
        return None

    def _settings(self) -> dict[str, object]:
        """Return what is global in the process and in the layer's module."""
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002  (the process's global state)
        # Modules of the user's own classes.
        modules: list[Any] = list(getattr(self.calls.interface.module, "modules", tuple)())
        return {
            **self.calls.library.settings(),
            "numpy's random numbers": (kind, np.asarray(keys).tobytes(), *rest),
            "Python's random numbers": random.getstate(),
            "the filters of warnings": list(warnings.filters),
            "numpy's handling of floating-point errors": np.geterr(),
            "the training flag of the module": [getattr(module, "training", None) for module in modules],
            "the gradients of the parameters": [
                name for name, tensor in self.calls.parameters.held.items() if not tensor.requires_grad
            ],
        }

    def resets_random_numbers(self, inputs: FloatArray, dtype: str, sides: Mapping[str, FloatArray]) -> bool:
        """Whether a call sets the library's global random numbers to a state of its own."""
        library, drawn = self.calls.library, []
        for seed in (1, 2):
            library.seed(seed)
            self.calls.call(self.calls.interface.primary, inputs, None, dtype, sides)
            drawn.append(library.random_number())
        return drawn[0] is not None and drawn[0] == drawn[1]


def _change_text(before: object, after: object) -> str:
    """Return the values, where they are short."""
    texts = f"{before}", f"{after}"
    return f" from {texts[0]} to {texts[1]}" if max(map(len, texts)) <= 40 else ""


@contextmanager
def _generators_elsewhere() -> Iterator[None]:
    """Put the generators of Python and numpy back at the end of the block."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the process's global state)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  (the process's global state)
