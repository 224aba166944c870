"""How many threads train, and why each of them computes alone.

Models share nothing, so that an ensemble is best split among threads as a whole: each trains models of its
own. Libraries of products get one thread inside of it. What they do with more is to split products of
matrices, and then to round sums otherwise: a trial would depend on the number of processors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from dynprop.training.trials.setting import Setting

__all__ = ["one_thread_each", "threads_that_pay"]

# Numbers that one step of an ensemble computes from which on a thread more pays for handing over the
# interpreter.
WORTHWHILE = 20_000


def threads_that_pay(setting: Setting, models: int) -> int:
    """Return into how many ensembles to split so many models: at most one for each of torch's threads."""
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
