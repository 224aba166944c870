"""A gated scan under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.contracts.domain import Domain
from dynprop.errors import TargetError
from dynprop.kinds.scan.cases import ScanCase
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, real_numbers

__all__ = ["Scan"]

SIGNATURE = Signature(
    "f(gates, inputs, initial) -> states",
    ("gates", "inputs", "initial"),
    (Result("states", lambda gates, inputs, initial: inputs.shape, "the shape of the inputs", real_numbers),),
    lambda domain: (np.full((2, 5, 3), 0.5), np.ones((2, 5, 3)), np.ones((2, 3))),
)


@dataclass(frozen=True)
class Scan(ArrayFunction[FloatArray]):
    """A scan f(gates, inputs, initial) -> states, to be judged by the laws of kind ``scan``.

    Args:
        target: the function; gates, inputs and states have shape (batch, time, channel), initial is
            (batch, channel) or None.
        framework: the arrays that it takes: "numpy", "torch" or "jax".
        device: where its arrays live, such as "cpu" or "cuda".
        gates, inputs, dtypes, max_length, arithmetic, reach, windows: what the target promises; see
            ``dynprop.contracts.domain.Domain``. ``dtypes`` None means those usual for the framework.
        reference: another scan that must agree with it in states and gradients: a function of the same
            arrays, or a Scan of any library, such as a slow loop.
        name: how reports call it; default its qualified name.

    Raises:
        ArgumentError: the target is not callable, or an option is unknown.

    Example:
        >>> import numpy as np
        >>> from dynprop.check import Scan, check
        >>> def loop(gates, inputs, initial):
        ...     states = np.empty_like(inputs)
        ...     state = np.zeros_like(inputs[:, :1].sum(axis=1)) if initial is None else initial
        ...     for t in range(inputs.shape[1]):
        ...         states[:, t] = state = gates[:, t] * state + inputs[:, t]
        ...     return states
        >>> check(Scan(loop, framework="numpy"), examples=3, laws=["scan/forward"]).verdict
        'pass'
    """

    target: Callable[..., Any]
    framework: str = "torch"
    device: str = "cpu"
    gates: str = "any"
    inputs: str = "any"
    dtypes: Sequence[str] | None = None
    max_length: int = 2048
    arithmetic: str = "product"
    reach: int | None = None
    windows: str | None = None
    reference: Any = None
    name: str = ""
    kind: str = field(default="scan", init=False)

    def __post_init__(self) -> None:
        if self.reference is not None and not isinstance(self.reference, Scan):
            other = Scan(self.reference, self.framework, self.device, dtypes=self.dtypes)
            object.__setattr__(self, "reference", other)
        self._settle_function(
            lambda dtypes: Domain(
                self.gates,
                self.inputs,
                dtypes,
                self.max_length,
                self.arithmetic,
                self.reach,
                self.windows,
            )
        )

    @property
    def signature(self) -> Signature[FloatArray]:
        """The call f(gates, inputs, initial) -> states."""
        return SIGNATURE

    def preflight(self) -> None:
        """Call the target once, and the reference.

        Raises:
            TargetError: one of them cannot be called as its kind demands.
        """
        super().preflight()
        if self.reference is not None:
            try:
                self.reference.preflight()
            except TargetError as error:
                raise TargetError(f"the reference: {' '.join(str(error).split())}") from error

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> ScanCase:
        """Build a case of this kind from its JSON form."""
        return ScanCase.from_json(data)
