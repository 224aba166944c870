"""Laws of every initialiser: shapes, and the source of its randomness."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynprop.contracts.domain import Domain
from dynprop.kinds.initializer.cases import InitializerCase, rectangle, repeated_shapes, small
from dynprop.kinds.initializer.subject import InitializerSubject
from dynprop.laws.evidence import Evidence
from dynprop.laws.hygiene import as_expected
from dynprop.laws.law import law

FLOATING = ("float64", "float32", "float16", "bfloat16")


@law(
    "initializer/shape-and-dtype",
    claim="C5",
    statement="weights have the shape that was asked for, a real floating dtype and finite values",
    source="public contract",
    draw=small,
    fixed=repeated_shapes,
    script="w = f(shape, rng)\nprint(w.shape, w.dtype, w)",
    share=0.5,
)
def shape_and_dtype(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Check shape, dtype, device and finite values."""
    values, shape, dtype, device = subject.returned(case.fan_in, case.fan_out, subject.generator(case.seed))
    expected_dtype = dtype if dtype in FLOATING else "a real floating dtype"
    result = as_expected(
        "weights have",
        (shape, dtype, device),
        ((case.fan_in, case.fan_out), expected_dtype, subject.expected_device()),
    )
    if result.failure is None and not np.isfinite(values).all():
        return Evidence(failure="weights have NaN or infinity among them")
    return result


@law(
    "initializer/deterministic",
    claim="C5",
    statement="the state of the generator decides everything: the same state gives the same weights bit by "
    "bit, whatever global random numbers are in",
    source="global random state in place of the generator that is handed over",
    draw=small,
    fixed=repeated_shapes,
    script={
        "": "import numpy as np\nnp.random.seed(1)\nfirst = f(shape, np.random.default_rng({seed}))\n"
        "np.random.seed(2)\nprint(f(shape, np.random.default_rng({seed})) - first)",
        "torch": "torch.manual_seed(1)\nfirst = f(shape, torch.Generator().manual_seed({seed}))\n"
        "torch.manual_seed(2)\nprint(f(shape, torch.Generator().manual_seed({seed})) - first)",
    },
    share=0.5,
)
def deterministic(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Draw twice from equal generators, with different global random numbers."""
    runs = []
    for start in (1, 2):
        subject.seed(start)
        generator = subject.generator(case.seed)
        runs.append([subject.draw(case.fan_in, case.fan_out, generator) for _ in range(case.calls)])
    for call, (first, again) in enumerate(zip(*runs, strict=True)):
        if not np.array_equal(first, again):
            message = f"call {call} with a generator in the same state gave other weights"
            return Evidence(failure=message, detail={"seed": case.seed})
    return Evidence(detail={"checked": True, "seed": case.seed})


def _global_numbers(subject: InitializerSubject) -> str | None:
    return None if subject.random_number() is not None else "its library has no global random numbers"


@law(
    "initializer/global-state",
    claim="C5",
    statement="global random numbers are neither drawn nor seeded",
    source="initialisers that seed everything for reproducibility",
    draw=small,
    fixed=repeated_shapes,
    applies=_global_numbers,
    script={
        "": "import numpy as np\nnp.random.seed(1)\nf(shape, rng)\nprint(np.random.random())  # 0.417022...",
        "torch": "torch.manual_seed(1)\nf(shape, rng)\nprint(torch.rand(()))  # 0.7576",
    },
    share=0.3,
)
def global_state(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Compare the next global random number with and without a call before it."""
    subject.seed(1)
    expected = subject.random_number()
    subject.seed(1)
    subject.draw(case.fan_in, case.fan_out, subject.generator(case.seed))
    if subject.random_number() != expected:
        return Evidence(failure="a call changes the global random numbers of the library")
    return Evidence(detail={"checked": True})


def _random(subject: InitializerSubject) -> str | None:
    fixed = subject.law_of_weights is not None and not subject.law_of_weights.random
    return "nothing is random by declaration" if fixed else None


def _several_weights(domain: Domain, subject: InitializerSubject) -> Iterator[InitializerCase]:
    """Yield every designed shape but a single weight, of which a sign may be all that is random."""
    return (case for case in repeated_shapes(domain, subject) if case.fan_in * case.fan_out > 1)


@law(
    "initializer/fresh",
    claim="C4",
    statement="weights are fresh: another state of the generator gives others, and so does a second call "
    "with the same generator",
    source="Goodfellow, Bengio and Courville 2016, section 10.7: fresh weights, or a shared one",
    draw=rectangle,
    fixed=_several_weights,
    applies=_random,
    script="w = f(shape, rng)\nprint(f(shape, rng) - w)",
    share=0.2,
)
def fresh(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Check that three calls, and two generators, give different weights."""
    generator = subject.generator(case.seed)
    first, second, third = (subject.draw(case.fan_in, case.fan_out, generator) for _ in range(3))
    other = subject.draw(case.fan_in, case.fan_out, subject.generator(case.seed + 1))
    later = (("a second call", second), ("a third call", third), ("a generator in another state", other))
    for origin, weights in later:
        # Equal zeros prove nothing: a sparse weight matrix of one row may be zero.
        if np.array_equal(first, weights) and first.any():
            return Evidence(failure=f"{origin} gives the same weights again")
    return Evidence(detail={"checked": True})


@law(
    "initializer/results-kept",
    claim="C5",
    statement="the weights of a call are not changed by a later call of the same shape",
    source="buffers shared between calls",
    draw=small,
    fixed=repeated_shapes,
    script="w = f(shape, rng)\nbefore = w + 0\nf(shape, rng)\nprint(w - before)",
    share=0.3,
)
def results_kept(subject: InitializerSubject, case: InitializerCase) -> Evidence:
    """Read the weights of the first call again after a second one."""
    generator = subject.generator(case.seed)
    read = subject.reader(case.fan_in, case.fan_out, generator)
    before = read()
    subject.draw(case.fan_in, case.fan_out, generator)
    if not np.array_equal(before, read(), equal_nan=True):
        return Evidence(failure="a second call changes the weights of the first")
    return Evidence(detail={"checked": True})
