"""The gradient of a power to h(0): W^t g, one product of t matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dynprop.contracts.subject import Native
from dynprop.kinds.power.cases import PowerCase
from dynprop.kinds.power.judging import judge_state
from dynprop.kinds.power.subject import PowerSubject
from dynprop.laws.evidence import Evidence

__all__ = ["adjoint_of"]

Loss = Callable[[Callable[..., Native], Mapping[str, Native], int], Native]


def adjoint_of(subject: PowerSubject, case: PowerCase, loss: Loss) -> Evidence:
    """Compare the gradient to h(0) of a weighted result with W^t times the weights.

    Libraries disagree about the conjugate in gradients of complex data; a complex case is therefore
    replaced by its real part. The bound is that of the transposed power: backward passes of products are
    products.
    """
    if case.is_complex:
        case = replace(case, W=np.ascontiguousarray(case.W.real), h=np.ascontiguousarray(case.h.real))
    weights = case.vector(case.generator())
    arrays = {"W": case.W, "h": case.h, "weights": weights}
    gradient = subject.gradients(lambda f, leaves: loss(f, leaves, case.t), arrays, case.dtype, ("h",))["h"]
    transposed = replace(case, W=np.ascontiguousarray(case.W.T), h=weights)
    return Evidence((judge_state(transposed, gradient, "gradient to h(0)"),))
