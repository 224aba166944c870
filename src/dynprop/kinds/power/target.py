"""What adapters of unrolls and closed forms share: calling f(W, h0, t) in any library and looking at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dynprop.arrays import NumericArray, describe, dtype_name
from dynprop.contracts.subject import Native
from dynprop.kinds.power.cases import PowerCase
from dynprop.subjects.adapter import ArrayFunctionAdapter
from dynprop.subjects.calls import TargetMismatchError

__all__ = ["PowerTarget"]


class PowerTarget(ArrayFunctionAdapter):
    """A function of a matrix, a vector and a number of steps, in the arrays of one library.

    Subclasses are dataclasses that declare what the target promises, and say which shape it returns.
    """

    kind: str
    form: str

    def shape(self, n: int, t: int) -> tuple[int, ...]:
        """Return the shape of the result for states of size n and t steps."""
        raise NotImplementedError

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: it cannot be called as its kind demands, in one line.
        """
        dtype, steps = self.domain.dtypes[0], min(3, self.domain.max_length)
        matrix = np.diag([0.5, 1.0]) + np.eye(2, k=1) / 4.0
        natives = self._natives(matrix, np.ones(2), steps, dtype)
        arguments = dict(zip(("W", "h0", "steps"), natives, strict=True))
        self._demand(f"kind {self.kind} takes {self.form}", arguments, dtype, "one array")

    def values(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> NumericArray:
        """Call the target on fresh arrays and return what it returned, as float64 or complex128."""
        arguments = self._natives(w, h, t, dtype)
        return self._checked(self._run(arguments, dtype), arguments)

    def returned(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[Callable[[], NumericArray], tuple[int, ...], str, str]:
        """Call the target; return a later reader of its result, and its shape, dtype and device."""
        return self._returned(self._natives(w, h, t, dtype), dtype)

    def expected_of(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> tuple[tuple[int, ...], str, str]:
        """Return the shape, dtype and device that the result should have."""
        _, start, _ = self._natives(w, h, t, dtype)
        return self.shape(len(h), t), dtype_name(start), self.library.device_of(start)

    def layouts(
        self, w: NumericArray, h: NumericArray, t: int, dtype: str
    ) -> Iterator[tuple[str, NumericArray]]:
        """Yield the results for arguments of every memory layout, by name."""
        # A vector gets the layout of one column of a matrix.
        matrix, columns, _ = self._natives(w, np.stack([h, h[::-1]], axis=1), t, dtype)
        vectors = dict(self.library.layouts(columns))
        for layout, other in self.library.layouts(matrix):
            arguments = (other, vectors[layout][:, 0], t)
            yield layout, self._checked(self._run(arguments, dtype), arguments)

    def changed_arguments(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> str | None:
        """Call the target and say which argument it modified, values or metadata, or None."""
        arguments = self._natives(w, h, t, dtype)
        watched = zip(("W", "h0"), arguments[:2], strict=True)
        change = self._change(watched, lambda: self._run(arguments, dtype))
        return change.told("was") if change else None

    @staticmethod
    def case_from_json(data: dict[str, Any]) -> PowerCase:
        """Build a case of this kind from its JSON form."""
        return PowerCase.from_json(data)

    def _natives(self, w: NumericArray, h: NumericArray, t: int, dtype: str) -> tuple[Native, Native, int]:
        return self.library.array(w, dtype), self.library.array(h, dtype), t

    def _require(self, result: Native, arguments: Sequence[Any]) -> None:
        n, t = int(arguments[1].shape[0]), arguments[2]
        if tuple(getattr(result, "shape", ())) != self.shape(n, t):
            raise TargetMismatchError(
                f"returned {describe(result)}, expected shape {self.shape(n, t)} for n = {n} and {t} steps"
            )
