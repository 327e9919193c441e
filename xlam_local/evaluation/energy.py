"""The energy that the processors use, where Linux tells it (RAPL)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
MICRO = 1e-6


class EnergyMeter:
    """Sums the energy of all processor packages; reading it often needs root."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._zones = [path for path in folder.glob("*rapl:*") if path.name.count(":") == 1]
        self._last = {zone: _read(zone / "energy_uj") for zone in self._zones}

    def take(self) -> float | None:
        """Return the joules since the last call, of everything on the machine; None if unknown."""
        total: float | None = None
        for zone in self._zones:
            before, now = self._last[zone], _read(zone / "energy_uj")
            self._last[zone] = now
            if before is not None and now is not None:
                used = now - before
                if used < 0:  # the counter has wrapped
                    used += _read(zone / "max_energy_range_uj") or 0
                total = (total or 0.0) + used * MICRO
        return total


def _read(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None
