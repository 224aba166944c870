"""One error for one kind of mistake, each of a standard kind too, so that callers need not know dynprop."""

from __future__ import annotations

import pytest

from dynprop.errors import ArgumentError, DynpropError, PrecisionError, TargetError


def test_an_argument_error_names_the_argument_what_it_got_and_what_was_expected() -> None:
    error = ArgumentError("gates", "3 axes", "2 axes")
    assert str(error) == "gates: got 3 axes, expected 2 axes"
    assert error.argument == "gates"


@pytest.mark.parametrize(
    ("error", "standard"),
    [
        (ArgumentError("n", "-1", "0 or more"), ValueError),
        (PrecisionError("no digits are left"), ArithmeticError),
    ],
)
def test_an_error_is_caught_by_its_standard_kind_and_by_ours(
    error: Exception, standard: type[Exception]
) -> None:
    with pytest.raises(standard):
        raise error
    with pytest.raises(DynpropError):
        raise error


def test_the_kinds_of_mistake_do_not_overlap() -> None:
    kinds = (ArgumentError, PrecisionError, TargetError)
    related = [(a.__name__, b.__name__) for a in kinds for b in kinds if a is not b and issubclass(a, b)]
    assert related == []
    assert not issubclass(TargetError, ValueError | ArithmeticError)
