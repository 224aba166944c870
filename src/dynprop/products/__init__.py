"""A fresh weight at every step, or one shared by all: laws of products, scales that work (C4, C5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynprop.lazy import loaded_when_used

if TYPE_CHECKING:
    from dynprop.products.gains import HorizonGain, NormWalk, critical_gain, horizon_gain
    from dynprop.products.gains_walks import NormWalks, norm_walks
    from dynprop.products.initializers import (
        ChronoGates,
        LruRing,
        chrono_gates,
        identity,
        lru_ring,
        orthogonal,
        spectral_radius,
        sussillo_abbott,
        variance_scaled,
    )
    from dynprop.products.initializers_calibrate import calibrate_
    from dynprop.products.initializers_torch import (
        chrono_gates_,
        chrono_lstm_,
        identity_,
        lru_ring_,
        orthogonal_,
        spectral_radius_,
        sussillo_abbott_,
        variance_scaled_,
    )
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
    "ChronoGates",
    "Edge",
    "HorizonGain",
    "LruRing",
    "LyapunovExponents",
    "MeanField",
    "NormLaw",
    "NormWalk",
    "NormWalks",
    "ProductLaw",
    "SharedProductLaw",
    "calibrate_",
    "chrono_gates",
    "chrono_gates_",
    "chrono_lstm_",
    "critical_gain",
    "edge_of_chaos",
    "gaussian_exponent_spread",
    "gaussian_exponents",
    "horizon_gain",
    "identity",
    "identity_",
    "layer_norm_law",
    "lru_ring",
    "lru_ring_",
    "lyapunov_exponents",
    "mean_field",
    "norm_walks",
    "orthogonal",
    "orthogonal_",
    "plot_phase",
    "plot_product",
    "plot_walk",
    "product_law",
    "running_log_products",
    "shared_product_law",
    "spectral_radius",
    "spectral_radius_",
    "step_variance",
    "sussillo_abbott",
    "sussillo_abbott_",
    "variance_scaled",
    "variance_scaled_",
    "zero_drift_variance",
]

_HOMES = {
    "Activation": "meanfield_activations",
    "ChronoGates": "initializers",
    "Edge": "meanfield",
    "HorizonGain": "gains",
    "LruRing": "initializers",
    "LyapunovExponents": "matrices",
    "MeanField": "meanfield",
    "NormLaw": "matrices_layers",
    "NormWalk": "gains",
    "NormWalks": "gains_walks",
    "ProductLaw": "laws",
    "SharedProductLaw": "laws_shared",
    "calibrate_": "initializers_calibrate",
    "chrono_gates": "initializers",
    "chrono_gates_": "initializers_torch",
    "chrono_lstm_": "initializers_torch",
    "critical_gain": "gains",
    "edge_of_chaos": "meanfield",
    "gaussian_exponent_spread": "matrices",
    "gaussian_exponents": "matrices",
    "horizon_gain": "gains",
    "identity": "initializers",
    "identity_": "initializers_torch",
    "layer_norm_law": "matrices_layers",
    "lru_ring": "initializers",
    "lru_ring_": "initializers_torch",
    "lyapunov_exponents": "matrices",
    "mean_field": "meanfield",
    "norm_walks": "gains_walks",
    "orthogonal": "initializers",
    "orthogonal_": "initializers_torch",
    "plot_phase": "plots",
    "plot_product": "plots",
    "plot_walk": "plots",
    "product_law": "laws",
    "running_log_products": "scalar",
    "shared_product_law": "laws_shared",
    "spectral_radius": "initializers",
    "spectral_radius_": "initializers_torch",
    "step_variance": "scalar",
    "sussillo_abbott": "initializers",
    "sussillo_abbott_": "initializers_torch",
    "variance_scaled": "initializers",
    "variance_scaled_": "initializers_torch",
    "zero_drift_variance": "scalar",
}

__getattr__, __dir__ = loaded_when_used(
    __name__, {name: f"dynprop.products.{home}" for name, home in _HOMES.items()}, __all__
)
