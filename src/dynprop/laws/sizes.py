"""Lengths and sizes at which kernels change their path, by coarse class; plans of several kinds share them.

Lengths are 0, 1, 2, 3, block sizes from 16 to 2,048 with their neighbours, and 3 * 2^k + 1.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FEW_LENGTHS", "FEW_SIZES", "LENGTHS", "SIZES", "size_class", "up_to"]

Sizes = Mapping[str, tuple[int, ...]]

_BLOCKS = (16, 32, 64, 128, 256, 512, 1024, 2048)
_AROUND = tuple(
    sorted({*(b + d for b in _BLOCKS for d in (-1, 0, 1)), *(3 * 2**k + 1 for k in range(1, 10))})
)
LENGTHS: Sizes = {
    "0": (0,),
    "1": (1,),
    "2 to 12": (2, 3, 4, 5, 6, 7, 8, 9, 12),
    "13 to 129": tuple(n for n in _AROUND if 13 <= n <= 129),
    "193 to 1025": tuple(n for n in _AROUND if 129 < n <= 1025),
    "1537 to 2049": tuple(n for n in _AROUND if n > 1025),
}
SIZES: Sizes = {"1": (1,), "2 to 5": (2, 3, 4, 5), "8 to 65": (8, 17, 33, 65)}
# For libraries that compile every new shape.
FEW_LENGTHS: Sizes = {"0": (0,), "1": (1,), "2 to 12": (3,), "13 to 129": (33,)}
FEW_SIZES: Sizes = {"2 to 5": (2,), "8 to 65": (17,)}


def up_to(longest: int, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the sizes up to a largest one, without the classes that have none left.

    Example:
        >>> up_to(3, LENGTHS)
        {'0': (0,), '1': (1,), '2 to 12': (2, 3)}
    """
    within = {name: tuple(n for n in values if n <= longest) for name, values in sizes.items()}
    return {name: values for name, values in within.items() if values}


def size_class(size: int, sizes: Sizes) -> str:
    """Return the class of any size; one between two classes belongs to the larger one.

    Example:
        >>> size_class(10, LENGTHS), size_class(150, LENGTHS), size_class(5000, LENGTHS)
        ('2 to 12', '193 to 1025', '1537 to 2049')
    """
    return next((name for name, values in sizes.items() if size <= values[-1]), list(sizes)[-1])
