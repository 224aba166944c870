"""Matrix-valued states: linear attention, RetNet, Mamba-2, GLA, RWKV, delta rules, mLSTM."""

from __future__ import annotations

from dynprop.errors import ArgumentError
from dynprop.kinds.options import DEVICE, DTYPES, FRAMEWORK, MAX_LENGTH, parse_list, parse_sizes
from dynprop.kinds.record import Kind, Option

__all__ = ["KIND", "parse_names", "parse_number"]


def parse_names(text: str) -> dict[str, str]:
    """Parse NAME=PARAMETER,...; raises ArgumentError."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(a.strip().isidentifier() and b.strip().isidentifier() for a, _, b in pairs):
        raise ArgumentError("names", repr(text), "NAME=PARAMETER,... such as log_decay=g,initial_state=h0")
    return {name.strip(): parameter.strip() for name, _, parameter in pairs}


def parse_number(text: str) -> float:
    """Parse a number; raises ArgumentError."""
    try:
        return float(text)
    except ValueError as error:
        raise ArgumentError("number", repr(text), "a number such as 1e-6") from error


KIND = Kind(
    name="linear-attention",
    callable="f(q, k, v, log_decay=None, beta=None, ..., initial_state=None, scale=None, cu_seqlens=None) "
    "-> (o, final_state)",
    arguments_text="q, k `(batch, time, key head, K)`; v, o `(batch, time, head, V)`; "
    "log_decay `(batch, time, head[, K])` or `(head,)`; beta `(batch, time, head)`; "
    "a, b `(batch, time, head, K)`; bonus `(head, K)`; "
    "states `(sequence, head, K, V)`; cu_seqlens `(sequence + 1,)`",
    adapter="dynprop.kinds.linear_attention.target:LinearAttention",
    laws=(
        "dynprop.kinds.linear_attention.forward",
        "dynprop.kinds.linear_attention.gradient",
        "dynprop.kinds.linear_attention.invariance",
        "dynprop.kinds.linear_attention.hygiene",
    ),
    faults=(
        "dynprop.kinds.linear_attention.faults.recurrent",
        "dynprop.kinds.linear_attention.faults.chunked",
        "dynprop.kinds.linear_attention.faults.gradients",
        "dynprop.kinds.linear_attention.faults.calls",
        "dynprop.kinds.linear_attention.faults.declared",
    ),
    controls=(
        "dynprop.kinds.linear_attention.controls",
        "dynprop.kinds.linear_attention.controls_declared",
    ),
    options=(
        FRAMEWORK,
        DEVICE,
        DTYPES,
        MAX_LENGTH,
        Option("update", "How a step writes; default by the signature.", "add|delta|dplr"),
        Option("decay", "What decays; default by the signature.", "none|constant|scalar|channel"),
        Option("decay_space", "How the decay is given; default log.", "log|log2|linear"),
        Option("order", "Whether the decay precedes the write; default so.", "decay-first|decay-after"),
        Option("read", "Which state an output reads; default the new one.", "after|before"),
        Option("scale", "Factor of the outputs; default by the signature.", "argument|1/sqrt(K)|none"),
        Option("layout", "Axes of arguments; default bthd.", "bthd|bhtd|thd"),
        Option("state_layout", "Last axes of states; default kv.", "kv|vk"),
        Option("groups", "How value heads share key heads; default none.", "none|interleave|tile"),
        Option("normalises", "It normalises q and k with this epsilon.", "EPS", parse=parse_number),
        Option("multiple_of", "Every length is a multiple of it; default 1.", "N", int),
        Option("max_log_decay", "Largest sum of log decays in a chunk.", "X", parse=parse_number),
        Option("chunk_size", "Steps in a chunk.", "N", int),
        Option("sizes", "The only K and V that it takes.", "NAME=N,...", parse=parse_sizes),
        Option("inside", "Format that it computes in; default that of the input.", "input|float32"),
        Option("overwrites", "Arguments that it may destroy.", "LIST", parse=parse_list),
        Option("names", "Its names of arguments.", "NAME=PARAMETER,...", parse=parse_names),
    ),
    framework="torch",
    promise="dynprop.kinds.linear_attention.show:promise",
)
