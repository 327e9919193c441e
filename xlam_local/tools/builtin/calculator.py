"""Evaluate arithmetic expressions, exactly as long as the numbers are rational.

Only the functions and operators in the tables below can be used; no Python is executed.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

from ...errors import ToolError

Number = Fraction | float

MAX_DIGITS = 1_000
"""The longest number, also as an intermediate result; it limits time and memory."""
MAX_EXPRESSION_CHARS = 1_000


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression.

    Raises:
        ToolError: the expression cannot be computed; the message says why.
    """
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ToolError(f"The expression has more than {MAX_EXPRESSION_CHARS} characters.")
    try:
        text = expression.strip().translate(OPERATOR_SIGNS)
        return _format(_evaluate(ast.parse(text, mode="eval").body, text))
    except SyntaxError as error:
        raise ToolError(f"{expression!r} is not an arithmetic expression.") from error
    except ZeroDivisionError as error:
        raise ToolError("Division by zero.") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise ToolError("The result is too large or too small.") from error
    except (ValueError, TypeError) as error:
        raise ToolError(f"{expression!r} has no value: {error}.") from error


def _evaluate(node: ast.expr, text: str) -> Number:
    match node:
        case ast.Constant(value=int() as literal) if not isinstance(literal, bool):
            return _check_size(Fraction(literal))
        case ast.Constant(value=float()):
            return _parse_decimal(ast.get_source_segment(text, node) or "")
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return UNARY[type(op)](_evaluate(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _check_size(BINARY[type(op)](_evaluate(left, text), _evaluate(right, text)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _check_size(FUNCTIONS[name](*(_evaluate(argument, text) for argument in args)))
    raise ToolError(f"{ast.unparse(node)!r} is not supported in an arithmetic expression.")


def _parse_decimal(text: str) -> Fraction:
    """Return the exact value of a decimal literal, which a float cannot represent."""
    number = Decimal(text.replace("_", ""))
    if abs(number.adjusted()) > MAX_DIGITS:
        raise OverflowError
    return Fraction(number)


def _check_size(value: Number) -> Number:
    """Return the value if it is finite and not too long.

    Raises:
        OverflowError: it is not.
    """
    if isinstance(value, Fraction):
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if bits > MAX_DIGITS * math.log2(10):
            raise OverflowError
    elif not math.isfinite(value):
        raise OverflowError
    return value


def _power(base: Number, exponent: Number) -> Number:
    """Return a power; the size of an exact one is checked before it is computed."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent) > MAX_DIGITS * math.log2(10):
            raise OverflowError
        return Fraction(base**exponent.numerator)
    return math.pow(base, exponent)


def _root(value: Number) -> Number:
    """Return the square root, exactly if it is rational."""
    if isinstance(value, Fraction) and value >= 0:
        top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if Fraction(top * top, bottom * bottom) == value:
            return Fraction(top, bottom)
    return math.sqrt(value)


def _round(value: Number, digits: Number = Fraction(0)) -> Number:
    if not -MAX_DIGITS <= digits <= MAX_DIGITS:
        raise OverflowError
    return round(Fraction(value), int(digits))


CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau}
FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": lambda x: Fraction(math.ceil(x)),
    "cos": math.cos,
    "exp": math.exp,
    "floor": lambda x: Fraction(math.floor(x)),
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": _round,
    "sin": math.sin,
    "sqrt": _root,
    "tan": math.tan,
}
UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.UAdd: lambda a: a,
    ast.USub: lambda a: -a,
}
BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
OPERATOR_SIGNS = str.maketrans(
    {"\N{MULTIPLICATION SIGN}": "*", "\N{DIVISION SIGN}": "/", "\N{MINUS SIGN}": "-", "^": "**"}
)


def _format(value: Number) -> str:
    """Return integers and finite decimals exactly, everything else with 15 digits."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if value.denominator == 1:
        return str(value.numerator)
    digits = _decimal_places(value.denominator)
    if digits is None:
        if not float(value):
            raise OverflowError
        return f"{float(value):.15g}"
    scaled = abs(value.numerator) * 10**digits // value.denominator
    whole, rest = divmod(scaled, 10**digits)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{digits}d}"


def _decimal_places(denominator: int) -> int | None:
    """Return the number of decimals of a reduced fraction, or None if it is infinite."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None
