from __future__ import annotations

import pytest

from xlam_local.errors import ToolError
from xlam_local.tools.builtin.calculator import calculate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", "14"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3", "0.333333333333333"),
        ("-7 // 2", "-4"),
        ("10 % 3", "1"),
        ("2 ^ 10", "1024"),
        ("2 ** -2", "0.25"),
        ("-1 / 8", "-0.125"),
        ("sqrt(1/4)", "0.5"),
        ("round(2.567, 2)", "2.57"),
        ("round(pi, 2)", "3.14"),
        ("max(1, 2, 3) + floor(2.9) + ceil(2.1)", "8"),
        ("6 \N{MULTIPLICATION SIGN} 7 \N{DIVISION SIGN} 2", "21"),
        ("12345678901234567890 * 10", "123456789012345678900"),
        ("cos(0) + log10(1000)", "4"),
        ("12345678901234567.5 + 0", "12345678901234567.5"),
        ("1_0.5e-20 * 10 ^ 20", "10.5"),
        ("2 ** 0.5", "1.4142135623731"),
        ("+5", "5"),
        ("1e999 / 1e998", "10"),
    ],
)
def test_rational_arithmetic_is_exact(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(1 + 2", "is not an arithmetic expression"),
        ("1e300 * 1e300 * 1e300 * 1e300", "too large"),
        ("sqrt(2) * exp(709) * exp(709)", "too large"),
        ("__import__('os').system('ls')", "is not supported"),
        ("[].__class__", "is not supported"),
        ("True + 1", "is not supported"),
        ("9 ** 9 ** 9", "too large"),
        ("1 / 3 ** 1000", "too small"),
        ("1e-999999999", "too small"),
        ("1e999999999", "too large"),
        ("round(1 / 3, 999999999)", "too large"),
        ("2 ** 100000", "too large"),
        ("exp(1000)", "too large"),
        ("1 / 0", "by zero"),
        ("sqrt(-1)", "has no value"),
        ("(" * 450 + "1" + ")" * 450, "is not an arithmetic expression|too large"),
        ("1 +" * 400 + "1", "more than 1000 characters"),
    ],
)
def test_invalid_expressions_raise_errors(expression: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        calculate(expression)
