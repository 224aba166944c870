"""The parameters of a torch module, converted between formats without losing their values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dynprop.contracts.formats import FORMATS

if TYPE_CHECKING:
    import torch

__all__ = ["Parameters"]


class Parameters:
    """Converts a module in place to a dtype, always from its original values."""

    def __init__(self, module: Any) -> None:
        """Copy the values; an object without parameters has none."""
        self._original: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._used: tuple[str, int | None] | None = None
        self._seed: int | None = None
        for tensors in ("parameters", "buffers"):
            for tensor in getattr(module, tensors, tuple)():
                if tensor.is_floating_point() or tensor.is_complex():
                    self._original.append((tensor, tensor.detach().clone()))

    @contextmanager
    def nudged(self, seed: int) -> Iterator[None]:
        """Move every parameter by one unit in the last place, up or down at random, inside the block.

        Rounding the products with a parameter has the same effect (backward error).
        """
        before, self._seed = self._seed, seed
        try:
            yield
        finally:
            self._seed = before

    def use(self, dtype: str) -> None:
        """Convert every floating parameter and buffer; complex ones keep their imaginary parts."""
        if self._used == (dtype, self._seed) or not self._original:
            return
        import torch

        real = getattr(torch, dtype)
        partner = torch.complex128 if dtype == "float64" else torch.complex64
        rng = np.random.default_rng(self._seed)
        for tensor, original in self._original:
            values = original
            if self._seed is not None:
                wide = original.to(torch.complex128 if original.is_complex() else torch.float64)
                signs = torch.from_numpy(rng.choice([-1.0, 1.0], tuple(original.shape))).to(wide.device)
                values = wide * (1.0 + 2.0 * FORMATS[dtype].unit * signs)
            tensor.data = values.to(partner if original.is_complex() else real).clone()
            tensor.grad = None
        self._used = (dtype, self._seed)
