"""How a program runs: its folder, sandbox level, limits and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...types import Sandbox

INHERITED_VARIABLES = (
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER"),
)
"""What a program inherits besides PATH, unless its level is `none`. No variable holds a token."""
MAX_TIMEOUT_S = 3600
"""The longest timeout that a tool may declare."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The resources that a program may use."""

    timeout: float = 30.0
    """Seconds until it is killed."""
    cpu_seconds: int = 30
    """CPU time of each process; 0 means no limit."""
    memory_bytes: int = 4 << 30
    """Address space of each process. macOS does not support this limit."""
    file_bytes: int = 256 << 20
    """Size of each file that it writes."""
    output_bytes: int = 1 << 20
    """Size of stdout and stderr together. A program that writes more is killed."""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Where and how a program runs."""

    cwd: Path
    """The working folder; the only one in which an isolated program may write."""
    level: Sandbox = Sandbox.LIMITS
    limits: Limits = Limits()
    network: bool = False
    """Whether an isolated program may use the network. Other levels do not restrict it."""
    hidden: tuple[Path, ...] = ()
    """Paths that an isolated program cannot see, even inside the working folder."""
    readable: tuple[Path, ...] = ()
    """Paths that an isolated program can read, even inside the home folder."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables to set in addition to the inherited ones."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What an isolated program can see."""

    cwd: Path
    """The only folder that it may write in."""
    network: bool = False
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    """Paths in the working folder that it must not change."""
    memory_bytes: int = Limits().memory_bytes
    """How much it may write into folders in memory."""


def parse_gib(value: object) -> int:
    """Convert a number of GiB from a tool file to bytes.

    Raises:
        TypeError: the value is not a number, or is not positive and below 2**20.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1 << 20:
        raise TypeError
    return int(value * (1 << 30))


def program_environment(env: Mapping[str, str], level: Sandbox = Sandbox.LIMITS) -> dict[str, str]:
    """Return the environment of a program: inherited variables, overridden by `env`."""
    if level is Sandbox.NONE:
        return {**os.environ, **env}
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # A relative folder would let the working folder replace a program.
    path = os.pathsep.join(folder for folder in folders if Path(folder).is_absolute())
    return {"PATH": path, "TERM": "dumb", **inherited, **env}
