"""Isolate programs from the rest of the machine: bubblewrap on Linux, sandbox-exec on macOS.

SECURITY.md says what is isolated and what is not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ...errors import ToolError
from ...types import Sandbox
from . import bubblewrap, sandbox_exec
from .config import Isolation
from .system_paths import is_system_path

PREFIX_ENTRIES = ("lib", "lib64", "libexec", "pyvenv.cfg")
"""What programs in a folder `bin` read from the folder above it."""
REFUSED_FOLDERS = {
    *("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/opt", "/proc", "/run", "/sbin", "/sys"),
    *("/usr", "/var", "/home", "/System", "/Library", "/private", "/private/etc", "/private/var"),
    "/Users",
}
"""Folders of the system, and of all users, in which no program can be isolated."""


def isolated_command(
    command: Sequence[str], isolation: Isolation
) -> tuple[list[str], tuple[int, ...]]:
    """Return a command that runs `command` isolated, and the descriptors that it inherits.

    The caller closes the descriptors.

    Raises:
        ToolError: this machine cannot isolate programs, or not in this working folder.
    """
    if reason := unavailable_reason(Sandbox.ISOLATED):
        raise ToolError(reason)
    cwd = check_folder(isolation.cwd)
    for path in isolation.hidden:
        if path.is_symlink() and path.parent.resolve().is_relative_to(cwd):
            raise ToolError(
                f"{path} is a link in the working folder that leads to settings of xlam-local. An "
                "isolated program could replace it. Move the link out of the working folder."
            )
    if sys.platform == "darwin":
        program, profile = _sandbox_exec(), sandbox_exec.profile(isolation, cwd)
        return [program, "-p", profile, *command], ()
    files = bubblewrap.memory_files(isolation.network)
    return [*bubblewrap.arguments(isolation, cwd, files), "--", *command], tuple(files.values())


def check_folder(folder: Path) -> Path:
    """Return the resolved working folder of an isolated program.

    Raises:
        ToolError: the folder belongs to the system.
    """
    cwd = folder.resolve()
    if str(cwd) in REFUSED_FOLDERS:
        raise ToolError(f"A program cannot be isolated with {cwd} as its working folder.")
    return cwd


def unavailable_reason(level: Sandbox) -> str:
    """Return a sentence that says why this machine lacks a level, or nothing if it has it."""
    if level is not Sandbox.ISOLATED:
        return ""
    if sys.platform == "darwin":
        return "" if _sandbox_exec() else "This Mac has no sandbox-exec."
    return bubblewrap.unavailable_reason()


def best_available() -> Sandbox:
    """Return the strongest level that this machine has."""
    return Sandbox.LIMITS if unavailable_reason(Sandbox.ISOLATED) else Sandbox.ISOLATED


def _sandbox_exec() -> str:
    return bubblewrap.system_program("sandbox-exec")


def required_paths(program: Path) -> tuple[Path, ...]:
    """Return what a program needs to read of its own installation outside of the system's folders.

    That is its file. If it is in the folder `bin` of a prefix, such as a virtual environment, it is
    the programs and libraries of the prefix, but nothing else: `~/.local` also holds `share`, with
    the user's data.
    """
    required: list[Path] = []
    for path in {program.absolute(): None, program.resolve(): None}:
        if is_system_path(path):
            continue
        if path.is_relative_to("/opt"):
            required.append(Path(*path.parts[:3]))  # the folder of a package
            continue
        if path.parent.name != "bin":
            required.append(path)
            continue
        prefix = path.parent.parent
        entries = (prefix / name for name in ("bin", *PREFIX_ENTRIES))
        required.extend(entry for entry in entries if entry.exists())
        python = prefix / "bin" / "python"
        if (prefix / "pyvenv.cfg").exists() and python.resolve() not in {python, path}:
            required.extend(required_paths(python.resolve()))
    return tuple(dict.fromkeys(required))
