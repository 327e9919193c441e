"""How the computer does: memory, temperature, a Pi's throttling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
HOT = 75.0
"""Degrees from which on the temperature is worth a word."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was measured."""

    memory: int
    """Bytes that this program and its model take."""
    free: int
    """Bytes that are left on the machine."""
    temperature: float | None = None
    """Of the hottest part, in degrees Celsius."""
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

    from .. import machine

    own = psutil.Process(os.getpid())
    memory = 0
    for process in (own, *own.children(recursive=True)):
        try:
            memory += process.memory_info().rss
        except psutil.Error:
            continue
    free = psutil.virtual_memory().available
    return Vitals(memory, free, machine.temperature(root), " and ".join(machine.slowed(root)))
