"""The running product: f(weights) -> W_t ... W_1 at every t, elementwise or of matrices."""

from __future__ import annotations

from dynprop.kinds.options import ARITHMETIC, DEVICE, DTYPES, FRAMEWORK, GATES, MAX_LENGTH
from dynprop.kinds.record import Kind, Option

__all__ = ["KIND"]

KIND = Kind(
    name="product",
    callable="f(weights) -> products",
    arguments_text="one shape, time first: entry t is the product of the first t + 1 weights; with "
    "`--matrix` products W_t ⋯ W_1 of matrices `(time, n, n)`",
    adapter="dynprop.kinds.product.target:Product",
    laws=(
        "dynprop.kinds.product.forward",
        "dynprop.kinds.product.invariance",
        "dynprop.kinds.product.gradient",
        "dynprop.kinds.product.integers",
        "dynprop.kinds.product.hygiene",
    ),
    faults=("dynprop.kinds.product.faults", "dynprop.kinds.product.regime_faults"),
    controls=("dynprop.kinds.product.controls",),
    options=(
        FRAMEWORK,
        DEVICE,
        GATES,
        DTYPES,
        MAX_LENGTH,
        ARITHMETIC,
        Option("matrix", "Products are those of matrices, W_t ... W_1.", type=bool),
    ),
    arguments=("weights",),
    promise="dynprop.kinds.product.show:promise",
    setup="dynprop.kinds.product.show:setup",
)
