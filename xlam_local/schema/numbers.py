"""Numbers: intervals and grids, met and turned around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, gcd, lcm

from .shapes import Listed, Numbers, Shape, exactly


def meet(left: Numbers, right: Numbers) -> Numbers:
    """Numbers that fit both."""
    least, above = _tighter((left.least, left.above), (right.least, right.above), 1)
    most, below = _tighter((left.most, left.below), (right.most, right.below), -1)
    return Numbers(
        least,
        above,
        most,
        below,
        _grid(left.step, right.step),
        tuple(dict.fromkeys(left.off + right.off)),
        left.holes | right.holes,
    )


def possible(shape: Numbers) -> bool:
    """Whether some number fits."""
    if shape.step is not None:
        if any(shape.step % step == 0 for step in shape.off):
            return False
        values = listed(shape, 1000)
        return values is None or bool(values)
    if shape.least is None or shape.most is None or shape.least < shape.most:
        return True
    point = shape.least
    return shape.least == shape.most and holds(shape, point)


def complement(shape: Numbers) -> Iterator[Shape]:
    """The numbers that do not fit."""
    if shape.least is not None:
        yield Numbers(most=shape.least, below=not shape.above)
    if shape.most is not None:
        yield Numbers(least=shape.most, above=not shape.below)
    if shape.step is not None:
        yield Numbers(off=(shape.step,))
    for step in shape.off:
        yield Numbers(step=step)
    if shape.holes:
        yield Listed(tuple(map(_json, sorted(shape.holes))))


def holds(shape: Numbers, value: float | Fraction) -> bool:
    """Whether a number fits."""
    number = value if isinstance(value, Fraction) else exactly(value)
    return (
        (shape.least is None or number > shape.least or (number == shape.least and not shape.above))
        and (
            shape.most is None or number < shape.most or (number == shape.most and not shape.below)
        )
        and (shape.step is None or number % shape.step == 0)
        and all(number % step for step in shape.off)
        and number not in shape.holes
    )


def listed(shape: Numbers, limit: int) -> list[Fraction] | None:
    """Every number that fits, if the grid has at most so many points in the interval."""
    if shape.step is None or shape.least is None or shape.most is None:
        return None
    first, last = ceil(shape.least / shape.step), floor(shape.most / shape.step)
    if last - first >= limit:
        return None
    points = (number * shape.step for number in range(first, last + 1))
    return [point for point in points if holds(shape, point)]


def on_grid(shape: Numbers) -> Numbers:
    """The same numbers, with limits that lie on the grid."""
    step = shape.step
    if step is None:
        return shape
    least, most = shape.least, shape.most
    if least is not None:
        number = floor(least / step) + 1 if shape.above else ceil(least / step)
        least = number * step
    if most is not None:
        number = ceil(most / step) - 1 if shape.below else floor(most / step)
        most = number * step
    return replace(shape, least=least, above=False, most=most, below=False)


def _json(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)


def _tighter(
    left: tuple[Fraction | None, bool], right: tuple[Fraction | None, bool], sign: int
) -> tuple[Fraction | None, bool]:
    """The narrower of two limits; sign 1 for the least, -1 for the most."""
    if left[0] is None or right[0] is None:
        return right if left[0] is None else left
    return max(left, right, key=lambda limit: ((limit[0] or 0) * sign, limit[1]))


def _grid(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    if left is None or right is None:
        return left or right
    return Fraction(lcm(left.numerator, right.numerator), gcd(left.denominator, right.denominator))
