"""What a call of a target raises is the target's, and what it finds in its surroundings is left to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dynprop.subjects import calls
from dynprop.subjects.calls import (
    Surroundings,
    TargetMismatchError,
    TargetRaisedError,
    attributable,
    attributed,
    guard,
    surround,
)


class Recorded(Surroundings):
    attributable = (BaseException,)

    def __init__(self) -> None:
        self.heard: list[str] = []

    def enter(self) -> None:
        self.heard.append("enter")

    def leave(self) -> None:
        self.heard.append("leave")


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    surroundings, before = Recorded(), calls._surroundings
    surround(surroundings)
    yield surroundings
    surround(before)


def raising(error: BaseException) -> Callable[[], None]:
    def target() -> None:
        raise error

    return target


@pytest.mark.parametrize("error", [ValueError("a"), SystemExit(2), GeneratorExit(), StopIteration()])
def test_what_a_target_raises_is_attributed_to_it(error: BaseException) -> None:
    with pytest.raises(TargetRaisedError) as caught:
        guard(raising(error))()
    assert caught.value.cause is error
    assert caught.value.__cause__ is error


def test_ctrl_c_in_the_users_process_is_no_failure_of_the_target() -> None:
    with pytest.raises(KeyboardInterrupt):
        guard(raising(KeyboardInterrupt()))()
    with pytest.raises(pytest.fail.Exception):
        guard(raising(pytest.fail.Exception("a timeout")))()


def test_in_a_child_everything_is_the_targets(recorded: Recorded) -> None:
    assert attributable() == (BaseException,)
    with pytest.raises(TargetRaisedError, match="KeyboardInterrupt"):
        guard(raising(KeyboardInterrupt()))()
    assert recorded.heard == ["enter", "leave"]


def test_what_is_attributed_once_stays_as_it_is(recorded: Recorded) -> None:
    mismatch = TargetMismatchError("returned nothing")
    with pytest.raises(TargetMismatchError) as caught, attributed(), attributed():
        raise mismatch
    assert caught.value is mismatch
    assert recorded.heard == ["enter", "enter", "leave", "leave"]


def test_the_text_of_an_exception_keeps_its_last_line() -> None:
    assert str(TargetRaisedError(RuntimeError("a\nb\nc"))) == "RuntimeError: a ... c"
