"""The built-in tools, and those of them that answer questions about time and numbers."""

from __future__ import annotations

import calendar
import difflib
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from ..errors import ToolError
from ..types import Effect, Tool
from . import calculator, units
from .builtin_files import file_tools
from .builtin_notes import note_tools
from .builtin_programs import program_tools
from .builtin_web import fetch_page
from .functions import tool
from .paths import Folder
from .types import BUILT_IN, Places

OFF = frozenset(
    {
        *("edit_file", "run_command", "fetch_page"),
        *("read_clipboard", "write_clipboard", "add_note", "read_notes"),
    }
)
"""What is off until its user switches it on: a small model gets lost among many tools."""


def builtin(folder: Path) -> tuple[Tool, ...]:
    """The built-in tools that are on; those for files see only what is under `folder`."""
    made = (*_questions(), *file_tools(Folder.at(folder)))
    return tuple(one for one in made if one.name not in OFF)


def everything(places: Places) -> tuple[Tool, ...]:
    """All built-in tools, those that are off as well."""
    made = (
        *_questions(),
        *file_tools(Folder.at(places.folder, places.closed)),
        *program_tools(places),
        fetch_page,
        *note_tools(places.data / "notes.jsonl"),
    )
    return tuple(replace(one, source=BUILT_IN) for one in made)


def _questions() -> tuple[Tool, ...]:
    made = (current_time, days_between, shift_date, calculate, convert_units)
    return tuple(replace(one, pure=True) for one in made)


@tool(Effect.READ)
def current_time(place: Annotated[str, Field(max_length=60)] = "here") -> str:
    """Tell the current date and time in a place.

    Args:
        place: A city like London, or a time zone like Europe/London.
    """
    now = datetime.now().astimezone() if place == "here" else datetime.now(_zone(place))
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
        # The 31st of a month that has none is its last day.
        last = calendar.monthrange(first.year, first.month)[1]
        found = first.replace(day=min(start.day, last)) + timedelta(days)
    except (ValueError, OverflowError) as error:
        raise ToolError("That date is out of the calendar's range.") from error
    return f"{found:%A, %Y-%m-%d}"


@tool(Effect.READ)
def convert_units(value: float, from_unit: units.Unit, to_unit: units.Unit) -> str:
    """Convert an amount from one unit to another.

    Args:
        value: The amount to convert.
        from_unit: The unit it is in.
        to_unit: The unit it shall be in.
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


def _zone(name: str) -> ZoneInfo:
    zones = available_timezones()
    if name in zones:
        return ZoneInfo(name)
    city = _city(name.partition(",")[0].strip().replace(" ", "_"))
    named = [zone for zone in sorted(zones) if _city(zone) == city]
    if len(named) == 1:
        return ZoneInfo(named[0])
    near = named or difflib.get_close_matches(name, zones, n=3, cutoff=0.5)
    hint = f" Do you mean {', '.join(near)}?" if near else ""
    raise ToolError(f"There is no time zone {name!r}.{hint}")


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].lower()
