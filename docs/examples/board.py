"""A tool that measures the state of a small Linux board, such as a Raspberry Pi."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from xlam_local import Effect, tool

SYS = Path("/sys")
THROTTLED_NOW = 0xF
"""The bits for low voltage, a lowered clock and heat; the higher bits are about the past."""


@tool(Effect.READ)
def board_state() -> dict[str, str]:
    """Measure this machine: disk, memory, load, temperature, and whether it is throttled."""
    disk, memory = shutil.disk_usage("/"), memory_kib()
    total, available = memory["MemTotal"], memory["MemAvailable"]
    return {
        "disk": f"{disk.used / disk.total:.0%} of {disk.total / 1e9:.0f} GB used",
        "memory": f"{1 - available / total:.0%} of {total / (1 << 20):.1f} GiB used",
        "load": f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} cores in the last 5 minutes",
        "temperature": temperature(),
        "throttled": throttled(),
    }


def memory_kib() -> dict[str, int]:
    """Return the fields of /proc/meminfo, in KiB."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}


def temperature() -> str:
    """Return the processor's temperature; "unknown" if the system does not report it."""
    try:
        return f"{int((SYS / 'class/thermal/thermal_zone0/temp').read_text()) / 1000:.0f} °C"
    except (OSError, ValueError):
        return "unknown"


def throttled() -> str:
    """Return whether heat or low voltage slows a Raspberry Pi down now."""
    for path in SYS.glob("devices/platform/soc*/soc*:firmware/get_throttled"):
        return "yes" if int(path.read_text(), 16) & THROTTLED_NOW else "no"
    return "unknown"
