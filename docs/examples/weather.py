"""Two tools as Python functions: xlam-local ask "…" --tools weather.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from xlam_local import Effect, ToolError, tool

LOG = Path("weather.log")


@tool(Effect.READ, timeout=5)
def feels_like(
    temperature: Annotated[float, Field(ge=-60, le=60)],
    wind_speed: Annotated[float, Field(ge=0, le=200)],
    unit: Literal["celsius", "fahrenheit"] = "celsius",
) -> str:
    """Compute the wind chill: how cold the air feels.

    Args:
        temperature: The air temperature.
        wind_speed: The wind speed in km/h.
        unit: The unit of the temperature.
    """
    celsius = temperature if unit == "celsius" else (temperature - 32) / 1.8
    if celsius > 10 or wind_speed < 4.8:
        raise ToolError("Wind chill is defined up to 10 degrees Celsius and from 4.8 km/h.")
    # The formula of the Meteorological Service of Canada and the US National Weather Service, 2001.
    wind = wind_speed**0.16
    chill = 13.12 + 0.6215 * celsius - 11.37 * wind + 0.3965 * celsius * wind
    return f"{chill if unit == 'celsius' else chill * 1.8 + 32:.1f} degrees {unit}"


@tool(Effect.WRITE, preview=lambda text: f"Append to {LOG}: {text}")
def log_weather(text: str) -> str:
    """Add an observation to the weather log.

    Args:
        text: What was observed.
    """
    with LOG.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now():%Y-%m-%d %H:%M} {text}\n")
    return f"Added to {LOG}."
