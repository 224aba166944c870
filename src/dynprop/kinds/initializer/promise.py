"""Promises of an initialiser: a variance or a spectral radius as an expression, and a distribution by name.

Expressions are arithmetic in ``fan_in`` and ``fan_out``: numbers, + - * / **, sqrt, exp, log, digamma, min,
max. They are parsed, never evaluated as Python.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dynprop.arrays import FloatArray
from dynprop.errors import ArgumentError

__all__ = ["LAWS", "PROMISES", "Expression", "Law", "law_named"]

PROMISES = ("variance", "radius")
LONGEST = 200

_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def _digamma(x: float) -> float:
    from scipy.special import digamma

    return float(digamma(x))


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "digamma": _digamma,
    "min": min,
    "max": max,
}
_EXPECTED = "arithmetic in fan_in and fan_out, such as 2/fan_in or 2/(fan_in + fan_out)"


@dataclass(frozen=True)
class Expression:
    """A positive number for every pair of fans.

    Attributes:
        name: the promised quantity, "variance" or "radius".
        text: the expression.

    Raises:
        ArgumentError: not an expression of that form.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        if self.name not in PROMISES:
            raise ArgumentError("promise", repr(self.name), f"one of {', '.join(PROMISES)}")
        self.at(3, 5)

    def at(self, fan_in: int, fan_out: int) -> float:
        """Return its value, or raise ArgumentError unless that is a positive number."""
        try:
            if len(self.text) > LONGEST:
                raise ValueError
            tree = ast.parse(self.text.strip(), mode="eval").body
            value = _evaluate(tree, {"fan_in": float(fan_in), "fan_out": float(fan_out)})
            if not isinstance(value, float) or not 0.0 < value < math.inf:
                raise ValueError
        except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
            got = f"{self.text!r:.80} at fan_in {fan_in}, fan_out {fan_out}"
            raise ArgumentError(f"promise {self.name}", got, f"a positive number by {_EXPECTED}") from error
        return value


def _evaluate(node: ast.AST, fans: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in fans:
            return fans[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(operand, fans))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, fans), _evaluate(right, fans))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_evaluate(argument, fans) for argument in args))
    raise ValueError(ast.dump(node)[:80])


@dataclass(frozen=True)
class Law:
    """A distribution that weights may be declared to have, up to scale.

    Attributes:
        name: its name.
        kurtosis: E w^4 / (E w^2)^2; infinite without a fourth moment, NaN without
            independent weights.
        cdf: distribution function at variance 1, or None.
        independent: whether entries are independent, and symmetric around 0.
        random: whether anything is random.
    """

    name: str
    kurtosis: float = math.nan
    cdf: Callable[[FloatArray], FloatArray] | None = None
    independent: bool = True
    random: bool = True


def _normal_cdf(x: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    return np.asarray(ndtr(x), dtype=np.float64)


def _truncated_cdf(x: FloatArray) -> FloatArray:
    cut, mass, deviation = 2.0, math.erf(math.sqrt(2.0)), math.sqrt(_truncated_variance())
    inside = (_normal_cdf(np.clip(x * deviation, -cut, cut)) - 0.5 * (1.0 - mass)) / mass
    return np.clip(inside, 0.0, 1.0)


def _truncated_variance() -> float:
    # 1 - 2 a pdf(a) / mass at a = 2.
    return 1.0 - 4.0 * math.exp(-2.0) / (math.sqrt(2.0 * math.pi) * math.erf(math.sqrt(2.0)))


def _truncated_kurtosis() -> float:
    # E x^4 = 3 E x^2 - 2 a^3 pdf(a) / mass, by parts.
    square = _truncated_variance()
    edge = 16.0 * math.exp(-2.0) / (math.sqrt(2.0 * math.pi) * math.erf(math.sqrt(2.0)))
    return (3.0 * square - edge) / square**2


def _uniform_cdf(x: FloatArray) -> FloatArray:
    return np.clip(0.5 * (x / math.sqrt(3.0) + 1.0), 0.0, 1.0)


def _laplace_cdf(x: FloatArray) -> FloatArray:
    tail = 0.5 * np.exp(-math.sqrt(2.0) * np.abs(x))
    return np.asarray(np.where(x < 0.0, tail, 1.0 - tail), dtype=np.float64)


LAWS = {
    law.name: law
    for law in (
        Law("normal", 3.0, _normal_cdf),
        Law("truncated", _truncated_kurtosis(), _truncated_cdf),
        Law("uniform", 1.8, _uniform_cdf),
        Law("laplace", 6.0, _laplace_cdf),
        Law("orthogonal", independent=False),
        Law("fixed", independent=False, random=False),
    )
}


def law_named(name: str) -> Law:
    """Return a distribution: one of ``LAWS``, or Student's t with above 2 degrees of freedom, such as "t5".

    Raises:
        ArgumentError: unknown name.
    """
    if name in LAWS:
        return LAWS[name]
    degrees = name[1:]
    if name[:1] == "t" and degrees.replace(".", "", 1).isdigit() and float(degrees) > 2.0:
        return _student(name, float(degrees))
    raise ArgumentError("law", repr(name), f"one of {', '.join(LAWS)}, or t5 for Student's t of 5 degrees")


def _student(name: str, degrees: float) -> Law:
    from scipy.special import stdtr

    scale = math.sqrt(degrees / (degrees - 2.0))
    kurtosis = 3.0 + 6.0 / (degrees - 4.0) if degrees > 4.0 else math.inf
    return Law(name, kurtosis, lambda x: np.asarray(stdtr(degrees, x * scale), dtype=np.float64))
