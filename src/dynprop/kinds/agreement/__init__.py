"""Functions of dynprop's rooms: what they say in many ways must be one thing.

The subject is a namespace with some of the functions of these rooms, by default one of the modules, so
that a wrong version of one function can stand in its place. No function is the reference of another: two
that disagree by more than both may err are a failure of one of them.
"""

from __future__ import annotations

from dynprop.kinds.options import DEVICE, FRAMEWORK, MAX_LENGTH
from dynprop.kinds.record import Kind

__all__ = ["KIND"]

KIND = Kind(
    name="agreement",
    callable="a module with functions as those of `dynprop.linear`, `products`, `gradients` and `training`",
    arguments_text="what they say must be one thing",
    adapter="dynprop.kinds.agreement.target:Agreement",
    laws=(
        "dynprop.kinds.agreement.forms",
        "dynprop.kinds.agreement.norms",
        "dynprop.kinds.agreement.spectra",
        "dynprop.kinds.agreement.weights",
        "dynprop.kinds.agreement.layers",
        "dynprop.kinds.agreement.walks",
        "dynprop.kinds.agreement.activations",
        "dynprop.kinds.agreement.lags",
        "dynprop.kinds.agreement.reach",
        "dynprop.kinds.agreement.sources",
        "dynprop.kinds.agreement.maps",
        "dynprop.kinds.agreement.success",
    ),
    faults=(
        "dynprop.kinds.agreement.faults.linear",
        "dynprop.kinds.agreement.faults.products",
        "dynprop.kinds.agreement.faults.training",
        "dynprop.kinds.agreement.faults.gradients",
    ),
    controls=(
        "dynprop.kinds.agreement.controls_products",
        "dynprop.kinds.agreement.controls",
        "dynprop.kinds.agreement.controls_training",
        "dynprop.kinds.agreement.controls_gradients",
    ),
    options=(FRAMEWORK, DEVICE, MAX_LENGTH),
    framework="torch",
    setup="dynprop.kinds.agreement.show:setup",
)
