"""The interface of a kernel with matrix-valued states under test."""

from __future__ import annotations

from dynprop.kinds.linear_attention.target import Form, LinearAttention

__all__ = ["Form", "LinearSubject"]

# Forms, conventions and calls are those of the adapter itself.
LinearSubject = LinearAttention
