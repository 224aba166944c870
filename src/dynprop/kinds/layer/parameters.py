"""The parameters of a layer: a module's, tensors that its forms close over, or a tree that they take.

torch's are converted in place between formats, always from their original values. A tree is passed to every
form that has a keyword ``parameters``; jax has no other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dynprop.arrays import FloatArray, NumericArray, is_array, round_to, to_numpy
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError
from dynprop.kinds.layer.trees import flatten, rebuild
from dynprop.subjects.frameworks import Framework

__all__ = ["Parameters"]

# A torch tensor or a jax array.
Native = Any


@dataclass(frozen=True, eq=False)
class Variation:
    """How the values in use differ from the original ones.

    Attributes:
        rounded: the format to which they are rounded first.
        seed: signs of a move by one unit in the last place, up or down; None for no move.
        unit: relative size of half that move; default that of the format in use.
        directions: by name, what is added to a parameter, ``step`` times.
        step: see ``directions``.
    """

    rounded: str | None = None
    seed: int | None = None
    unit: float | None = None
    directions: Mapping[str, FloatArray] = field(default_factory=dict)
    step: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether any value differs."""
        return self.rounded is not None or self.seed is not None or bool(self.directions)

    def of(self, values: NumericArray, name: str, rng: np.random.Generator, unit: float) -> NumericArray:
        """Return the values of one tensor in float64; complex ones stay complex."""
        if self.rounded is not None:
            values = _rounded(values, self.rounded)
        if self.seed is not None:
            size = unit if self.unit is None else self.unit
            values = values * (1.0 + 2.0 * size * rng.choice([-1.0, 1.0], values.shape))
        if name in self.directions:
            values = values + self.step * self.directions[name].reshape(values.shape)
        return values


def _rounded(values: NumericArray, dtype: str) -> NumericArray:
    if np.iscomplexobj(values):
        return np.asarray(_rounded(values.real, dtype) + 1j * _rounded(values.imag, dtype))
    return round_to(values, dtype)


class Parameters:
    """The floating parameters and buffers of a layer, in the format of each call.

    Attributes:
        trained: names of the parameters to which gradients are asked, real or complex.
    """

    def __init__(self, library: Framework, module: Any, given: Any = None, *, passed: bool = False) -> None:
        """Copy the values; an object without parameters has none.

        Args:
            library: the library of the arrays.
            module: the module behind the forms, of the user's own class, or None.
            given: a tree of arrays beside those of the module, or None.
            passed: whether forms take the tree as a keyword, instead of closing over its tensors.

        Raises:
            ArgumentError: the tree holds something else than floating arrays, or forms close over jax arrays.
        """
        self._library = library
        self._tensors: dict[str, Native] = {}
        self._spec: Any = None
        self._variation = Variation()
        self._used: tuple[str, Variation] | None = None
        self._tree: dict[str, Native] = {}
        leaves = _named_leaves(given, library)
        if leaves and not passed and library.name == "jax":
            raise ArgumentError("parameters", "a tree that no form takes", "forms with a keyword parameters")
        self.trained: tuple[str, ...] = ()
        for kind in ("parameters", "buffers"):
            for name, tensor in getattr(module, f"named_{kind}", _nothing)():
                if tensor.is_floating_point() or tensor.is_complex():
                    self._tensors[name] = tensor
                    if tensor.requires_grad:
                        self.trained += (name,)
        held = {id(tensor) for tensor in self._tensors.values()}
        if passed:
            self._spec = flatten(given, library.name)[1]
            self._tree = dict(leaves)
        else:
            self._tensors |= {name: leaf for name, leaf in leaves.items() if id(leaf) not in held}
        self.trained += tuple(name for name, leaf in leaves.items() if passed or id(leaf) not in held)
        for leaf in leaves.values():
            if not passed and not leaf.requires_grad:
                leaf.requires_grad_()
        self._original = {n: _wide(v) for n, v in {**self._tensors, **self._tree}.items()}

    @property
    def held(self) -> dict[str, Native]:
        """The trained tensors that live in the target, as they are in use."""
        return {name: self._tensors[name] for name in self.trained if name in self._tensors}

    @property
    def values(self) -> dict[str, NumericArray]:
        """The original values of the trained parameters, in float64 or complex128."""
        return {name: self._original[name].copy() for name in self.trained}

    @property
    def everything(self) -> dict[str, NumericArray]:
        """The original values of all floating parameters and buffers."""
        return {name: values.copy() for name, values in self._original.items()}

    def take(self, values: Mapping[str, NumericArray]) -> None:
        """Take other values, by name, as the original ones."""
        self._original |= {
            name: np.array(v).reshape(self._original[name].shape) for name, v in values.items()
        }
        self._used = None

    @contextmanager
    def _varied(self, **changes: Any) -> Iterator[None]:
        before, self._variation = self._variation, replace(self._variation, **changes)
        try:
            yield
        finally:
            self._variation = before

    @contextmanager
    def nudged(self, seed: int, unit: float | None = None) -> Iterator[None]:
        """Move every parameter by one unit in the last place, up or down at random, inside the block.

        Rounding the products with a parameter has the same effect (backward error).

        Args:
            seed: seeds the signs.
            unit: half the relative size of the move; default that of the format of each call.
        """
        with self._varied(seed=seed, unit=unit):
            yield

    @contextmanager
    def rounded(self, dtype: str) -> Iterator[None]:
        """Use the values that the parameters have in a format, in whatever format calls are made."""
        with self._varied(rounded=dtype):
            yield

    @contextmanager
    def shifted(self, directions: Mapping[str, FloatArray], step: float) -> Iterator[None]:
        """Add step times a direction to each of the named parameters."""
        with self._varied(directions=directions, step=step):
            yield

    def _value(self, name: str, rng: np.random.Generator, dtype: str) -> NumericArray:
        # Arithmetic of arrays without axes returns scalars.
        return np.asarray(self._variation.of(self._original[name], name, rng, FORMATS[dtype].unit))

    def use(self, dtype: str) -> None:
        """Convert every floating parameter and buffer; complex ones keep their imaginary parts."""
        if self._used == (dtype, self._variation) or not self._tensors:
            return
        import torch

        rng = np.random.default_rng(self._variation.seed)
        for name, tensor in self._tensors.items():
            values = torch.from_numpy(self._value(name, rng, dtype))
            tensor.data = values.to(tensor.device, _native_dtype(torch, values, dtype), copy=True)
            tensor.grad = None
        self._used = (dtype, self._variation)

    def leaves(self, dtype: str) -> dict[str, Native]:
        """Return fresh arrays of the parameters that forms take, by name."""
        if not self._tree:
            return {}
        rng = np.random.default_rng(self._variation.seed)
        return {name: self._library.array(self._value(name, rng, dtype), dtype) for name in self._tree}

    def tree(self, leaves: Mapping[str, Native]) -> Native:
        """Return the tree that forms take, with these leaves; None where they take none."""
        if not self._tree:
            return None
        return rebuild([leaves[name] for name in self._tree], self._spec, self._library.name)


def _native_dtype(torch: Any, values: Native, dtype: str) -> Any:
    if values.is_complex():
        return torch.complex128 if dtype == "float64" else torch.complex64
    return getattr(torch, dtype)


def _nothing() -> tuple[()]:
    return ()


def _wide(tensor: Native) -> NumericArray:
    values = to_numpy(tensor)
    return np.array(values, dtype=np.complex128 if np.iscomplexobj(values) else np.float64)


def _named_leaves(tree: Any, library: Framework) -> dict[str, Native]:
    """Return the arrays of a tree by name: the keys of a mapping, else their places."""
    if tree is None:
        return {}
    leaves, _ = flatten(tree, library.name)
    flat = isinstance(tree, Mapping) and len(tree) == len(leaves) and all(map(is_array, tree.values()))
    # Both libraries flatten a mapping in an order of their own.
    names = (
        [_name_of(tree, leaf) for leaf in leaves] if flat else [f"parameter {i}" for i in range(len(leaves))]
    )
    found = dict(zip(names, leaves, strict=True))
    for name, leaf in found.items():
        if not is_array(leaf) or to_numpy(leaf).dtype.kind not in "fc":
            raise ArgumentError("parameters", f"{name} of type {type(leaf).__name__}", "floating arrays")
    return found


def _name_of(tree: Mapping[Any, Native], leaf: Native) -> str:
    return next(str(name) for name, value in tree.items() if value is leaf)
