"""A kind of function of arrays needs a signature and nothing else: here one with two results and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
import torch

from dynprop.arrays import FloatArray, NumericArray
from dynprop.contracts.domain import Domain
from dynprop.contracts.subject import Arguments
from dynprop.errors import TargetError
from dynprop.laws.array_laws import arguments_unchanged, calls_agree, declared_shape, layouts_agree
from dynprop.laws.cases import ArrayCase, Axes
from dynprop.laws.evidence import Comparison, Evidence, compare
from dynprop.subjects.array_function import ArrayFunction, Result, Signature, real_numbers
from dynprop.subjects.calls import TargetMismatchError

STEPS, KEYS, VALUES = 4, 3, 2

SIGNATURE = Signature(
    "f(k, v, decay=None, segments=None) -> (o, state)",
    ("k", "v", "decay", "segments"),
    (
        Result("o", lambda k, v, *options: v.shape, "the shape of the values", real_numbers),
        Result(
            "state",
            lambda k, v, *options: (k.shape[1], v.shape[1]),
            "(keys, values)",
            real_numbers,
            "float32",
        ),
    ),
    lambda domain: (np.ones((2, KEYS)), np.ones((2, VALUES)), np.ones(2), np.array([0, 2])),
    keywords=frozenset({"decay", "segments"}),
)


@dataclass(frozen=True)
class Attention(ArrayFunction[FloatArray]):
    """A linear attention of one row."""

    target: Callable[..., Any]
    framework: str = "numpy"
    device: str = "cpu"
    dtypes: tuple[str, ...] | None = None
    name: str = ""
    kind: str = "attention"

    def __post_init__(self) -> None:
        self._settle_function(lambda dtypes: Domain(dtypes=dtypes))

    @property
    def signature(self) -> Signature[FloatArray]:
        """The call f(k, v, decay=None, segments=None) -> (o, state)."""
        return SIGNATURE


@dataclass(frozen=True, eq=False)
class AttentionCase(ArrayCase):
    """Keys and values, with or without a decay."""

    k: Annotated[FloatArray, Axes(("time", "key"))]
    v: Annotated[FloatArray, Axes(("time", "value"))]
    decay: Annotated[FloatArray | None, Axes(("time",))]
    dtype: str = "float64"

    @property
    def arguments(self) -> Arguments:
        """The arguments, without segments."""
        return self.k, self.v, self.decay, None


def attention(k: Any, v: Any, decay: Any = None, segments: Any = None) -> tuple[Any, Any]:
    """S_t = d_t S_{t-1} + k_t v_t^T and o_t = S_t^T k_t, in the arrays that came."""
    torch_like = isinstance(k, torch.Tensor)
    state, rows = k[0][:, None] * v[0] * 0.0, []
    for t in range(len(k)):
        state = (state if decay is None else decay[t] * state) + k[t][:, None] * v[t]
        rows.append(state.T @ k[t])
    if torch_like:
        return torch.stack(rows), state.float()
    return np.stack(rows), state.astype(np.float32)


def case(*, decay: bool = True) -> AttentionCase:
    rng = np.random.default_rng(3)
    k, v = rng.standard_normal((STEPS, KEYS)), rng.standard_normal((STEPS, VALUES))
    return AttentionCase(k, v, rng.random(STEPS) if decay else None)


def agree(result: str, label: str, value: FloatArray, other: FloatArray) -> Comparison:
    """Compare to within single precision."""
    axes = ("time", "value") if result == "o" else ("key", "value")
    bound = np.full(other.shape, 1e-6)
    return compare(label, value, other, bound, dtype="float64", axes=axes)


def both(framework: str) -> Attention:
    return Attention(attention, framework=framework)


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_both_results_are_read(framework: str) -> None:
    k, v, decay, _ = case().arguments
    o, state = both(framework).results((k, v, decay, None), "float64")
    expected = attention(k, v, decay)
    assert np.allclose(o, expected[0], rtol=1e-12)
    assert np.allclose(state, expected[1], rtol=1e-6)
    assert [str(v.dtype) for v in (o, state)] == ["float64", "float64"]


def test_an_option_is_passed_by_name_and_left_out_where_the_case_has_none() -> None:
    seen: list[tuple[int, list[str]]] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append((len(arguments), sorted(options)))
        return attention(*arguments, **options)

    subject = Attention(watched)
    subject.results(case().arguments, "float64")
    subject.results(case(decay=False).arguments, "float64")
    subject.preflight()
    assert seen == [(2, ["decay"]), (2, []), (2, ["decay", "segments"])]


def test_whole_numbers_keep_their_dtype() -> None:
    def watched(k: NumericArray, v: NumericArray, segments: NumericArray) -> Any:
        assert [str(a.dtype) for a in (k, segments)] == ["float32", "int64"]
        return attention(k, v)

    k, v, _, _ = case().arguments
    Attention(watched).results((k, v, None, np.array([0, 4])), "float32")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (lambda k, v, **_: v, r"returned numpy .*, expected a tuple of 2: o, state"),
        (lambda k, v, **_: (v,), "returned a tuple, expected a tuple of 2: o, state"),
        (lambda k, v, **_: (v, None), "returned NoneType None, expected a numpy array"),
        (lambda k, v, **_: (v[1:], v), r"expected the shape of the values, \(4, 2\)"),
        (lambda k, v, **_: (v, v), r"expected \(keys, values\), \(3, 2\)"),
        (lambda k, v, **_: (1j * v, k.T @ v), "complex numbers for real arguments"),
    ],
)
def test_a_result_that_does_not_fit_is_a_mismatch(target: Any, message: str) -> None:
    with pytest.raises(TargetMismatchError, match=message):
        Attention(target).results(case().arguments, "float64")


def test_the_preflight_shows_the_call_and_what_came() -> None:
    call = r"kind attention takes f\(k, v, decay=None, segments=None\) -> \(o, state\); called with "
    call += r"k float64 \(2, 3\), v float64 \(2, 2\), decay float64 \(2,\), segments int64 \(2,\) \(numpy\)"
    wanted = r"not a tuple of arrays \(o, state\)"
    with pytest.raises(TargetError, match=rf"{call}, .* returned NoneType None, {wanted}"):
        Attention(lambda k, v, **_: (v, None)).preflight()
    with pytest.raises(TargetError, match=rf"returned a list, {wanted}$"):
        Attention(lambda k, v, **_: [v]).preflight()
    with pytest.raises(TargetError, match=rf"{wanted}; for a torch function say --framework torch"):
        Attention(lambda k, v, **_: (torch.zeros(2), torch.zeros(2))).preflight()
    with pytest.raises(TargetError, match="unexpected keyword argument 'decay'"):
        Attention(lambda k, v: (v, k)).preflight()


def test_gradients_pass_through_either_result() -> None:
    k, v, decay, _ = case().arguments
    arrays: dict[str, Any] = {"k": k, "v": v, "decay": decay}

    def loss(f: Any, leaves: Any) -> Any:
        o, state = f(leaves["k"], leaves["v"], leaves["decay"])
        return o[-1].sum() + state.sum()

    gradient = both("torch").gradients(loss, arrays, "float64", ("v",))["v"]
    # Step t reaches the end by the product of the decays behind it; the last output reads it by k_T.
    through = np.cumprod(np.append(1.0, arrays["decay"][:0:-1]))[::-1]
    keys = through * (arrays["k"] @ (arrays["k"][-1] + 1.0))
    assert np.allclose(gradient, np.repeat(keys[:, None], VALUES, axis=1), rtol=1e-6)


# The laws of every function of arrays, on a right target and on one with each defect


def repeated(subject: Attention, case: AttentionCase) -> Evidence:
    return calls_agree(subject, case, (case.k, 2.0 * case.v, case.decay, None), agree)


def laid_out_otherwise(subject: Attention, case: AttentionCase) -> Evidence:
    return layouts_agree(subject, case, agree)


LAWS: dict[str, Callable[[Attention, AttentionCase], Evidence]] = {
    "shape": declared_shape,
    "layouts": laid_out_otherwise,
    "unchanged": arguments_unchanged,
    "repeatable": repeated,
}


def other_dtype(k: Any, v: Any, **options: Any) -> Any:
    o, state = attention(k, v, **options)
    return o, state.astype(np.float64)


def by_memory(k: Any, v: Any, **options: Any) -> Any:
    return attention(k.ravel(order="K").reshape(k.shape), v, **options)


def spoils_decay(k: Any, v: Any, decay: Any = None) -> Any:
    results = attention(k, v, decay)
    if decay is not None and decay.flags.writeable:
        decay[0] = 7.0
    return results


class SharedState:
    """Returns the same array for the state of every call."""

    def __init__(self) -> None:
        self.state = np.zeros((KEYS, VALUES), np.float32)

    def __call__(self, k: Any, v: Any, **options: Any) -> Any:
        o, self.state[:] = attention(k, v, **options)
        return o, self.state


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("law", LAWS)
def test_a_right_function_passes(law: str, framework: str) -> None:
    for attention_case in (case(), case(decay=False)):
        evidence = LAWS[law](both(framework), attention_case)
        assert evidence.decided or evidence.detail["checked"]
        assert evidence.passed


@pytest.mark.parametrize(
    ("law", "target", "message"),
    [
        ("shape", other_dtype, "state: dtype float64, expected float32"),
        ("layouts", by_memory, "o for Fortran-ordered arguments"),
        ("unchanged", spoils_decay, "the caller's argument decay was modified in place"),
        ("repeatable", SharedState(), "state of the first call, read after another call"),
    ],
)
def test_a_defect_of_one_result_or_option_is_found(law: str, target: Any, message: str) -> None:
    evidence = LAWS[law](Attention(target), case())
    assert not evidence.passed
    shown = evidence.failure or (evidence.worst.label if evidence.worst else "")
    if law == "layouts":
        assert evidence.detail["layout"] in ("Fortran-ordered", "transposed")
        assert next(c for c in evidence.comparisons if c.label == message).ratio > 1.0
    else:
        assert shown == message
