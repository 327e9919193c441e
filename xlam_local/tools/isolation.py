"""Programs cut off from the rest of the machine: bubblewrap on Linux, sandbox-exec on a Mac."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import ToolError

BUBBLEWRAP = "bwrap"
COVERED = ("/tmp", "/var/tmp", "/run", "/home", "/root", "/media", "/mnt", "/srv")
"""Folders that an isolated program finds empty: other programs' files, sockets, other disks."""
BESIDE_PROGRAMS = ("lib", "lib64", "libexec", "pyvenv.cfg")
"""What programs in a folder `bin` read beside it."""
PLACES = ("/usr/bin", "/bin", "/usr/local/bin")
"""Where the sandbox's own program is looked for; the user's PATH may hold anything."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What an isolated program sees."""

    folder: Path
    """The one folder that it may write in."""
    network: bool = False
    hidden: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()


def walled(command: Sequence[str], walls: Walls) -> list[str]:
    """The command that runs `command` isolated.

    Raises:
        ToolError: this machine cannot isolate a program, or not in this folder.
    """
    if why := why_not():
        raise ToolError(why)
    folder = walls.folder.resolve()
    if folder == Path("/"):
        raise ToolError("A program cannot be isolated where the whole system is its folder.")
    if sys.platform == "darwin":
        return [_program("sandbox-exec"), "-p", profile(walls), *command]
    return [*bubblewrapped(walls, folder), "--", *command]


@lru_cache(maxsize=1)
def why_not() -> str:
    """Why programs cannot be isolated here, as a sentence; nothing if they can."""
    if sys.platform == "darwin":
        return "" if _program("sandbox-exec") else "This Mac has no sandbox-exec."
    program = _program(BUBBLEWRAP)
    if not program:
        return "Isolation needs bubblewrap; install the package `bubblewrap`."
    probe = [program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    try:
        tried = subprocess.run(
            [*probe, "true"], capture_output=True, timeout=10, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return "bubblewrap does not run on this machine."
    said = " ".join(tried.stderr.split()).rstrip(".")
    return (
        f"bubblewrap cannot isolate programs on this machine: {said}." if tried.returncode else ""
    )


def belongings(program: Path) -> tuple[Path, ...]:
    """What a program needs to see of itself where it stands in a covered folder.

    That is its file; and of a prefix (`bin` with `lib` beside it, as in a virtual environment) the
    programs and their libraries, but nothing else that may stand there: `~/.local` also holds
    `share`, with its user's data.
    """
    found: list[Path] = []
    for path in {program.absolute(): None, program.resolve(): None}:
        if not any(path.is_relative_to(place) for place in _covered()):
            continue
        if path.parent.name != "bin":
            found.append(path)
            continue
        prefix = path.parent.parent
        parts = (prefix / name for name in ("bin", *BESIDE_PROGRAMS))
        found.extend(part for part in parts if part.exists())
        python = prefix / "bin" / "python"
        if (prefix / "pyvenv.cfg").exists() and python.resolve() not in {python, path}:
            found.extend(belongings(python.resolve()))
    return tuple(dict.fromkeys(found))


def _covered() -> list[Path]:
    """The folders that are covered, outer ones first."""
    places = map(Path, sorted({*COVERED, str(Path.home())}))
    return [place for place in places if place.is_dir() and not place.is_symlink()]


def bubblewrapped(walls: Walls, folder: Path) -> Iterator[str]:
    """bubblewrap's arguments: a system that is only read, and one folder that is not."""
    yield from (_program(BUBBLEWRAP), "--unshare-all", "--die-with-parent", "--new-session")
    yield from ("--cap-drop", "ALL", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
    for place in _covered():
        yield from ("--tmpfs", str(place))
    if walls.network:
        names = str(Path("/etc/resolv.conf").resolve())
        yield from ("--share-net", "--ro-bind-try", names, names)
    for path in walls.readable:
        yield from ("--ro-bind", str(path), str(path))
    yield from ("--bind", str(folder), str(folder))
    for path in walls.hidden:
        if path.is_dir():
            yield from ("--tmpfs", str(path.resolve()))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path.resolve()))
    yield from ("--chdir", str(folder))


def profile(walls: Walls) -> str:
    """sandbox-exec's rules for the same; of two that apply, it takes the later."""
    folder = json.dumps(str(walls.folder.resolve()))
    home = json.dumps(str(Path.home()))
    rules = [
        "(version 1)",
        "(allow default)",
        "(deny file-write*)",
        f"(deny file-read* (subpath {home}))",
        *(f"(allow file-read* (subpath {json.dumps(str(path))}))" for path in walls.readable),
        f'(allow file-write* (subpath {folder}) (literal "/dev/null"))',
        f"(allow file-read* (subpath {folder}))",
        *(f"(deny file* (subpath {json.dumps(str(path))}))" for path in walls.hidden),
    ]
    if not walls.network:
        rules.append("(deny network*)")
    return "\n".join(rules)


def _program(name: str) -> str:
    for place in PLACES:
        if (Path(place) / name).is_file():
            return str(Path(place) / name)
    return ""
