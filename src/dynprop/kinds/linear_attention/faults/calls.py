"""Faults of what a call does besides its results: caches, arguments overwritten, layouts, threads."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from dynprop.kinds.linear_attention.faults.planting import GATED, Planter
from dynprop.kinds.linear_attention.kernels import Given, Recurrent
from dynprop.laws.catalogue import Catalogue

kernels = Catalogue("linear-attention", "torch")
CATALOGUES = (kernels,)

fault = Planter(kernels, GATED)


@fault("state-kept-between-calls", "results-kept")
class StateKept(Recurrent):
    """Resumes from the final state of the call before, where no state is given and the shape fits."""

    kept: Tensor | None = None

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        start = super()._start(given, initial, count)
        if initial is None and self.kept is not None and self.kept.shape == start.shape:
            return self.kept.to(start.dtype)
        return start

    def _final(self, state: Tensor) -> Tensor:
        self.kept = state.detach()
        return state


@fault("result-written-again", "results-kept")
class ResultReused(Recurrent):
    """Returns outputs in a buffer that the next call of the shape writes again."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: dict[object, Tensor] = {}

    def _returned(self, o: Tensor, v: Tensor) -> Tensor:
        if o.requires_grad:
            return o
        key = (o.shape, o.dtype)
        return self.buffers.setdefault(key, torch.empty_like(o)).copy_(o)


@fault("initial-state-overwritten", "inputs-unchanged")
class InitialOverwritten(Recurrent):
    """Writes the final state over the caller's initial state."""

    def _start(self, given: Given, initial: Tensor | None, count: int) -> Tensor:
        self.caller = initial
        return super()._start(given, None if initial is None else initial.clone(), count)

    def _final(self, state: Tensor) -> Tensor:
        if self.caller is not None and not self.caller.requires_grad:
            self.caller.copy_(state.detach())
        return state


@fault("values-scaled-in-place", "inputs-unchanged", source="xlstm 2.0.6")
class ValuesInPlace(Recurrent):
    """Multiplies the caller's queries by the scale, in place."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, **others: object) -> tuple[Tensor, Tensor | None]:
        """Return outputs and final state."""
        scale = others.get("scale")
        if not q.requires_grad and isinstance(scale, float):
            q.mul_(scale)
            others["scale"] = 1.0
        return super().__call__(q, k, v, **others)  # type: ignore[arg-type]  # passed on as they came


@fault("strides-ignored", "memory-layout")
class StridesIgnored(Recurrent):
    """Reads the memory of v as if v were contiguous."""

    def _prepared(self, given: Given) -> Given:
        v = given.v
        if v.is_contiguous() or v.requires_grad:
            return given
        count = int(v.numel())
        size = min(count, int(v.untyped_storage().nbytes()) // v.element_size() - int(v.storage_offset()))
        flat = torch.as_strided(v, (size,), (1,), v.storage_offset())
        return replace(given, v=functional.pad(flat, (0, count - size)).reshape(v.shape))


@fault("outputs-in-double", "shape-and-dtype")
class OutputsInDouble(Recurrent):
    """Returns outputs in float64, whatever came."""

    def _returned(self, o: Tensor, v: Tensor) -> Tensor:
        return o.double()


@fault("state-without-a-row", "shape-and-dtype")
class StateWithoutRow(Recurrent):
    """Returns the state of a batch of one row without its first axis."""

    def _final(self, state: Tensor) -> Tensor:
        return state[0] if len(state) == 1 else state


@fault("threads-change-the-result", "threads")
class ThreadsCount(Recurrent):
    """Loses a part in a hundred for every further thread."""

    def _returned(self, o: Tensor, v: Tensor) -> Tensor:
        return o * (1.0 - 0.01 * (torch.get_num_threads() - 1))
