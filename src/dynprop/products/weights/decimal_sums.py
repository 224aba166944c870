"""Sums of moments in decimal arithmetic: no cancellation, no overflow, safe in any thread.

Every float is an exact decimal. The number of digits of a sum is doubled until 30 of them remain after
cancellation.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from decimal import Decimal

from dynprop.errors import PrecisionError

__all__ = ["cancelling_sum", "decimal_context", "log_of", "power", "to_float"]

_DIGITS = 30
_MAX_DIGITS = 8000


def decimal_context(digits: int) -> decimal.Context:
    """Return a context of so many digits with the largest range of exponents."""
    return decimal.Context(prec=digits, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])


def power(base: Decimal, exponent: int) -> Decimal:
    """Return base^exponent in the current context, with 0^0 = 1."""
    return Decimal(1) if exponent == 0 else base**exponent


def cancelling_sum(terms: Callable[[], tuple[Decimal, ...]]) -> Decimal:
    """Return a nonzero sum of terms to 30 digits, whatever cancels.

    Args:
        terms: function that returns the terms, evaluated in the current decimal context.

    Raises:
        PrecisionError: more than 8000 digits cancel.
    """
    digits = 2 * _DIGITS
    while digits <= _MAX_DIGITS:
        with decimal.localcontext(decimal_context(digits)):
            parts = terms()
            total = sum(parts, Decimal(0))
            if total != 0 and max(map(abs, parts)).adjusted() - total.adjusted() <= digits - _DIGITS:
                return +total
        digits *= 2
    raise PrecisionError(f"the moments of this product cancel in more than {_MAX_DIGITS} digits")


def to_float(value: Decimal) -> float:
    """Round to the nearest float; inf above their range, 0 below."""
    return float(value)


def log_of(value: Decimal) -> float:
    """Natural logarithm of a decimal >= 0 of any size."""
    if value.is_nan() or value.is_infinite():
        return float(value)
    return -math.inf if value == 0 else float(decimal_context(40).ln(value))
