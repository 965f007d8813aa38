"""Exact arithmetic on a small expression language, every operation bounded. Pure; nothing is executed.

Numbers are fractions where they can be, so that 0.1 + 0.2 is 0.3; functions such as sqrt give floats.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction

Number = Fraction | float

MAX_LENGTH = 1_000
MAX_NODES = 400
MAX_BITS = 4_096
"""Largest number an operation may make: about 1,200 digits."""
MAX_EXPONENT = 4_096


_SIGNS = {0xD7: "*", 0xF7: "/", 0x2212: "-", ord("^"): "**"}
"""Signs that people and models write for the operators: multiplication, division and minus sign, caret."""


class BadExpression(ValueError):
    """The expression cannot be calculated; the message says why."""


def calculate(expression: str) -> int | float:
    """Calculate an expression of + - * / // % **, parentheses and FUNCTIONS.

    Returns an int when the value is whole, else a float. Raises BadExpression.
    """
    if len(expression) > MAX_LENGTH:
        raise BadExpression(f"the expression is longer than {MAX_LENGTH} characters")
    text = expression.strip().translate(_SIGNS)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadExpression("the expression cannot be read") from error
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise BadExpression("the expression has too many parts")
    try:
        return _plain(_value(tree.body))
    except ZeroDivisionError as error:
        raise BadExpression("division by zero") from error
    except (OverflowError, ValueError, TypeError) as error:
        raise BadExpression(str(error) or "the result is out of range") from error


def _value(node: ast.expr) -> Number:  # noqa: PLR0911 - one return per kind of node
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(Fraction(str(value)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return _bounded(FUNCTIONS[name](*(_value(argument) for argument in arguments)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case _:
            known = ", ".join(sorted(FUNCTIONS))
            raise BadExpression(f"only numbers, + - * / // % ** ( ) and {known} are understood")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        if abs(exponent) > MAX_EXPONENT or _bits(base) * abs(exponent.numerator) > 2 * MAX_BITS:
            raise BadExpression("the result is too large")
        return _bounded(Fraction(base) ** exponent.numerator)
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise BadExpression("the result is no real number")
    return _bounded(result)


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _bounded(number: object) -> Number:
    if isinstance(number, int):
        number = Fraction(number)
    if isinstance(number, Fraction):
        if _bits(number) > MAX_BITS:
            raise BadExpression("the result is too large")
        return number
    if isinstance(number, float) and math.isfinite(number):
        return number
    raise BadExpression("the result is no finite number")


def _plain(number: Number) -> int | float:
    if isinstance(number, Fraction):
        return number.numerator if number.denominator == 1 else float(number)
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


def _round(number: Number, digits: Number = Fraction(0)) -> Number:
    places = int(digits)
    if places != digits or abs(places) > 100:  # noqa: PLR2004 - far beyond any use
        raise BadExpression("round takes a whole number of digits")
    return round(number, places) if isinstance(number, float) else round(Fraction(number), places)


def _whole(number: Number, turn: Callable[[Number], int]) -> Fraction:
    return Fraction(turn(number))


def _root(number: Number) -> Number:
    """Take a square root, exactly where it is rational."""
    if isinstance(number, Fraction) and number >= 0:
        top, bottom = math.isqrt(number.numerator), math.isqrt(number.denominator)
        if top * top == number.numerator and bottom * bottom == number.denominator:
            return Fraction(top, bottom)
    return math.sqrt(number)


FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "abs": abs,
    "round": _round,
    "min": min,
    "max": max,
    "floor": lambda number: _whole(number, math.floor),
    "sqrt": _root,
    "ceil": lambda number: _whole(number, math.ceil),
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
}
_CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e}
_OPERATORS: Mapping[type[ast.operator], Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
