"""Faults of kind agreement: `dynprop.gradients` with one wrong function, mostly of gradients by lag."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from dynprop import gradients, linear, products
from dynprop.gradients.lags.chain import Matrices, product_norms
from dynprop.gradients.models.parts import parts_of
from dynprop.laws.catalogue import Catalogue

Array = npt.NDArray[Any]
Function = Callable[..., Any]

faults = Catalogue("agreement", "numpy")
CATALOGUES = (faults,)

BESIDE = {
    "growth": linear.growth,
    "lyapunov_exponents": products.lyapunov_exponents,
    "mean_field": products.mean_field,
}
OFFERED = (
    "gradient_by_lag",
    "memory_by_lag",
    "weight_gradient_by_lag",
    "signal_to_noise_by_lag",
    "lyapunov_spectrum",
    "latch",
    "vanishing_condition",
    "clip_by_norm",
    "clip_by_value",
    "cliff",
)
TRUE = gradients.gradient_by_lag


def planted(
    slug: str, replaces: str, *, caught_by: Mapping[str, str], gross: bool = True, source: str = "dynprop"
) -> Callable[[Function], Function]:
    """Plant the decorated function in the place of one of `dynprop.gradients`."""

    def plant(wrong: Function) -> Function:
        def build() -> object:
            names = {name: getattr(gradients, name) for name in dir(gradients) if name in OFFERED}
            return SimpleNamespace(**{**names, **BESIDE, replaces: wrong})

        build.__doc__ = wrong.__doc__
        faults.fault(f"agreement/{slug}", fresh=True, gross=gross, source=source, caught_by=caught_by)(build)
        return wrong

    return plant


def _of_matrices(model: Any, inputs: Any, change: Callable[[Array], Array]) -> Any:
    """Return the profile of a model whose Jacobians, (sequences, time, n, n), are changed."""
    true = TRUE(model, inputs)
    chain = parts_of(model, inputs)[-1].chain
    steps = int(chain.lengths.max())
    logs = np.full_like(true.log_norms, np.nan)
    for row, length in enumerate(chain.lengths):
        times = np.arange(1, int(length) + 1)
        matrices = chain.block(np.full_like(times, row), times).jacobians()
        found = product_norms(Matrices(change(matrices)[None]), steps, singular=True).spectral
        assert found is not None
        logs[row, : found.shape[1]] = found[0]
    return replace(true, log_norms=logs)


# Gradients by lag


@planted("one-jacobian-for-all", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def one_jacobian_for_all(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Takes the Jacobian of the last step for those of all."""
    return _of_matrices(model, inputs, lambda j: np.repeat(j[-1:], len(j), axis=0))


@planted("jacobians-transposed-one-by-one", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def jacobians_transposed(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Multiplies the transposed Jacobians in the order of the others: norms of single steps are right."""
    return _of_matrices(model, inputs, lambda j: np.swapaxes(j, 1, 2).copy())


@planted("product-from-the-wrong-end", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def product_from_the_wrong_end(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Begins with the first step: the gradient of the first states, not of the last."""
    return _of_matrices(model, inputs, lambda j: j[::-1].copy())


@planted(
    "linearised-at-rest",
    "gradient_by_lag",
    caught_by={"profile-of-layers": "wrong", "mean-field-of-nets": "wrong"},
)
def linearised_at_rest(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Takes the slopes that units have without inputs, 1 for tanh: the factor 1 - h² is missing."""
    import torch

    if isinstance(inputs, torch.nn.utils.rnn.PackedSequence):
        return TRUE(model, inputs._replace(data=torch.zeros_like(inputs.data)), **options)
    return TRUE(model, torch.zeros_like(inputs), **options)


@planted("cell-state-ignored", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def cell_state_ignored(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Takes h for the whole state, as if c did not carry the gradient."""
    visible = parts_of(model, inputs)[-1].visible
    found = _of_matrices(model, inputs, lambda j: j[:, visible, visible].copy())
    return found


@planted("layers-by-themselves", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def layers_by_themselves(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Gives the last layer of a stack: no path climbs from layer to layer."""
    true = TRUE(model, inputs)
    return replace(true.members[-1], name="") if true.members else true


@planted("lags-from-one", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def lags_from_one(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Says at lag k what belongs to lag k + 1."""
    true = TRUE(model, inputs, **options)
    return replace(true, log_norms=np.concatenate([true.log_norms[:, 1:], true.log_norms[:, -1:]], axis=1))


@planted("padding-counted", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def padding_counted(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Takes the padded steps of a short sequence for steps of it."""
    import torch

    if isinstance(inputs, torch.nn.utils.rnn.PackedSequence):
        inputs, _ = torch.nn.utils.rnn.pad_packed_sequence(inputs)
    return TRUE(model, inputs, **options)


@planted("one-sequence-for-all", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def one_sequence_for_all(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Gives every sequence the profile of the longest."""
    true = TRUE(model, inputs, **options)
    row = int(np.argmax(true.lengths))
    return replace(true, log_norms=np.repeat(true.log_norms[row : row + 1], len(true.log_norms), axis=0))


@planted("logarithm-of-what-floats-hold", "gradient_by_lag", caught_by={"profile-of-a-linear-net": "wrong"})
def logarithm_of_what_floats_hold(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Multiplies in floats and takes the logarithm of what is left: nothing below 1e-308."""
    true = TRUE(model, inputs, **options)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        return replace(true, log_norms=np.log(np.exp(true.log_norms)))


@planted("frobenius-for-the-norm", "gradient_by_lag", caught_by={"profile-of-layers": "wrong"})
def frobenius_for_the_norm(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Gives the Frobenius norm, which is as large as √n times the 2-norm."""
    true = TRUE(model, inputs, **options)
    return replace(true, log_norms=true.log_frobenius)


@planted("one-probe-many-times", "gradient_by_lag", caught_by={"probes": "wrong"})
def one_probe_many_times(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Seeds all probes alike: the error over √n is that of one."""
    if "probes" not in options:
        return TRUE(model, inputs, **options)
    many = options["probes"]
    found = TRUE(model, inputs, probes=2, seed=options.get("seed", 0))
    return replace(found, log_errors=found.log_errors * math.sqrt(2.0 / many))


@planted("error-over-n", "gradient_by_lag", caught_by={"probes": "wrong"})
def error_over_n(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Divides the spread of n probes by n, not by √n."""
    found = TRUE(model, inputs, **options)
    return replace(found, log_errors=found.log_errors / math.sqrt(max(1, options.get("probes", 1))))


# Conditions


@planted("radius-for-the-norm", "vanishing_condition", caught_by={"contraction": "wrong"})
def radius_for_the_norm(w: Array, activation: str = "tanh") -> Any:
    """Asks for eigenvalues below 1/γ, which a matrix far from normal has while its products grow."""
    found = gradients.vanishing_condition(w, activation)
    radius = float(np.abs(np.linalg.eigvals(w)).max())
    return replace(found, largest=radius, vanishes=radius < found.limit)


@planted("limit-of-one-for-all", "vanishing_condition", caught_by={"contraction": "wrong"})
def limit_of_one_for_all(w: Array, activation: str = "tanh") -> Any:
    """Takes the slope of a logistic unit for 1: its condition is met up to 4."""
    return gradients.vanishing_condition(w, "tanh")


@planted("limit-with-a-margin", "vanishing_condition", caught_by={"contraction": "wrong"}, gross=False)
def limit_with_a_margin(w: Array, activation: str = "tanh") -> Any:
    """Certifies what exceeds the limit by less than a millionth."""
    return gradients.vanishing_condition(np.asarray(w) * (1.0 - 1e-6), activation)


# Memory


@planted("memory-of-the-state", "memory_by_lag", caught_by={"memory-of-layers": "wrong"})
def memory_of_the_state(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Gives what a change of the state does, without the weights by which an input enters it."""
    true = gradients.memory_by_lag(model, inputs, **options)
    return replace(true, log_norms=TRUE(model, inputs).log_norms[:, :-1])


@planted("memory-one-step-late", "memory_by_lag", caught_by={"memory-of-layers": "wrong"})
def memory_one_step_late(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Says at lag k what belongs to lag k - 1."""
    true = gradients.memory_by_lag(model, inputs, **options)
    return replace(true, log_norms=np.concatenate([true.log_norms[:, :1], true.log_norms[:, :-1]], axis=1))


# Weight gradients


@planted("lags-from-the-end", "weight_gradient_by_lag", caught_by={"weight-gradient-by-lag": "wrong"})
def lags_from_the_end(model: Any, inputs: Any, loss: Any, *rest: Any) -> Any:
    """Counts the lag from the end of the sequence, not from the output that is read: times for lags."""
    import torch

    from dynprop.gradients.shares import contributions

    true = gradients.weight_gradient_by_lag(model, inputs, loss)
    steps = len(inputs)
    rows = np.zeros((steps, sum(g.size for g in true.gradients.values())))

    def read_at(last: int) -> Callable[[Any], Any]:
        """Return the loss as a function of one output."""
        return lambda outputs: loss(
            torch.stack([out if t == last else out.detach() for t, out in enumerate(outputs[0])])
        )

    for at in range(steps):
        try:
            parts = [part.numpy() for part in contributions(model, inputs, read_at(at))[2]]
        except ValueError:
            continue  # the loss does not read this output
        for lag, part in enumerate(parts[: at + 1]):
            rows[steps - 1 - at + lag] += part
    with np.errstate(divide="ignore"):
        return replace(true, log_norms=np.log(np.linalg.norm(rows, axis=1)))


@planted("shares-of-norms", "weight_gradient_by_lag", caught_by={"weight-gradient-by-lag": "wrong"})
def shares_of_norms(model: Any, inputs: Any, loss: Any, *rest: Any) -> Any:
    """Takes norms for shares, as if contributions never cancelled."""
    true = gradients.weight_gradient_by_lag(model, inputs, loss)
    sizes = np.exp(true.log_norms)
    return replace(true, shares=sizes / sizes.sum())


@planted("last-lag-left-out", "weight_gradient_by_lag", caught_by={"weight-gradient-by-lag": "wrong"})
def last_lag_left_out(model: Any, inputs: Any, loss: Any, *rest: Any) -> Any:
    """Truncates before the first step: the gradients that it adds up miss one."""
    true = gradients.weight_gradient_by_lag(model, inputs, loss)
    left = 1.0 - math.exp(true.log_norms[-1] - float(np.max(true.log_norms)))
    return replace(true, gradients={name: left * value for name, value in true.gradients.items()})


# Signal


@planted("signal-with-its-bias", "signal_to_noise_by_lag", caught_by={"signal-of-lags": "wrong"})
def signal_with_its_bias(model: Any, batches: Any, loss: Any, *rest: Any, **options: Any) -> Any:
    """Squares the mean over batches: the noise of K batches counts as signal by 1/K."""
    true = gradients.signal_to_noise_by_lag(model, batches, loss, **options)
    return replace(true, signal=true.signal + true.spread / true.batches)


@planted("noise-of-the-lag", "signal_to_noise_by_lag", caught_by={"signal-of-lags": "wrong"})
def noise_of_the_lag(model: Any, batches: Any, loss: Any, *rest: Any, **options: Any) -> Any:
    """Compares a lag with its own fluctuation: it hides behind that of the short ones."""
    true = gradients.signal_to_noise_by_lag(model, batches, loss, **options)
    return replace(true, noise=float(true.spread[-1]))


@planted("noise-of-the-mean", "signal_to_noise_by_lag", caught_by={"signal-of-lags": "wrong"})
def noise_of_the_mean(model: Any, batches: Any, loss: Any, *rest: Any, **options: Any) -> Any:
    """Gives the variance of the mean over batches for that of one."""
    true = gradients.signal_to_noise_by_lag(model, batches, loss, **options)
    return replace(true, noise=true.noise / true.batches)


# Exponents


@planted("exponents-to-base-two", "lyapunov_spectrum", caught_by={"exponents-of-maps": "wrong"})
def exponents_to_base_two(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Returns bits per step."""
    true = gradients.lyapunov_spectrum(model, inputs, **options)
    return replace(true, exponents=true.exponents / math.log(2.0))


@planted("exponents-of-the-mean-jacobian", "lyapunov_spectrum", caught_by={"exponents-of-maps": "wrong"})
def exponents_of_the_mean_jacobian(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Takes the singular values of the average Jacobian: right for linear maps of normal matrices."""
    true = gradients.lyapunov_spectrum(model, inputs, **options)
    chain, first = parts_of(model, inputs)[-1].chain, options.get("skip", 0) + 1
    times = np.arange(first, int(chain.lengths[0]) + 1)
    mean = chain.block(np.zeros_like(times), times).jacobians().mean(axis=0)
    with np.errstate(divide="ignore"):
        return replace(true, exponents=np.log(np.linalg.svd(mean, compute_uv=False))[None])


@planted("singular-values-per-step", "lyapunov_spectrum", caught_by={"exponents-of-a-linear-net": "wrong"})
def singular_values_per_step(model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
    """Averages the logarithms of each step's singular values: the sum is right, the frame is not followed."""
    true = gradients.lyapunov_spectrum(model, inputs, **options)
    chain, first = parts_of(model, inputs)[-1].chain, options.get("skip", 0) + 1
    times = np.arange(first, int(chain.lengths[0]) + 1)
    matrices = chain.block(np.zeros_like(times), times).jacobians()
    with np.errstate(divide="ignore"):
        return replace(true, exponents=np.log(np.linalg.svd(matrices, compute_uv=False)).mean(axis=0)[None])


# Latches


@planted("slope-without-the-weight", "latch", caught_by={"latch-trade-off": "wrong"})
def slope_without_the_weight(w: float, disturbance: float = 0.0) -> Any:
    """Takes 1 - x² for the slope of the map: that of the unit alone."""
    found = gradients.latch(w, disturbance)
    return replace(found, slope=1.0 - found.attractor**2)


@planted("unstable-point-for-the-attractor", "latch", caught_by={"latch-trade-off": "wrong"})
def unstable_point_for_the_attractor(w: float, disturbance: float = 0.0) -> Any:
    """Gives the point where the slope is 1, at which the attractor vanishes."""
    found = gradients.latch(w, disturbance)
    return replace(found, attractor=math.sqrt(1.0 - 1.0 / w) if w > 1.0 else 0.0)


@planted("input-up-to-the-attractor", "latch", caught_by={"latch-trade-off": "wrong"})
def input_up_to_the_attractor(w: float, disturbance: float = 0.0) -> Any:
    """Takes w x* - artanh x*, which is zero, for w c - artanh c; here: without the second term."""
    found = gradients.latch(w, disturbance)
    return replace(found, critical_input=math.sqrt(w * (w - 1.0)) if w > 1.0 else 0.0)


@planted("latch-forgets-its-inputs", "latch", caught_by={"latch-trade-off": "wrong"})
def latch_forgets_its_inputs(w: float, disturbance: float = 0.0) -> Any:
    """Gives the state without inputs for the lowest one under inputs."""
    return replace(gradients.latch(w), disturbance=disturbance)


# Clipping


@planted("each-array-by-its-own-norm", "clip_by_norm", caught_by={"clipping": "wrong"})
def each_array_by_its_own_norm(arrays: Any, threshold: float) -> Any:
    """Clips array by array: the direction turns towards the small ones."""
    return tuple(gradients.clip_by_norm(each, threshold) for each in arrays)


@planted("always-to-the-threshold", "clip_by_norm", caught_by={"clipping": "wrong"})
def always_to_the_threshold(arrays: Any, threshold: float) -> Any:
    """Normalises small gradients too: a step never gets smaller at a minimum."""
    norm = math.sqrt(sum(float(((each / threshold) ** 2).sum()) for each in arrays))
    return tuple(each / norm for each in arrays)


@planted("squares-that-overflow", "clip_by_norm", caught_by={"clipping": "wrong"}, gross=False)
def squares_that_overflow(arrays: Any, threshold: float) -> Any:
    """Squares entries as they are: above 1e154 the norm is infinite and the gradient zero."""
    with np.errstate(over="ignore", under="ignore"):
        norm = math.sqrt(sum(float((each * each).sum()) for each in arrays))
    factor = min(1.0, threshold / norm) if norm > 0.0 else 1.0
    return tuple(each * factor for each in arrays)


@planted("values-cut-on-one-side", "clip_by_value", caught_by={"clipping": "wrong"})
def values_cut_on_one_side(arrays: Any, threshold: float) -> Any:
    """Cuts what is above the threshold and forgets what is below its negative."""
    return tuple(np.minimum(each, threshold) for each in arrays)


# The cliff


@planted("path-through-the-state-left-out", "cliff", caught_by={"cliff": "wrong"})
def path_through_the_state_left_out(w: Any, b: Any, steps: int = 50) -> Any:
    """Differentiates the last step alone: no path leads through earlier states, and there is no wall."""
    found = gradients.cliff(w, b, steps)
    before = gradients.cliff(w, b, steps - 1, target=0.0)
    x = np.sqrt(before.loss)
    value = 1.0 / (1.0 + np.exp(-(np.asarray(w) * x + np.asarray(b))))
    slope = 2.0 * (value - 0.7) * value * (1.0 - value)
    return replace(found, by_weight=slope * x, by_bias=slope)
