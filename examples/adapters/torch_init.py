"""Initialisers of torch 2.13.0 (framework torch): f(shape, rng), shape (fan_out, fan_in).

``kaiming_normal`` promises variance=2/fan_in and law normal, ``xavier_uniform`` variance=2/(fan_in + fan_out)
and law uniform. Expected: pass.
``sparse`` draws the places of its zeros with ``torch.randperm(rows)``, without the generator that it is
given. Expected: wrong (deterministic).
"""

import torch
from torch.nn import init


def kaiming_normal(shape, rng):
    """Kind initializer."""
    return init.kaiming_normal_(torch.empty(shape), generator=rng)


def xavier_uniform(shape, rng):
    """Kind initializer."""
    return init.xavier_uniform_(torch.empty(shape), generator=rng)


def orthogonal(shape, rng):
    """Kind initializer."""
    return init.orthogonal_(torch.empty(shape), generator=rng)


def sparse(shape, rng):
    """Kind initializer."""
    return init.sparse_(torch.empty(shape), 0.5, generator=rng)
