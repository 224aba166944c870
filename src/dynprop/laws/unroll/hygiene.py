"""What an unroll must leave alone: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dynprop.laws.matrices import hygiene
from dynprop.laws.registry import law
from dynprop.laws.unroll.forward import at_least_two

shape_and_dtype = law(
    "unroll/shape-and-dtype",
    claim="C1",
    statement="states have shape (steps + 1, n) and the dtype and device of h(0)",
    source="public contract; complex eigenvectors of a real W",
    draw=at_least_two,
    script="states = f(W, h0, t)\nprint(states.shape, states.dtype, 'for', h0.shape, h0.dtype)",
    share=0.3,
)(hygiene.shape_and_dtype)

memory_layout = law(
    "unroll/memory-layout",
    claim="C1",
    statement="strided, transposed, Fortran-ordered, reversed and read-only arguments give the same states",
    source="array-api-tests; kernels that read memory in one order",
    draw=at_least_two,
    applies=hygiene.laid_out,
    script="# layout: {layout}\nstored = W.T + 0  # the same numbers, stored by columns\n"
    "print(f(W, h0, t) - f(stored.T, h0, t))",
    share=0.3,
)(hygiene.memory_layout)

inputs_unchanged = law(
    "unroll/inputs-unchanged",
    claim="C1",
    statement="the caller's W and h(0) are not modified: neither values nor shape, strides or flags",
    source="in-place updates of a running state",
    draw=at_least_two,
    script="before = h0 + 0\nf(W, h0, t)\nprint(h0 - before)",
    share=0.5,
)(hygiene.inputs_unchanged)

repeatable = law(
    "unroll/repeatable",
    claim="C1",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="buffers shared between calls",
    draw=at_least_two,
    script="first = f(W, h0, t)\nf(W, 2 * h0, t)\nprint(f(W, h0, t) - first)",
    share=0.5,
)(hygiene.repeatable)
