"""Files and folders with keys, passwords and tokens, hidden from tools and isolated programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...permissions import credential_files


def credential_paths() -> tuple[Path, ...]:
    """Return the listed paths in the user's home folder, and those of the system that exist.

    A path that is a link is replaced by what it leads to.
    """
    home = Path.home()
    listed = (home / name for name in credential_files.HOME_PATHS)
    system = (Path(path) for path in credential_files.SYSTEM_PATHS if os.path.lexists(path))
    return tuple(map(_target, (*listed, *system)))


def hidden_in_home(cwd: Path) -> tuple[Path, ...]:
    """Return the hidden files and folders of the home folder if it is in the working folder.

    Any of them may hold credentials. Those that programs are started from stay visible.
    """
    home = Path.home().resolve()
    if not credential_files.is_broad(cwd.resolve(), home):
        return ()
    needed = list(_program_folders())
    with suppress(OSError):
        return tuple(
            _target(path)
            for path in sorted(home.iterdir())
            if path.name.startswith(".") and not any(one.is_relative_to(path) for one in needed)
        )
    return ()


def _target(path: Path) -> Path:
    """Return where a path leads if it is a link."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path  # noqa: PTH114 -- never an error


def _program_folders() -> Iterator[Path]:
    """Yield the folders that programs and this interpreter are in, also with links resolved."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), sys.prefix, sys.base_prefix]
    for folder in filter(None, folders):
        yield Path(folder)
        with suppress(OSError, RuntimeError):
            yield Path(folder).resolve()
