"""A function of arrays under test: one adapter, which a kind completes by a signature.

The signature names the arguments and results, and gives the expected shape of each result. Everything else is
the same for every kind: conversion from numpy, the call, checks of the results, detection of modified
arguments, other memory layouts, gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from dynprop.arrays import (
    FloatArray,
    NumericArray,
    dtype_name,
    is_array,
    to_numpy,
)
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Arguments, ArrayType, Call, Native, Program, Returned
from dynprop.subjects.adapter import FunctionAdapter, result_text
from dynprop.subjects.calls import TargetMismatchError, TargetRaisedError, attributable

__all__ = ["ArrayFunction", "Result", "Signature", "any_numbers", "real_numbers"]

V = TypeVar("V")

PLAIN = Call()


def real_numbers(values: NumericArray) -> FloatArray:
    """Return real values as float64.

    Raises:
        TargetMismatchError: the values are complex, or no numbers.
    """
    if np.iscomplexobj(values):
        raise TargetMismatchError("returned complex numbers for real arguments")
    return np.asarray(any_numbers(values))


def any_numbers(values: NumericArray) -> NumericArray:
    """Return real values as float64, complex values as complex128.

    Raises:
        TargetMismatchError: the values are no numbers, such as objects that have no ``__float__``.
    """
    try:
        return np.asarray(values, dtype=np.complex128 if np.iscomplexobj(values) else np.float64)
    except attributable() as error:
        raise TargetMismatchError(f"returned an array of dtype {values.dtype}, expected numbers") from error


@dataclass(frozen=True)
class Result(Generic[V]):
    """One array that a function returns.

    Attributes:
        name: name in reports.
        shape: (arguments) -> shape; the arguments are those of the call, arrays of any library.
        words: that shape in words, such as "the shape of the inputs".
        read: (numpy array) -> the numbers that laws compare; raises TargetMismatchError for others.
        dtype: the dtype of the result; "" for that of the first argument.
    """

    name: str
    shape: Callable[..., tuple[int, ...]]
    words: str
    read: Callable[[NumericArray], V]
    dtype: str = ""


@dataclass(frozen=True)
class Signature(Generic[V]):
    """How the functions of a kind are called.

    Attributes:
        call: the call as code, such as "f(weights) -> products".
        arguments: names of the arguments, in order; the first is an array.
        results: one array, or several in a tuple.
        example: (domain) -> arguments of an ordinary call.
        keywords: arguments that are passed by name, and left out where they are None.
    """

    call: str
    arguments: tuple[str, ...]
    results: tuple[Result[V], ...]
    example: Callable[[Domain], Arguments]
    keywords: frozenset[str] = frozenset()

    def bound(self, arguments: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional arguments and the keywords of a call."""
        named = dict(zip(self.arguments, arguments, strict=False))
        positional = [value for name, value in named.items() if name not in self.keywords]
        keywords = {k: v for k, v in named.items() if k in self.keywords and v is not None}
        return positional, keywords

    def unpacked(self, result: Any) -> tuple[Any, ...]:
        """Return every result of a call.

        Raises:
            TargetMismatchError: several results are expected and the target returned something else.
        """
        count = len(self.results)
        if count == 1:
            return (result,)
        if not isinstance(result, tuple | list) or len(result) != count:
            names = ", ".join(r.name for r in self.results)
            raise TargetMismatchError(f"returned {result_text(result)}, expected a tuple of {count}: {names}")
        return tuple(result)


class ArrayFunction(FunctionAdapter, Generic[V]):
    """A function of arrays under test; subclasses are dataclasses that declare fields and a signature."""

    kind: str

    @property
    def signature(self) -> Signature[V]:
        """Arguments and expected results of the target."""
        raise NotImplementedError

    def preflight(self) -> None:
        """Call the target once on an ordinary case.

        Raises:
            TargetError: the target cannot be called as its kind demands, in one line.
        """
        signature, dtype = self.signature, (*self.domain.dtypes, *self.domain.integers)[0]
        example = signature.example(self.domain)
        if not self.domain.dtypes:
            example = [np.ones(v.shape, dtype) if isinstance(v, np.ndarray) else v for v in example]
        natives = self._natives(example, dtype)
        call_text = ", ".join(
            f"{name} {dtype_name(value)} {tuple(value.shape)}" if is_array(value) else str(value)
            for name, value in zip(signature.arguments, natives, strict=True)
        )
        names = ", ".join(self.result_names)
        expected = f"one array ({names})" if len(self.result_names) == 1 else f"a tuple of arrays ({names})"
        demand = f"kind {self.kind} takes {signature.call}; called with {call_text} ({self.framework})"
        self._require_callable(demand, *signature.bound(natives), dtype, expected)

    @property
    def result_names(self) -> tuple[str, ...]:
        """The word for each result, in order."""
        return tuple(result.name for result in self.signature.results)

    def values(self, arguments: Arguments, dtype: str, call: Call = PLAIN) -> V:
        """Call the target on fresh arrays and return the numbers of its only result."""
        if call == PLAIN:
            (value,) = self.results(arguments, dtype)
            return value
        named = dict(zip(self.signature.arguments, arguments, strict=True))
        natives = [
            self._laid_out(name, v, dtype, call.layout) if isinstance(v, np.ndarray) else v
            for name, v in named.items()
        ]
        for name, native in zip(named, natives, strict=True):
            if name in call.wants and is_array(native):
                self.library.require_gradient(native)
        with self.library.gradient_mode(call.mode):
            if call.before == "an error":
                self._call_that_raises(natives, dtype)
            elif call.before:
                reversed_arguments = [
                    v[:, ::-1] if isinstance(v, np.ndarray) and v.ndim > 2 else v for v in arguments
                ]
                self._returned(self._natives(reversed_arguments, dtype), dtype)
            results = self._returned(natives, dtype)
        (value,) = self._read(results, natives)
        return value

    def unrounded(self, arguments: Arguments, dtype: str) -> NumericArray:
        """Call the target on fresh arrays and return its only result in its own dtype, integers too."""
        natives = self._natives(arguments, dtype)
        results = self._returned(natives, dtype)
        self._require_shapes(results, natives)
        (result,) = results
        return to_numpy(result)

    def _call_that_raises(self, natives: Sequence[Any], dtype: str) -> None:
        """Call the target without its second argument; what it raises or returns does not count."""
        with suppress(TargetRaisedError, TargetMismatchError):
            self._returned([natives[0], None, *natives[2:]], dtype)

    def results(self, arguments: Arguments, dtype: str) -> tuple[V, ...]:
        """Call the target on fresh arrays and return the numbers of every result."""
        natives = self._natives(arguments, dtype)
        return self._read(self._returned(natives, dtype), natives)

    def returned(self, arguments: Arguments, dtype: str) -> Returned[V]:
        """Call the target; return shape, dtype and device of each result, and a later reader of them."""
        natives = self._natives(arguments, dtype)
        results = self._returned(natives, dtype)
        types = tuple(ArrayType(tuple(r.shape), dtype_name(r), self.library.device_of(r)) for r in results)
        return Returned(types, lambda: self._read(results, natives))

    def expected(self, arguments: Arguments, dtype: str) -> tuple[ArrayType, ...]:
        """Return the shape, dtype and device that each result should have."""
        natives = self._natives(arguments, dtype)
        usual, device = dtype_name(natives[0]), self.library.device_of(natives[0])
        return tuple(
            ArrayType(tuple(result.shape(*natives)), result.dtype or usual, device)
            for result in self.signature.results
        )

    def layouts(self, arguments: Arguments, dtype: str) -> Iterator[tuple[str, tuple[V, ...]]]:
        """Yield the results for arguments of every memory layout, by the layout's name."""
        natives = self._natives(arguments, dtype)
        variants = [dict(self._variants(value, dtype)) for value in arguments[1:]]
        for layout, first_argument in self._variants(arguments[0], dtype):
            other_arguments = [v.get(layout, native) for v, native in zip(variants, natives[1:], strict=True)]
            yield layout, self._read(self._returned([first_argument, *other_arguments], dtype), natives)

    def changed_arguments(self, arguments: Arguments, dtype: str) -> str | None:
        """Call the target; return which argument it modified, values or metadata, in a sentence, or None."""
        natives = self._natives(arguments, dtype)
        named = zip(self.signature.arguments, natives, strict=True)
        watched = [(name, value) for name, value in named if is_array(value)]
        change = self._change(watched, lambda: self._returned(natives, dtype))
        return change.sentence if change else None

    def with_threads(self, count: int, arguments: Arguments, dtype: str) -> tuple[V, ...]:
        """Return the results computed with this number of threads."""
        with self.library.threads(count):
            return self.results(arguments, dtype)

    def gradients(
        self,
        program: Program,
        arrays: Mapping[str, NumericArray],
        dtype: str,
        wrt: Sequence[str],
        layout: str = "contiguous",
    ) -> dict[str, FloatArray]:
        """Return the gradients of a scalar program of the target with respect to named arrays."""

        def call(*arguments: Any) -> Native:
            positional, keywords = self.signature.bound(arguments)
            result = self._call(*positional, **keywords)
            self._require_shapes(self.signature.unpacked(result), arguments)
            return result

        return self._differentiated(program, call, arrays, dtype, wrt, layout)

    def _natives(self, arguments: Arguments, dtype: str) -> list[Any]:
        """Return fresh arrays of the library; other arguments are passed unchanged."""
        return [self.library.array(v, dtype) if isinstance(v, np.ndarray) else v for v in arguments]

    def _variants(self, value: object, dtype: str) -> Iterator[tuple[str, Native]]:
        """Yield an argument in every memory layout; a vector gets that of one column of a matrix."""
        if not isinstance(value, np.ndarray) or value.ndim == 0:
            return
        if value.ndim > 1:
            yield from self.library.layouts(self.library.array(value, dtype))
        else:
            columns = self.library.array(np.stack([value, value[::-1]], axis=1), dtype)
            for name, matrix in self.library.layouts(columns):
                yield name, matrix[:, 0]

    def _returned(self, natives: Sequence[Any], dtype: str) -> tuple[Native, ...]:
        positional, keywords = self.signature.bound(natives)
        with self.library.setting(dtype):
            result = self._call(*positional, **keywords)
        results = self.signature.unpacked(result)
        for part in results:
            self._require_library(part)
        return results

    def _read(self, results: Sequence[Native], arguments: Sequence[Any]) -> tuple[V, ...]:
        self._require_shapes(results, arguments)
        declared = self.signature.results
        return tuple(r.read(to_numpy(native)) for r, native in zip(declared, results, strict=True))

    def _require_shapes(self, results: Sequence[Native], arguments: Sequence[Any]) -> None:
        """Raise TargetMismatchError if a result does not have the shape expected for these arguments."""
        for declared, result in zip(self.signature.results, results, strict=True):
            expected = tuple(declared.shape(*arguments))
            if tuple(getattr(result, "shape", ())) != expected:
                raise TargetMismatchError(
                    f"returned {result_text(result)}, expected {declared.words}, {expected}"
                )

    def _arrays_of(self, result: Any) -> tuple[Any, ...]:
        try:
            return self.signature.unpacked(result)
        except TargetMismatchError:
            return (result,)
