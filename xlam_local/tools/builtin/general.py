"""The built-in tools for time, dates, units and arithmetic."""

from __future__ import annotations

import calendar
import difflib
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from ...errors import ToolError
from ...types import Effect, Tool
from ..python.decorator import tool
from . import calculator, units


@tool(Effect.READ)
def current_time(place: Annotated[str, Field(max_length=60)] = "here") -> str:
    """Tell the current date and time in a place.

    Args:
        place: A city like London, or a time zone like Europe/London.
    """
    now = datetime.now().astimezone() if place == "here" else datetime.now(_time_zone(place))
    return f"{now:%A, %Y-%m-%d %H:%M:%S} {now.tzname()} ({place})"


@tool(Effect.READ)
def days_between(start: date, end: date) -> int:
    """Count the days from one date to another.

    Args:
        start: The first date, as YYYY-MM-DD.
        end: The other date, as YYYY-MM-DD.
    """
    return (end - start).days


@tool(Effect.READ)
def shift_date(start: date, days: int = 0, months: int = 0, years: int = 0) -> str:
    """Find the date that is some days, months or years after another, or before it.

    Args:
        start: The date to count from, as YYYY-MM-DD.
        days: How many days later; negative for earlier.
        months: How many months later; negative for earlier.
        years: How many years later; negative for earlier.
    """
    month = start.year * 12 + start.month - 1 + months + 12 * years
    try:
        first = date(month // 12, month % 12 + 1, 1)
        # A month without a 31st is shortened to its last day.
        last_day = calendar.monthrange(first.year, first.month)[1]
        shifted = first.replace(day=min(start.day, last_day)) + timedelta(days)
    except (ValueError, OverflowError) as error:
        raise ToolError("The date must be in the years 1 to 9999.") from error
    return f"{shifted:%A, %Y-%m-%d}"


@tool(Effect.READ)
def convert_units(value: float, from_unit: units.Unit, to_unit: units.Unit) -> str:
    """Convert an amount from one unit to another.

    Args:
        value: The amount to convert.
        from_unit: The unit it is in.
        to_unit: The unit to convert to.
    """
    converted = units.convert(Fraction(str(value)), from_unit, to_unit)
    return f"{value:g} {from_unit} = {float(converted):.6g} {to_unit}"


@tool(Effect.READ)
def calculate(expression: str) -> str:
    """Compute an arithmetic expression exactly.

    Args:
        expression: Numbers with + - * / // % ** and functions like sqrt, for example (3 + 4) * 2.
    """
    return calculator.calculate(expression)


def _time_zone(name: str) -> ZoneInfo:
    """Return the time zone of a name such as Europe/London, London or "London, UK"."""
    zones = available_timezones()
    if name in zones:
        return ZoneInfo(name)
    city = _city(name.partition(",")[0].strip().replace(" ", "_"))
    matches = [zone for zone in sorted(zones) if _city(zone) == city]
    if len(matches) == 1:
        return ZoneInfo(matches[0])
    similar = matches or difflib.get_close_matches(name, zones, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(similar)}?" if similar else ""
    raise ToolError(f"There is no time zone {name!r}.{hint}")


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].lower()


def general_tools() -> tuple[Tool, ...]:
    """Return the tools of this module. Their results depend on the arguments and the time only."""
    tools = (current_time, days_between, shift_date, calculate, convert_units)
    return tuple(replace(tool, deterministic=True) for tool in tools)
