"""Memory that the C library keeps between calls.

numpy allocates every temporary array anew. glibc returns freed memory at the top of the heap to the system
when it exceeds a threshold, so that each of a few dozen temporaries is mapped, page by page, again: up to a
third of the time of a spectral route at n = 256. The threshold is twice the size of the largest block that
was ever mapped on its own and freed (mallopt(3), M_MMAP_THRESHOLD), at most 32 MiB. Other C libraries ignore
this.
"""

from __future__ import annotations

import numpy as np

__all__ = ["keep_memory"]

# The largest block that glibc counts, with its header.
_LARGEST = 2**25 - 2**12


def keep_memory(size: int) -> None:
    """Let later allocations of arrays reuse freed memory of up to twice this many bytes.

    A block of the size is reserved and freed, without being touched: some microseconds and no memory.
    """
    np.empty(min(size, _LARGEST), dtype=np.uint8)
