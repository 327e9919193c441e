"""The built-in tools: time, arithmetic, units, and the files under one folder."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field

from ..errors import ToolError
from ..types import Effect, Tool
from . import calculator, units
from .functions import tool

MOST_BYTES = 20_000
"""The most of a file that one call reads."""
MOST_ENTRIES = 200
"""The most names that one call lists."""


def builtin(folder: Path) -> tuple[Tool, ...]:
    """The built-in tools; those for files see only what is under `folder`."""
    return (current_time, days_between, calculate, convert_units, *_file_tools(folder.resolve()))


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


def _file_tools(top: Path) -> Iterator[Tool]:
    @tool(Effect.READ)
    def list_files(folder: str = ".") -> str:
        """List the files and folders in a folder.

        Args:
            folder: A path relative to the working folder; "." is the working folder itself.
        """
        with _told(folder):
            entries = sorted(_inside(top, folder).iterdir())
        shown = [_listed(entry) for entry in itertools.islice(entries, MOST_ENTRIES)]
        if len(entries) > MOST_ENTRIES:
            shown.append(f"({len(entries) - MOST_ENTRIES} more are not shown.)")
        return "\n".join(shown) or "(empty)"

    @tool(Effect.READ)
    def read_file(path: str) -> str:
        """Read a text file.

        Args:
            path: A path relative to the working folder.
        """
        with _told(path), _inside(top, path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        try:
            text = data[:MOST_BYTES].decode()
        except UnicodeDecodeError as error:
            if error.start < MOST_BYTES - 3 or len(data) <= MOST_BYTES:
                raise ToolError(f"{path} is not a text file.") from error
            text = data[: error.start].decode()
        cut = f"\n(The file goes on; these are its first {MOST_BYTES} bytes.)"
        return text + (cut if len(data) > MOST_BYTES else "")

    @tool(Effect.WRITE)
    def write_file(path: str, text: str) -> str:
        """Write a text file, in place of the one that may be there.

        Args:
            path: A path relative to the working folder.
            text: All that the file shall hold.
        """
        with _told(path):
            _inside(top, path).write_text(text, encoding="utf-8")
        return f"Wrote {len(text.encode())} bytes to {path}."

    yield from (list_files, read_file, write_file)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn what the system says of `path` into words for the model."""
    try:
        yield
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}.") from error


def _inside(top: Path, path: str) -> Path:
    """The file at `path`, links followed, if it is under the working folder."""
    try:
        found = (top / path).resolve()
    except (ValueError, RuntimeError) as error:
        raise ToolError(f"{path!r} is not a path.") from error
    if not found.is_relative_to(top):
        raise ToolError(f"{path} is outside the working folder.")
    return found


def _listed(entry: Path) -> str:
    try:
        return (
            f"{entry.name}/" if entry.is_dir() else f"{entry.name} ({entry.stat().st_size} bytes)"
        )
    except OSError:
        return f"{entry.name} (cannot be read)"
