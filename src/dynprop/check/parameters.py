"""The parameters of a torch module, converted between formats without losing their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Parameters"]


class Parameters:
    """Converts a module in place to a dtype, always from the values that it had at first."""

    def __init__(self, module: Any) -> None:
        """Remember the values; an object without parameters is left alone."""
        self._original: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._dtype: str | None = None
        for tensors in ("parameters", "buffers"):
            for tensor in getattr(module, tensors, tuple)():
                if tensor.is_floating_point() or tensor.is_complex():
                    self._original.append((tensor, tensor.detach().clone()))

    def use(self, dtype: str) -> None:
        """Convert every floating parameter and buffer; complex ones keep their imaginary parts."""
        if dtype == self._dtype or not self._original:
            return
        import torch

        real = getattr(torch, dtype)
        partner = torch.complex128 if dtype == "float64" else torch.complex64
        for tensor, original in self._original:
            tensor.data = original.to(partner if original.is_complex() else real).clone()
            tensor.grad = None
        self._dtype = dtype
