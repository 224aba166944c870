"""Building a layer from a class or function: one seeded call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dynprop.arrays import describe
from dynprop.errors import TargetError
from dynprop.subjects.calls import TargetRaisedError, guard
from dynprop.subjects.frameworks import Framework

__all__ = ["build", "is_module"]


def is_module(value: object) -> bool:
    """Whether an object is a torch module, or looks like one."""
    return hasattr(value, "parameters") and hasattr(value, "eval") and not inspect.isclass(value)


def build(
    builder: Any,
    sizes: Mapping[str, int],
    usual: Mapping[str, int],
    seed: int,
    library: Framework,
    accepts: Callable[[Any], bool],
) -> Any:
    """Call a class or function once, seeded.

    Args:
        builder: the user's class or function, which may return any object.
        sizes: keyword arguments that the caller asks for, none of which is dropped.
        usual: further keyword arguments, which are left out where they do not fit.
        seed: seeds the library's global random numbers before the call.
        library: the library whose random numbers the builder draws.
        accepts: whether what was built is a layer.

    Raises:
        TargetError: the builder cannot be called, raises, or returns no layer.
    """
    if not callable(builder):
        raise TargetError(
            f"{describe(builder)} is not a layer: kind layer takes a torch module, a class or function that "
            "builds one, or a dynprop.check.Layer"
        )
    for keywords in _calls(builder, sizes, usual):
        call = _call_text(builder, keywords)
        library.seed(seed)
        try:
            built = guard(builder)(**keywords)
        except TargetRaisedError as error:
            if len(keywords) > len(sizes) and isinstance(error.cause, TypeError):
                continue
            raise TargetError(
                f"kind layer builds its target by {call} (--sizes changes that), which raised {error}; "
                "a plain function forward(x, state) is given as dynprop.check.Layer(forward=...)"
            ) from error
        break
    if not accepts(built):
        raise TargetError(
            f"{call} returned {describe(built)}, expected a torch module or a dynprop.check.Layer"
        )
    return built


def _calls(
    builder: Callable[..., Any], sizes: Mapping[str, int], usual: Mapping[str, int]
) -> Iterator[Mapping[str, int]]:
    """Yield the keyword arguments to try; TargetError if the signature takes none that has the sizes."""
    fitting = [keywords for keywords in ({**usual, **sizes}, sizes) if _may_take(builder, keywords)]
    if sizes and not fitting:
        given = ",".join(f"{name}={value}" for name, value in sizes.items())
        label = getattr(builder, "__qualname__", repr(builder))
        raise TargetError(
            f"--sizes {given} does not fit {label}{inspect.signature(builder)}: give the sizes that it takes"
        )
    yield from fitting or [{}]


def _may_take(builder: Callable[..., Any], keywords: Mapping[str, int]) -> bool:
    """Whether a signature takes these keywords, or cannot be read."""
    try:
        inspect.signature(builder).bind(**keywords)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _call_text(builder: Callable[..., Any], keywords: Mapping[str, int]) -> str:
    label = getattr(builder, "__qualname__", repr(builder))
    return f"{label}({', '.join(f'{name}={value}' for name, value in keywords.items())})"
