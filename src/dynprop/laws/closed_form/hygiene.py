"""What a closed form must leave alone: shapes, dtypes, arguments, later calls."""

from __future__ import annotations

from dynprop.laws.closed_form.invariance import at_least_one
from dynprop.laws.matrices import hygiene
from dynprop.laws.registry import law

shape_and_dtype = law(
    "closed-form/shape-and-dtype",
    claim="C1",
    statement="the answer has shape (n,) and the dtype and device of h(0): real for real W, whatever its "
    "eigenvalues",
    source="public contract; complex eigenvectors of a real W",
    draw=at_least_one,
    script="h = f(W, h0, t)\nprint(h.shape, h.dtype, 'for', h0.shape, h0.dtype)",
    share=0.3,
)(hygiene.shape_and_dtype)

memory_layout = law(
    "closed-form/memory-layout",
    claim="C1",
    statement="strided, transposed, Fortran-ordered, reversed and read-only arguments give the same answer",
    source="array-api-tests; kernels that read memory in one order",
    draw=at_least_one,
    applies=hygiene.laid_out,
    script="# layout: {layout}\nstored = W.T + 0  # the same numbers, stored by columns\n"
    "print(f(W, h0, t) - f(stored.T, h0, t))",
    share=0.3,
)(hygiene.memory_layout)

inputs_unchanged = law(
    "closed-form/inputs-unchanged",
    claim="C1",
    statement="the caller's W and h(0) are not modified: neither values nor shape, strides or flags",
    source="in-place squaring",
    draw=at_least_one,
    script="before = W + 0\nf(W, h0, t)\nprint(W - before)",
    share=0.5,
)(hygiene.inputs_unchanged)

repeatable = law(
    "closed-form/repeatable",
    claim="C1",
    statement="two calls agree: nothing is kept between calls, and a result is not overwritten later",
    source="a decomposition that is cached under the wrong key",
    draw=at_least_one,
    script="first = f(W, h0, t)\nf(W, 2 * h0, t)\nprint(f(W, h0, t) - first)",
    share=0.5,
)(hygiene.repeatable)
