"""Memory, temperature and throttling of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ... import hardware

GIB = 1 << 30
HOT_CELSIUS = 75.0
"""Temperature from which on the status bar shows it."""


@dataclass(frozen=True, slots=True)
class SystemStats:
    """One measurement."""

    memory: int
    """Bytes that this program and its child processes use."""
    available: int
    """Bytes that are available on the machine."""
    temperature: float | None = None
    """Degrees Celsius of the hottest sensor."""
    throttling: str = ""
    """Why a Raspberry Pi is throttled; empty if it is not."""

    def status_parts(self) -> Iterator[str]:
        """Yield the texts of the status bar."""
        yield f"{self.memory / GIB:.1f} GiB"
        if self.temperature is not None and self.temperature >= HOT_CELSIUS:
            yield f"{self.temperature:.0f} °C"
        if self.throttling:
            yield self.throttling

    def panel_lines(self) -> Iterator[str]:
        """Yield the lines of the statistics panel."""
        yield f"Memory          {self.memory / GIB:.2f} GiB"
        yield f"  available     {self.available / GIB:.2f} GiB"
        if self.temperature is not None:
            yield f"Temperature     {self.temperature:.0f} °C"
        if self.throttling:
            yield f"Throttled       {self.throttling}"


def measure(root: Path = Path("/")) -> SystemStats:
    """Measure this process, its child processes and the machine.

    `root` is the root of the file system with the sensors of Linux.
    """
    own = psutil.Process(os.getpid())
    memory = 0
    for process in (own, *own.children(recursive=True)):
        try:
            memory += process.memory_info().rss
        except psutil.Error:
            continue
    available = psutil.virtual_memory().available
    throttling = " and ".join(hardware.throttling_reasons(root))
    return SystemStats(memory, available, hardware.temperature(root), throttling)
