"""Faults of kind associative-scan in numpy: inclusive prefixes of combine along axis 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Elements = tuple[Array, ...]
Combine = Callable[[Elements, Elements], Elements]
Index = slice | npt.NDArray[np.intp]

scan: Catalogue = Catalogue("associative-scan", "numpy")
CATALOGUES = (scan,)


def take(elements: Elements, index: Index) -> Elements:
    """Return the elements at these times."""
    return tuple(part[index] for part in elements)


def join(*pieces: Elements) -> Elements:
    """Return the pieces one after the other."""
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))


def tree(combine: Combine, elements: Elements) -> Elements:
    """Return the right prefixes, by pairs: what every fault of this file falls back on."""
    length = len(elements[0])
    if length < 2:
        return elements
    pairs = combine(take(elements, slice(0, length - 1, 2)), take(elements, slice(1, None, 2)))
    odd = tree(combine, pairs)
    later = take(elements, slice(2, None, 2))
    between = combine(take(odd, slice(0, len(later[0]))), later)
    even = join(take(elements, slice(0, 1)), between)
    prefixes = tuple(np.empty((length, *part.shape[1:]), part.dtype) for part in odd)
    for prefix, at_even, at_odd in zip(prefixes, even, odd, strict=True):
        prefix[0::2] = at_even
        prefix[1::2] = at_odd
    return prefixes


# Order


@scan.fault(
    "associative-scan/operands-flipped", source="TheHPXProject/hpx#1958", caught_by={"order": "wrong"}
)
def operands_flipped(combine: Combine, elements: Elements) -> Elements:
    """Passes the later operand first; only a combine that does not commute can tell."""
    return tree(lambda earlier, later: combine(later, earlier), elements)


@scan.fault(
    "associative-scan/commutativity-assumed", source="triton-lang/triton#2359", caught_by={"order": "wrong"}
)
def commutativity_assumed(combine: Combine, elements: Elements) -> Elements:
    """Combines all even times before all odd ones."""
    even = tree(combine, take(elements, slice(0, None, 2)))
    odd = tree(combine, take(elements, slice(1, None, 2)))
    time = np.arange(1, len(elements[0]))
    pairs = combine(take(even, time // 2), take(odd, (time - 1) // 2))
    return join(take(elements, slice(0, 1)), pairs)


@scan.fault("associative-scan/suffixes", source="triton-lang/triton#4362", caught_by={"order": "wrong"})
def suffixes(combine: Combine, elements: Elements) -> Elements:
    """Returns the combinations of each element with all later ones."""
    backwards = tree(lambda a, b: combine(b, a), take(elements, slice(None, None, -1)))
    return take(backwards, slice(None, None, -1))


# Tails and ends


@scan.fault("associative-scan/odd-tail-dropped", caught_by={"lengths": "wrong"})
def odd_tail_dropped(combine: Combine, elements: Elements) -> Elements:
    """Leaves the last element of an odd length as it is."""
    even = len(elements[0]) // 2 * 2
    paired = tree(combine, take(elements, slice(0, even)))
    return join(paired, take(elements, slice(even, None)))


@scan.fault(
    "associative-scan/tail-beyond-power-of-two", caught_by={"lengths": "wrong", "split-resume": "wrong"}
)
def tail_beyond_power_of_two(combine: Combine, elements: Elements) -> Elements:
    """Starts afresh behind the largest power of two in the length."""
    power = 1 << (max(len(elements[0]), 1).bit_length() - 1)
    head = tree(combine, take(elements, slice(0, power)))
    tail = tree(combine, take(elements, slice(power, None)))  # head's total is missing
    return join(head, tail)


@scan.fault(
    "associative-scan/last-from-exclusive", source="AccelerateHS/accelerate#348", caught_by={"order": "wrong"}
)
def last_from_exclusive(combine: Combine, elements: Elements) -> Elements:
    """Takes the last prefix from the exclusive scan: the last element is missing."""
    prefixes = tree(combine, elements)
    if len(prefixes[0]) < 2:
        return prefixes
    return join(take(prefixes, slice(0, -1)), take(prefixes, slice(-2, -1)))


# Blocks


def by_blocks(combine: Combine, elements: Elements, carried: Callable[[int], int]) -> Elements:
    """Scan blocks of 16; block k takes its carry from the end of block ``carried(k)``."""
    length = len(elements[0])
    blocks: list[Elements] = []
    for number, begin in enumerate(range(0, length, 16)):
        block = tree(combine, take(elements, slice(begin, begin + 16)))
        if number:
            block = combine(take(blocks[carried(number)], slice(-1, None)), block)
        blocks.append(block)
    return join(*blocks) if blocks else elements


@scan.fault("associative-scan/stale-carry", gross=False, caught_by={"lengths": "wrong"})
def stale_carry(combine: Combine, elements: Elements) -> Elements:
    """Reads the carry of the block before the last: wrong from element 33 on."""
    return by_blocks(combine, elements, lambda number: max(number - 2, 0))  # should be number - 1


@scan.fault(
    "associative-scan/block-carry-flipped",
    source="state-spaces/mamba#716",
    gross=False,
    caught_by={"lengths": "wrong"},
)
def block_carry_flipped(combine: Combine, elements: Elements) -> Elements:
    """Combines each block of 16 with its carry in the wrong order."""
    length = len(elements[0])
    prefixes = tree(combine, take(elements, slice(0, 16)))
    for begin in range(16, length, 16):
        block = tree(combine, take(elements, slice(begin, begin + 16)))
        carry = take(prefixes, slice(-1, None))
        prefixes = join(prefixes, combine(block, carry))  # should be (carry, block)
    return prefixes


@scan.fault("associative-scan/second-level-of-blocks-lost", gross=False, caught_by={"order": "wrong"})
def second_level_of_blocks_lost(combine: Combine, elements: Elements) -> Elements:
    """Scans the totals of blocks of 16 in one block of 64 totals: starts afresh behind 1,024 elements."""
    head = tree(combine, take(elements, slice(0, 1024)))
    return join(head, tree(combine, take(elements, slice(1024, None))))


# Arithmetic and side effects


@scan.fault("associative-scan/integers-through-float", gross=False, caught_by={"order": "wrong"})
def integers_through_float(combine: Combine, elements: Elements) -> Elements:
    """Keeps integers as float32 between the combinations: wrong above 2^24."""

    def through_float(part: Array) -> Array:
        return part.astype(np.float32).astype(part.dtype) if part.dtype.kind in "iu" else part

    def rounded(earlier: Elements, later: Elements) -> Elements:
        return tuple(through_float(part) for part in combine(earlier, later))

    with np.errstate(invalid="ignore"):
        return tree(rounded, elements)


@scan.fault("associative-scan/elements-overwritten", caught_by={"elements-unchanged": "wrong"})
def elements_overwritten(combine: Combine, elements: Elements) -> Elements:
    """Accumulates the prefixes in the caller's elements."""
    for t in range(1, len(elements[0])):
        previous, current = take(elements, slice(t - 1, t)), take(elements, slice(t, t + 1))
        for part, value in zip(elements, combine(previous, current), strict=True):
            part[t : t + 1] = value
    return tuple(part.copy() for part in elements)


# Between calls


@scan.fault(
    "associative-scan/changes-from-call-to-call", gross=False, fresh=True, caught_by={"repeatable": "wrong"}
)
class ChangesFromCallToCall:
    """Keeps a count of its calls, and runs from the other end at every fifth."""

    def __init__(self) -> None:
        self.calls: int = 0

    def __call__(self, combine: Combine, elements: Elements) -> Elements:
        """Run the scan."""
        self.calls += 1
        reverse = self.calls % 5 == 0
        return tree(combine, take(elements, slice(None, None, -1)) if reverse else elements)
