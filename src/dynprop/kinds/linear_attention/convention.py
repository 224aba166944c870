"""What a kernel of matrix-valued states computes, and the form in which it takes its arguments.

For one row and one head, with d_t = exp(log decay), a vector over K or a scalar::

    add     S_t = d_t S_{t-1} + beta_t k_t v_t^T
    delta   S' = d_t S_{t-1};  u = beta_t (v_t - S'^T k_t);  S_t = S' + k_t u^T
    dplr    S_t = d_t S_{t-1} + b_t (S_{t-1}^T a_t)^T + k_t v_t^T
    o_t = scale S_t^T q_t

With order decay-after the decay follows the write: S_t = d_t (S_{t-1} + ...). With read before, o_t reads
S_{t-1}, and a bonus adds scale (q_t . (bonus k_t)) v_t (RWKV-6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray, IntArray
from dynprop.contracts.formats import FORMATS
from dynprop.errors import ArgumentError

__all__ = ["CHOICES", "LEAVES", "Convention", "Places", "format_inside"]

CHOICES = {
    "update": ("add", "delta", "dplr"),
    "decay": ("none", "constant", "scalar", "channel"),
    "decay_space": ("log", "log2", "linear"),
    "order": ("decay-first", "decay-after"),
    "read": ("after", "before"),
    "scale": ("argument", "1/sqrt(K)", "none"),
    "layout": ("bthd", "bhtd", "thd"),
    "state_layout": ("kv", "vk"),
    "groups": ("none", "interleave", "tile"),
    "inside": ("input", "float32"),
}

# Arguments to which gradients are judged, in the order of the call.
LEAVES = ("q", "k", "v", "log_decay", "beta", "a", "b", "bonus", "initial_state")
# Leaves without a time axis.
TIMELESS = ("bonus", "initial_state")


@dataclass(frozen=True)
class Places:
    """Steps of the judged recurrence (decay, write, read) at which each step of a kernel stands.

    Attributes:
        read, write, decay: index of each step's read, write and decay.
        steps: number of steps of the judged recurrence.
    """

    read: IntArray
    write: IntArray
    decay: IntArray
    steps: int

    def of(self, name: str) -> IntArray:
        """Return the places of an argument or result with a time axis."""
        if name in ("q", "o"):
            return self.read
        return self.decay if name == "log_decay" else self.write


@dataclass(frozen=True)
class Convention:
    """The declared properties of a kernel; values of the fields that are words are in ``CHOICES``.

    Attributes:
        update, decay, decay_space, order, read, scale: what it computes.
        layout: axes of arguments with a time axis: b batch, t time, h head, d component.
        state_layout: "kv" for states (sequence, head, K, V), "vk" for (sequence, head, V, K).
        groups: how value heads share key heads: "none", head j uses key head j // n ("interleave") or
            j % (number of key heads) ("tile").
        normalises: the kernel divides q and k by sqrt(sum of squares + this number); None if it does not.
        multiple_of: the number of steps is a multiple of it.
        max_log_decay: largest sum of abs(log decay) over chunk_size steps; None for no limit.
        chunk_size: steps in a chunk; None if not declared.
        keys, values: the only K and V that it takes; None for any.
        inside: "float32" for a kernel that computes in float32 whatever its arguments are.
        write_strength: whether it takes beta.
        bonus: whether it takes a bonus.
        initial: whether it takes an initial state.

    Raises:
        ArgumentError: a value that a field cannot have, or fields that contradict each other.
    """

    update: str = "add"
    decay: str = "none"
    decay_space: str = "log"
    order: str = "decay-first"
    read: str = "after"
    scale: str = "argument"
    layout: str = "bthd"
    state_layout: str = "kv"
    groups: str = "none"
    normalises: float | None = None
    multiple_of: int = 1
    max_log_decay: float | None = None
    chunk_size: int | None = None
    keys: int | None = None
    values: int | None = None
    inside: str = "input"
    write_strength: bool = False
    bonus: bool = False
    initial: bool = True

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ArgumentError(name, repr(value), f"one of {', '.join(allowed)}")
        whole = {
            "multiple_of": self.multiple_of,
            "chunk_size": self.chunk_size,
            "sizes": self.keys,
            "sizes of values": self.values,
        }
        for name, number in whole.items():
            if number is not None and number < 1:
                raise ArgumentError(name, str(number), "a whole number of at least 1")
        if self.max_log_decay is not None and not self.max_log_decay > 0.0:
            raise ArgumentError("max_log_decay", str(self.max_log_decay), "a number above 0")
        if self.normalises is not None and not 0.0 <= self.normalises < 1.0:
            raise ArgumentError("normalises", str(self.normalises), "the epsilon of the norm, 0 <= eps < 1")
        if self.bonus and self.read != "before":
            raise ArgumentError("bonus", "a bonus with --read after", "--read before: a bonus adds step t")

    @property
    def chunk(self) -> int:
        """Steps over which ``max_log_decay`` counts."""
        return self.chunk_size or 64

    @property
    def takes_decay(self) -> bool:
        """Whether the kernel has a log decay."""
        return self.decay != "none"

    @property
    def neutral_decay(self) -> float:
        """The decay argument that leaves the state as it is."""
        return 1.0 if self.decay_space == "linear" else 0.0

    @property
    def leaves(self) -> tuple[str, ...]:
        """Names of the arguments to which the kernel has gradients."""
        takes = {
            "log_decay": self.takes_decay,
            "beta": self.write_strength,
            "a": self.update == "dplr",
            "b": self.update == "dplr",
            "bonus": self.bonus,
            "initial_state": self.initial,
        }
        return tuple(name for name in LEAVES if takes.get(name, True))

    def places(self, steps: int) -> Places:
        """Return where reads, writes and decays stand in a recurrence of the order decay, write, read.

        A kernel of another order is that recurrence with two steps for each of its own, in which the other
        arguments are zero: operations with zeros round nothing, so references and bounds stay what they are.
        """
        own = np.arange(steps)
        before, late = self.read == "before", self.order == "decay-after"
        if not before and not late:
            return Places(own, own, own, steps)
        if before and not late:
            return Places(2 * own, 2 * own + 1, 2 * own + 1, 2 * steps)
        if late and not before:
            return Places(2 * own + 1, 2 * own, 2 * own + 1, 2 * steps)
        return Places(2 * own, 2 * own + 1, 2 * own + 2, 2 * steps + 1)

    def encode(self, name: str, values: FloatArray) -> FloatArray:
        """Bring an argument, result or cotangent, time second, to the layout of the kernel."""
        if name in ("initial_state", "final_state"):
            return np.ascontiguousarray(values.swapaxes(-1, -2)) if self.state_layout == "vk" else values
        if not self.is_timed(name):
            return values
        if self.layout == "bhtd":
            return np.ascontiguousarray(values.swapaxes(1, 2))
        return values[0] if self.layout == "thd" else values

    def decode(self, name: str, values: FloatArray) -> FloatArray:
        """Bring a result or gradient from the layout of the kernel to (batch, time, head, component)."""
        if name in ("initial_state", "final_state"):
            return values.swapaxes(-1, -2) if self.state_layout == "vk" else values
        if not self.is_timed(name):
            return values
        if self.layout == "bhtd":
            return values.swapaxes(1, 2)
        return values[None] if self.layout == "thd" else values

    def is_timed(self, name: str) -> bool:
        """Whether an argument or result has a time axis."""
        return name not in (*TIMELESS, "final_state") and not (
            name == "log_decay" and self.decay == "constant"
        )

    @property
    def time_axis(self) -> int:
        """The time axis of arguments in the layout of the kernel."""
        return {"bthd": 1, "bhtd": 2, "thd": 0}[self.layout]

    def key_heads(self, heads: int, key_heads: int) -> IntArray:
        """Return the key head of every value head."""
        own = np.arange(heads)
        return own % key_heads if self.groups == "tile" else own // (heads // key_heads)


def format_inside(dtype: str, convention: Convention) -> str:
    """Return the format that a kernel computes in."""
    coarse = FORMATS[dtype].unit > FORMATS["float32"].unit
    return "float32" if convention.inside == "float32" and coarse else dtype
