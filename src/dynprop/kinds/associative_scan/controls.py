"""Controls of kind associative-scan: correct implementations without shared code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Elements = tuple[Array, ...]
Combine = Callable[[Elements, Elements], Elements]

associative: Catalogue = Catalogue("associative-scan", "numpy")
CATALOGUES = (associative,)


@associative.control("control/associative-loop")
def associative_loop(combine: Combine, elements: Elements) -> Elements:
    """One element after the other, without a time axis in the calls of combine."""
    prefixes: list[Elements] = []
    for t in range(len(elements[0])):
        current = tuple(part[t] for part in elements)
        prefixes.append(combine(prefixes[-1], current) if prefixes else current)
    if not prefixes:
        return elements
    return tuple(np.stack(parts) for parts in zip(*prefixes, strict=True))


@associative.control("control/associative-doubling")
def associative_doubling(combine: Combine, elements: Elements) -> Elements:
    """Doubling of the distance over which elements are combined (Hillis and Steele)."""
    prefixes, distance = elements, 1
    while distance < len(elements[0]):
        combined = combine(
            tuple(part[:-distance] for part in prefixes),
            tuple(part[distance:] for part in prefixes),
        )
        heads = tuple(part[:distance] for part in prefixes)
        prefixes = tuple(np.concatenate(parts) for parts in zip(heads, combined, strict=True))
        distance *= 2
    return prefixes


@associative.control("control/associative-sweeps")
def associative_sweeps(combine: Combine, elements: Elements) -> Elements:
    """An up-sweep and a down-sweep over strides (Brent and Kung), in place on copies."""
    work = tuple(part.copy() for part in elements)
    length = len(work[0])

    def update(targets: npt.NDArray[np.intp], distance: int) -> None:
        earlier = tuple(part[targets - distance] for part in work)
        later = tuple(part[targets] for part in work)
        for part, value in zip(work, combine(earlier, later), strict=True):
            part[targets] = value

    stride = 1
    while stride < length:
        update(np.arange(2 * stride - 1, length, 2 * stride), stride)
        stride *= 2
    while stride > 1:
        stride //= 2
        update(np.arange(3 * stride - 1, length, 2 * stride), stride)
    return work


@associative.control("control/associative-blocks")
def associative_blocks(combine: Combine, elements: Elements) -> Elements:
    """Blocks of 8, all scanned at once step by step, then joined by broadcast carries."""
    length = len(elements[0])
    pieces: list[Elements] = []
    for begin in range(0, length, 8):
        block = [tuple(part[begin : begin + 1] for part in elements)]
        for t in range(begin + 1, min(begin + 8, length)):
            block.append(combine(block[-1], tuple(part[t : t + 1] for part in elements)))
        joined = tuple(np.concatenate(parts) for parts in zip(*block, strict=True))
        if pieces:
            joined = combine(tuple(part[-1] for part in pieces[-1]), joined)
        pieces.append(joined)
    if not pieces:
        return elements
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))
