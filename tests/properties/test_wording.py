"""Whatever an object does when it becomes text, the text is one printable line of bounded length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynprop.wording import ELLIPSIS, error_text, printable, shorten, trace_text, type_name, value_text

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_printable_text_can_be_encoded_and_holds_no_controls(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not any(c < " " and c not in "\t\n" for c in shown)


@given(st.text("ab cd", max_size=200), st.integers(10, 100))
def test_a_text_is_cut_in_the_middle_and_between_words(text: str, most: int) -> None:
    shown = shorten(text, most)
    assert len(shown) <= most
    if len(text) <= most:
        assert shown == text
        return
    head, _, tail = shown.partition(ELLIPSIS)
    assert text.startswith(head)
    assert text.endswith(tail)


def test_no_word_is_cut_where_words_are_short() -> None:
    words = [f"word{i}" for i in range(200)]
    head, _, tail = shorten(" ".join(words), 120).partition(ELLIPSIS)
    assert set(head.split()) | set(tail.split()) <= set(words)
    assert tail.endswith("word199")


@given(ANY_TEXT)
def test_the_text_of_an_exception_is_one_short_line(text: str) -> None:
    shown = error_text(ValueError(text))
    assert len(shown) < 700
    assert len(shown.splitlines()) == 1
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "RuntimeError"),
        ("one", "RuntimeError: one"),
        ("one\n\n  two ", "RuntimeError: one two"),
        ("one\ntwo\nthree", "RuntimeError: one ... three"),
        ("a" * 1000 + "\nthe end", "RuntimeError: " + "a" * 73 + ELLIPSIS + "a" * 72 + " the end"),
    ],
)
def test_the_first_and_the_last_line_of_an_exception_are_kept(text: str, shown: str) -> None:
    assert error_text(RuntimeError(text)) == shown


def test_a_repr_that_raises_is_named() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    assert value_text(Silent()) == "(its repr raises KeyboardInterrupt)"
    assert type_name(Silent()) == "Silent"
    assert value_text(list(range(1000)), 30) == "[0, 1, 2, 3, ... 998, 999]"


def test_a_trace_names_the_lines_that_led_there_from_the_inside() -> None:
    def inner() -> None:
        raise KeyError("x")

    try:
        inner()
    except KeyError as error:
        shown = trace_text(error)
    head, _, frames = shown.partition(" (")
    assert head == "KeyError: 'x'"
    first, second = (int(frame.rpartition(":")[2]) for frame in frames.removesuffix(")").split(" < "))
    assert first < second
