"""Every elementwise activation of torch.nn at its critical gain, simulated forward and backward.

    make activations

prints the table of docs/products.md: width 300, depth 50, four nets, seed 0, about 40 s on one core.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from dynprop.errors import PrecisionError
from dynprop.products import critical_gain, edge_of_chaos, norm_walks

__all__ = ["ACTIVATIONS", "HEAD", "row"]

WIDTH, DEPTH, NETS = 300, 50, 4
BIAS = 1.0
ACTIVATIONS: dict[str, nn.Module] = {
    "CELU": nn.CELU(),
    "ELU": nn.ELU(),
    "GELU": nn.GELU(),
    "GELU tanh": nn.GELU(approximate="tanh"),
    "Hardshrink": nn.Hardshrink(),
    "Hardsigmoid": nn.Hardsigmoid(),
    "Hardswish": nn.Hardswish(),
    "Hardtanh": nn.Hardtanh(),
    "Identity": nn.Identity(),
    "LeakyReLU": nn.LeakyReLU(),
    "LogSigmoid": nn.LogSigmoid(),
    "Mish": nn.Mish(),
    "PReLU": nn.PReLU(),
    "ReLU": nn.ReLU(),
    "ReLU6": nn.ReLU6(),
    "RReLU": nn.RReLU(),
    "SELU": nn.SELU(),
    "SiLU": nn.SiLU(),
    "Sigmoid": nn.Sigmoid(),
    "Softplus": nn.Softplus(),
    "Softshrink": nn.Softshrink(),
    "Softsign": nn.Softsign(),
    "Tanh": nn.Tanh(),
    "Tanhshrink": nn.Tanhshrink(),
    "Threshold(0.1, 20)": nn.Threshold(0.1, 20.0),
}
HEAD = (
    f"| activation | gain g | q | log norm of the signal after {DEPTH} layers | of the gradient "
    f"| edge with bias variance {BIAS:g} |\n|---|---|---|---|---|---|"
)


def row(name: str) -> str:
    """One row: the critical gain without bias, its q, both walks, and the edge with bias."""
    module = ACTIVATIONS[name]
    try:
        edge = edge_of_chaos(module, BIAS)
        biased = f"σ_w² = {edge.weight_variance:.4f}, q = {edge.q:.4g}"
    except PrecisionError:
        biased = "refused"
    try:
        gain, q = critical_gain(WIDTH, module), edge_of_chaos(module, 0.0).q
    except PrecisionError as error:
        reason = "repels" if "repels" in str(error) else "χ is never 1"
        return f"| {name} | refused: {reason} | | | | {biased} |"
    walks = norm_walks(WIDTH, DEPTH, module, gain, "fresh", NETS, seed=0)
    ends = (walks.forward[:, -1], walks.backward[:, 0])
    shown = " | ".join(f"{np.mean(end):+.1f} ± {np.std(end, ddof=1):.1f}" for end in ends)
    return f"| {name} | {gain:.4f} | {q:.4g} | {shown} | {biased} |"


if __name__ == "__main__":
    print(HEAD)
    for activation in ACTIVATIONS:
        print(row(activation), flush=True)
