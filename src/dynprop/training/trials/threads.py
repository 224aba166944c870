"""Number of training threads; each trains an ensemble of its own with single-threaded libraries.

Models share nothing, so that each thread trains some of the models of an ensemble. BLAS gets one thread: with
more it splits matrix products and sums in another order, so that results would depend on the core count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from dynprop.training.trials.setting import Setting

__all__ = ["one_thread_each", "threads_that_pay"]

# Least numbers per step of an ensemble and thread for which another thread saves time in spite of switching.
WORTHWHILE = 20_000


def threads_that_pay(setting: Setting, models: int) -> int:
    """Return the number of ensembles to split the models into, at most the number of torch's threads."""
    numbers = models * setting.batch * setting.hidden
    return max(1, min(torch.get_num_threads(), numbers // WORTHWHILE))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let the libraries under numpy and torch use one thread inside the context."""
    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
