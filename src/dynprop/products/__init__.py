"""A fresh weight at every step, or one shared by all: laws of products, scales that work (C4, C5)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynprop.products.gains import HorizonGain, NormWalk, critical_gain, horizon_gain
    from dynprop.products.gains_walks import NormWalks, norm_walks
    from dynprop.products.laws import ProductLaw, product_law
    from dynprop.products.laws_shared import SharedProductLaw, shared_product_law
    from dynprop.products.matrices import (
        LyapunovExponents,
        gaussian_exponent_spread,
        gaussian_exponents,
        lyapunov_exponents,
    )
    from dynprop.products.matrices_layers import NormLaw, layer_norm_law
    from dynprop.products.meanfield import Edge, MeanField, edge_of_chaos, mean_field
    from dynprop.products.meanfield_activations import Activation
    from dynprop.products.plots import plot_phase, plot_product, plot_walk
    from dynprop.products.scalar import running_log_products, step_variance, zero_drift_variance

__all__ = [
    "Activation",
    "Edge",
    "HorizonGain",
    "LyapunovExponents",
    "MeanField",
    "NormLaw",
    "NormWalk",
    "NormWalks",
    "ProductLaw",
    "SharedProductLaw",
    "critical_gain",
    "edge_of_chaos",
    "gaussian_exponent_spread",
    "gaussian_exponents",
    "horizon_gain",
    "layer_norm_law",
    "lyapunov_exponents",
    "mean_field",
    "norm_walks",
    "plot_phase",
    "plot_product",
    "plot_walk",
    "product_law",
    "running_log_products",
    "shared_product_law",
    "step_variance",
    "zero_drift_variance",
]

_HOMES = {
    "Activation": "meanfield_activations",
    "Edge": "meanfield",
    "HorizonGain": "gains",
    "LyapunovExponents": "matrices",
    "MeanField": "meanfield",
    "NormLaw": "matrices_layers",
    "NormWalk": "gains",
    "NormWalks": "gains_walks",
    "ProductLaw": "laws",
    "SharedProductLaw": "laws_shared",
    "critical_gain": "gains",
    "edge_of_chaos": "meanfield",
    "gaussian_exponent_spread": "matrices",
    "gaussian_exponents": "matrices",
    "horizon_gain": "gains",
    "layer_norm_law": "matrices_layers",
    "lyapunov_exponents": "matrices",
    "mean_field": "meanfield",
    "norm_walks": "gains_walks",
    "plot_phase": "plots",
    "plot_product": "plots",
    "plot_walk": "plots",
    "product_law": "laws",
    "running_log_products": "scalar",
    "shared_product_law": "laws_shared",
    "step_variance": "scalar",
    "zero_drift_variance": "scalar",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dynprop.products' has no attribute {name!r}")
    return getattr(import_module(f"dynprop.products.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
