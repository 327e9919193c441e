"""How the computer does: memory, temperature, a Pi's throttling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
HOT = 75.0
"""Degrees from which on the temperature is worth a word."""
THROTTLED = {
    1 << 0: "the voltage is low",
    1 << 1: "the clock is capped",
    1 << 2: "it is throttled",
    1 << 3: "it is at its soft temperature limit",
}
"""What the bits of a Pi's firmware mean."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was measured."""

    memory: int
    """Bytes that this program and its model take."""
    free: int
    """Bytes that are left on the machine."""
    temperature: float | None = None
    """Of the processor, in degrees Celsius."""
    trouble: str = ""
    """Why a Pi is slower than it could be."""

    def words(self) -> Iterator[str]:
        """What stands in the status line."""
        yield f"{self.memory / GIB:.1f} GiB"
        if self.temperature is not None and self.temperature >= HOT:
            yield f"{self.temperature:.0f} °C"
        if self.trouble:
            yield self.trouble

    def lines(self) -> Iterator[str]:
        """What stands in the panel."""
        yield f"Memory          {self.memory / GIB:.2f} GiB"
        yield f"  free          {self.free / GIB:.2f} GiB"
        if self.temperature is not None:
            yield f"Temperature     {self.temperature:.0f} °C"
        if self.trouble:
            yield f"Slowed down     {self.trouble}"


def measure(root: Path = Path("/")) -> Vitals:
    """Look at this process, its children and the machine."""
    import psutil

    own = psutil.Process(os.getpid())
    memory = 0
    for process in (own, *own.children(recursive=True)):
        try:
            memory += process.memory_info().rss
        except psutil.Error:
            continue
    free = psutil.virtual_memory().available
    return Vitals(memory, free, temperature(root), trouble(root))


def temperature(root: Path) -> float | None:
    """The hottest thermal zone."""
    found = []
    for zone in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        try:
            found.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):
            continue
    return max(found, default=None)


def trouble(root: Path) -> str:
    """What a Pi's firmware says of its voltage and its clock."""
    path = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    try:
        bits = int(path.read_text(), 16)
    except (OSError, ValueError):
        return ""
    return ", ".join(words for bit, words in THROTTLED.items() if bits & bit)
