"""Another layer with the same parameters, which a layer must agree with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from dynprop.errors import ArgumentError, TargetError
from dynprop.kinds.layer.subject import LayerSubject
from dynprop.kinds.layer.under_test import LayerUnderTest

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """A layer that another one must agree with.

    Attributes:
        subject: the layer.
        names: what it calls each parameter, by the name that the other layer has for it.
    """

    subject: LayerUnderTest
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, target: LayerSubject, reference: LayerUnderTest, names: Mapping[str, str]) -> Reference:
        """Return a reference that has taken the parameters of a target.

        Args:
            target: the layer that is judged.
            reference: the layer that it must agree with.
            names: what the reference calls a parameter, where it has another name.

        Raises:
            ArgumentError: a parameter has no counterpart, or one of another shape.
        """
        mine, theirs = target.parameters.everything, reference.parameters.everything
        unknown = [name for name in names if name not in mine]
        if unknown:
            raise ArgumentError("reference_parameters", unknown[0], f"a parameter: {', '.join(mine)}")
        pairs = {name: names.get(name, name) for name in mine}
        lacking = [f"{a} as {b}" if a != b else a for a, b in pairs.items() if b not in theirs]
        further = [name for name in theirs if name not in pairs.values()]
        if lacking or further:
            got = "; ".join(
                text
                for text in (
                    f"a reference without {', '.join(lacking)}" if lacking else "",
                    f"one that has {', '.join(further)} beside them" if further else "",
                )
                if text
            )
            raise ArgumentError("reference", got, "the parameters of the target, or reference_parameters=")
        for name, other in pairs.items():
            if mine[name].shape != theirs[other].shape:
                got = f"{other} of shape {theirs[other].shape}"
                raise ArgumentError("reference", got, f"{mine[name].shape}, the shape of {name}")
        reference.parameters.take({other: mine[name] for name, other in pairs.items()})
        return cls(reference, pairs)

    def preflight(self, target: LayerSubject) -> None:
        """Call the reference as its kind demands, and compare what it takes and returns with the target.

        Raises:
            TargetError: it cannot be called, or takes or returns other arrays.
        """
        try:
            self.subject.preflight()
        except TargetError as error:
            raise TargetError(f"the reference: {error}") from error
        for what, mine, theirs in (
            ("input_size", target.input_size, self.subject.input_size),
            ("side inputs", dict(target.side_shapes), dict(self.subject.side_shapes)),
        ):
            if mine != theirs:
                raise TargetError(f"the reference has {what} {theirs}, expected {mine} as the target")
        x = np.ones((2, 2, target.input_size))
        sides = {name: np.ones((2, 2, *shape)) for name, shape in target.side_shapes.items()}
        shapes = []
        for layer in (target, self.subject):
            shapes.append(layer.call(layer.primary, x, None, layer.domain.dtypes[0], sides)[0].shape)
        if shapes[0] != shapes[1]:
            text = f"returns outputs (batch, time, feature) of shape {shapes[1]}, the target {shapes[0]}"
            raise TargetError(f"the reference {text}")

    def dtype(self, dtype: str) -> str:
        """Return the format in which the reference runs a case: its own, else float64."""
        return dtype if dtype in self.subject.domain.dtypes else "float64"

    def parameters_as(self, dtype: str) -> AbstractContextManager[None]:
        """Return the context in which its parameters have the values that they have in a format."""
        return nullcontext() if self.dtype(dtype) == dtype else self.subject.parameters.rounded(dtype)
