"""The interface of a layer: its forms, their keywords, its axes and side inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dynprop.errors import TargetError
from dynprop.kinds.layer.axes import Axes

__all__ = ["FORMS", "Interface"]

FORMS = ("forward", "chunk", "step", "parallel")
WHOLE = ("forward", "chunk", "parallel")
RESERVED = ("lengths", "state", "parameters")
POSITIONAL = {"forward": 2, "chunk": 2, "step": 2, "parallel": 1}


@dataclass(frozen=True)
class Interface:
    """What a layer offers to its callers.

    Attributes:
        name: the layer's name in reports.
        library: "torch" or "jax".
        forms: the forms and initial_state by name; each attributes its exceptions to the target.
        keywords: parameter names of each form; None where the signature cannot be read.
        module: the module behind the forms, of the user's own class, or None.
        adapted: whether the forms were given one by one instead of found on a module.
        input_size: number of features of x.
        axes: batch and time axes of x and y.
        declared_sides: trailing shapes of side inputs that the caller declared.
        bidirectional: whether outputs depend on later inputs by design.
    """

    name: str
    library: str
    forms: Mapping[str, Callable[..., Any]]
    keywords: Mapping[str, tuple[str, ...] | None]
    module: Any
    adapted: bool
    input_size: int
    axes: Axes
    declared_sides: Mapping[str, tuple[int, ...]]
    bidirectional: bool

    @property
    def primary(self) -> str:
        """The form that maps a whole sequence: forward, else chunk, else parallel.

        Raises:
            TargetError: there is none.
        """
        found = next((form for form in WHOLE if form in self.forms), None)
        if found is None:
            raise TargetError(f"{self.name} has only a step: give Layer(forward=...) or chunk= beside it")
        return found

    @property
    def takes_state(self) -> bool:
        """Whether the primary form takes a state."""
        names = self.keywords.get(self.primary)
        return self.primary != "parallel" and (names is None or len(names) >= 2)

    def stepper(self, *, returns_state: bool) -> str:
        """Return the form whose single steps have Jacobians.

        Args:
            returns_state: whether the primary form returns a state.

        Returns:
            The primary form, or "step" where the primary form keeps no state.
        """
        keeps = self.takes_state and returns_state
        return self.primary if keeps or "step" not in self.forms else "step"

    @property
    def side_shapes(self) -> dict[str, tuple[int, ...]]:
        """Trailing shapes of side inputs by name; a form's further keywords have one number a step."""
        shapes = dict(self.declared_sides)
        if self.adapted:
            for form in FORMS:
                names = (self.keywords.get(form) or ())[POSITIONAL[form] :]
                shapes |= {
                    n: () for n in names if n not in shapes and n not in ("lengths", "state", "parameters")
                }
        return shapes

    @property
    def takes_packed_sequences(self) -> bool:
        """Whether the module is a torch.nn.RNN, LSTM or GRU, unadapted: padded rows are packed for it."""
        if self.library != "torch" or self.adapted:
            return False
        import torch

        return isinstance(self.module, torch.nn.RNNBase)

    @property
    def shortest_row(self) -> int | None:
        """Smallest length of a padded row; None where padded rows are not offered."""
        if self.takes_packed_sequences:
            return 1  # pack_padded_sequence documents lengths above 0.
        return 0 if "lengths" in (self.keywords.get("forward") or ()) else None
