r"""The gradient of a recurrent model by lag: how much of a loss at the end reaches a state k steps earlier.

.. math:: \frac{\partial s(T)}{\partial s(T-k)} = J_T J_{T-1} \cdots J_{T-k+1}

(Pascanu, Mikolov and Bengio 2013, eq. 5), s the whole state: (h, c) for an LSTM, that of all layers for a
stack. Norms are natural logarithms, so that they neither underflow nor overflow at any length: a gradient of
e^-2000 is reported as -2000, though autograd returns zero for it.

Units: ln of a norm per lag; lag 0 is the unit matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.errors import ArgumentError
from dynprop.gradients.lags.chain import Chain, FirstSequences, probed_norms, product_norms
from dynprop.results import Result

__all__ = ["GradientProfile", "assert_gradient_reach", "gradient_by_lag"]

Norm = Literal["spectral", "frobenius"]

# States above this size are measured by probes unless the caller asks otherwise.
EXACT = 512
PROBES = 16


@dataclass(frozen=True, eq=False, repr=False)
class GradientProfile(Result):
    """Norms of ∂s(T)/∂s(T-k) for k = 0, 1, ..., of each sequence.

    Attributes:
        name: of the recurrent part, or of its layer; empty for the model itself.
        size: numbers in the state s.
        lengths: steps T of each sequence, (sequences,).
        norm: what `log_norms` holds: "spectral", the 2-norm, or "frobenius".
        log_norms: natural logarithm of the norm, (sequences, lags); -inf for an exact zero, NaN at lags
            beyond the start of a sequence.
        log_frobenius: the same of the Frobenius norm.
        log_singular_values: (sequences, lags, size), descending, NaN below the rounding of the largest;
            None for norm "frobenius" and for probes.
        log_errors: standard error of `log_frobenius`, (sequences, lags); zero unless it comes from probes.
        probes: number of random probes; 0 where all is exact up to rounding.
        members: profiles of the layers and directions by themselves.
        parts: profiles of all recurrent parts of the model, this one included.
        remarks: what the reader should know, such as eval mode.
    """

    name: str
    size: int
    lengths: IntArray
    norm: Norm
    log_norms: FloatArray
    log_frobenius: FloatArray
    log_singular_values: FloatArray | None
    log_errors: FloatArray
    probes: int = 0
    members: tuple[GradientProfile, ...] = ()
    parts: tuple[GradientProfile, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def lags(self) -> IntArray:
        """0, 1, ..., shape (lags,)."""
        return np.arange(self.log_norms.shape[1])

    @property
    def median(self) -> FloatArray:
        """Median over sequences of ln of what is left at each lag, norm over norm at lag 0, (lags,)."""
        return median_over_sequences(self.log_norms - self.log_norms[:, :1])

    @property
    def slope(self) -> float:
        """Change of the median of ln norm per lag, by least squares over finite lags; NaN without two.

        e^slope is the factor per step; ln 2 / -slope is the number of steps that halve the gradient.
        """
        values = self.median
        usable = np.isfinite(values)
        if usable.sum() < 2:
            return math.nan
        return float(np.polyfit(self.lags[usable], values[usable], 1)[0])

    @property
    def half_life(self) -> float:
        """Steps over which the gradient halves; infinite where it does not fall."""
        return math.log(2.0) / -self.slope if self.slope < 0.0 else math.inf

    def horizon(self, factor: float) -> int | None:
        """Return the first lag from which on the median stays below a factor; None if there is none.

        Args:
            factor: share of the norm at lag 0, above 0.

        Raises:
            ArgumentError: the factor is not a positive number.
        """
        if not 0.0 < factor < math.inf:
            raise ArgumentError("factor", repr(factor), "a number above 0")
        values = self.median
        above = np.flatnonzero(~(values < math.log(factor)))
        first = int(above[-1]) + 1 if len(above) else 0
        return first if first < len(values) else None

    def part(self, name: str) -> GradientProfile:
        """Return the profile of a part or member by name.

        Raises:
            ArgumentError: there is none.
        """
        known = {each.name: each for each in (*self.parts, *self.members)}
        if name not in known:
            raise ArgumentError("name", repr(name), f"one of {', '.join(map(repr, known)) or 'none'}")
        return known[name]


def median_over_sequences(values: FloatArray) -> FloatArray:
    """Return the median over sequences, ignoring those that are too short."""
    ordered = np.sort(values, axis=0)  # NaN last
    counts = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    columns = np.arange(values.shape[1])
    low, high = ordered[(counts - 1) // 2, columns], ordered[counts // 2, columns]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(low == high, low, 0.5 * (low + high)))


def profile_of(
    name: str, chain: Chain, most: int, norm: Norm, probes: int, seed: int, remarks: tuple[str, ...] = ()
) -> GradientProfile:
    """Return the profile of one chain; probes is 0 for exact norms."""
    if probes:
        found = probed_norms(chain, most, probes, seed)
    else:
        found = product_norms(chain, most, singular=norm == "spectral")
    chosen: Norm = "frobenius" if found.spectral is None else "spectral"
    return GradientProfile(
        name,
        chain.size,
        np.array(chain.lengths),
        chosen,
        found.frobenius if found.spectral is None else found.spectral,
        found.frobenius,
        found.singular,
        found.error,
        probes,
        remarks=remarks,
    )


def require_count(name: str, value: Any, least: int) -> int:
    """Return a whole number of at least this size.

    Raises:
        ArgumentError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(name, repr(value), f"a whole number, {least} or more")
    return int(value)


def gradient_by_lag(
    model: Any,
    inputs: Any,
    module: str | None = None,
    *,
    norm: Norm = "spectral",
    probes: int | None = None,
    most: int | None = None,
    sequences: int | None = None,
    seed: int = 0,
) -> GradientProfile:
    """Return the norms of ∂s(T)/∂s(T-k) of a recurrent model at every lag k.

    torch.nn.RNN, GRU, LSTM and their cells, alone or anywhere in a model, have Jacobians written out; any
    other module that is called (x, state=None) -> (outputs, state) is differentiated step by step, and so is
    a cell (x, state) -> state that the model calls once per step. The model is called once, on a copy in eval
    mode and float64; it and its inputs are not modified.

    Args:
        model: a torch module, or a Step such as `GruStep`. torch.compile and DataParallel are unwrapped.
        inputs: what the model is called with: a tensor or numpy array, a PackedSequence, a tuple of arguments
            or a dict of keywords. A layer and a cell take (time, batch, features), or (batch, time, features)
            with batch_first; a Step takes a numpy array (batch, time, features). Each sequence of a packed
            batch ends at its own last step.
        module: the name of the recurrent part, such as "encoder.rnn"; "" is the model itself. Without it all
            of torch's recurrent layers and cells in the model are profiled, each in `parts`; the result is
            that of the part that is called last.
        norm: "spectral" gives singular values too; "frobenius" takes a tenth of the time.
        probes: number of random probes for an estimate of the Frobenius norm in the memory of a backward
            pass; 0 for exact norms. Default 0 for states of up to 512 numbers, 16 above.
        most: the largest lag; all by default.
        sequences: how many of the batch are profiled, its first ones; all by default.
        seed: of the probes.

    Returns:
        The profile of the whole state; of a stack end to end, with each layer by itself in `members`; of a
        bidirectional layer that of its forward direction, with each direction in `members`.

    Raises:
        ArgumentError: the model holds no recurrent state, is called or returns otherwise, there is no such
            module, or an option is wrong.
        NotFiniteError: a state is NaN or infinite; the message names the step.

    Source: Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063, eq. 5; Hutchinson (1990) for probes.

    Example:
        A linear unit of weight 1/2:

        >>> import numpy as np
        >>> from dynprop.gradients import ElmanStep, gradient_by_lag
        >>> unit = ElmanStep(np.ones((1, 1)), np.array([[0.5]]), np.zeros(1), "linear")
        >>> profile = gradient_by_lag(unit, np.ones((4, 1)))
        >>> np.exp(profile.log_norms)
        array([[1.    , 0.5   , 0.25  , 0.125 , 0.0625]])

        >>> import torch
        >>> torch.manual_seed(0) and None
        >>> profile = gradient_by_lag(torch.nn.LSTM(3, 8), torch.randn(50, 4, 3))
        >>> profile.size, profile.log_norms.shape, profile.horizon(1e-3) < 30
        (16, (4, 51), True)
    """
    if norm not in get_args(Norm):
        raise ArgumentError("norm", repr(norm), f"one of {', '.join(get_args(Norm))}")
    limit = 10**9 if most is None else require_count("most", most, 1)
    if probes is not None and require_count("probes", probes, 0) == 1:
        raise ArgumentError("probes", "1", "0, or 2 and more: one probe has no standard error")
    rows = 10**9 if sequences is None else require_count("sequences", sequences, 1)
    require_count("seed", seed, 0)
    from dynprop.gradients.models.parts import parts_of

    profiles = []
    for part in parts_of(model, inputs, module):

        def measured(name: str, chain: Chain, remarks: tuple[str, ...] = ()) -> GradientProfile:
            count = (PROBES if chain.size > EXACT else 0) if probes is None else probes
            return profile_of(name, FirstSequences(chain, rows), limit, norm, count, seed, remarks)

        members = tuple(measured(name, chain) for name, chain in part.members)
        whole = measured(part.name, part.chain, part.remarks)
        object.__setattr__(whole, "members", members)
        profiles.append(whole)
    last = profiles[-1]
    object.__setattr__(last, "parts", tuple(profiles[:-1]))
    return last


def assert_gradient_reach(
    model: Any,
    inputs: Any,
    *,
    lag: int,
    at_least: float,
    at_most: float = math.inf,
    module: str | None = None,
) -> GradientProfile:
    """Assert that the gradient still has a share of its size at a lag; one line in a test.

    Args:
        model, inputs, module: as for `gradient_by_lag`.
        lag: steps back, at least 1.
        at_least: smallest median over sequences of ‖∂s(T)/∂s(T-lag)‖₂.
        at_most: largest.

    Returns:
        The profile.

    Raises:
        AssertionError: less or more is left; the message has the numbers.
        ArgumentError: the sequences are shorter than the lag, or as for `gradient_by_lag`.
        NotFiniteError: a state is NaN or infinite.

    Example:
        >>> import torch
        >>> from dynprop.gradients import assert_gradient_reach
        >>> torch.manual_seed(0) and None
        >>> rnn = torch.nn.RNN(2, 16)
        >>> torch.nn.init.orthogonal_(rnn.weight_hh_l0) is rnn.weight_hh_l0
        True
        >>> profile = assert_gradient_reach(rnn, 0.1 * torch.randn(30, 4, 2), lag=20, at_least=1e-2)
    """
    require_count("lag", lag, 1)
    for name, value in (("at_least", at_least), ("at_most", at_most)):
        if not (isinstance(value, int | float) and value >= 0.0):
            raise ArgumentError(name, repr(value), "a number, 0 or more")
    profile = gradient_by_lag(model, inputs, module, most=lag)
    left = left_at(profile, lag)
    part = f" of {profile.name}" if profile.name else ""
    assert left >= at_least, (
        f"gradient{part} at lag {lag}: {left:.3g} is left, expected at least {at_least:g}"
    )
    assert left <= at_most, f"gradient{part} at lag {lag}: {left:.3g}, expected at most {at_most:g}"
    return profile


def left_at(profile: GradientProfile, lag: int) -> float:
    """Return the median over sequences of what is left of the gradient at a lag; 0 and inf beyond floats.

    Raises:
        ArgumentError: every sequence is shorter.
    """
    if lag >= len(profile.lags):
        raise ArgumentError(
            "lag", str(lag), f"at most {len(profile.lags) - 1}, the steps of the longest sequence"
        )
    value = float(profile.median[lag])
    return math.exp(value) if value < 709.0 else math.inf
