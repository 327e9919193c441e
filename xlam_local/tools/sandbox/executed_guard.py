"""Keep isolated programs from changing files that other programs execute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ...errors import ToolError
from ...permissions.executed_files import executed_file

MAX_ENTRIES = 200_000
"""How many files and folders of the working folder are looked at."""
BLOCKED_SUFFIX = ".blocked"

Identity = tuple[int, int, str]
"""The device and the number of a file, and where it leads if it is a link."""


class ExecutedGuard:
    """The files in a folder that other programs execute, before an isolated program runs.

    Those that exist are mounted read-only. Those that the program creates or replaces are
    renamed when it has ended.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = {path: _identity(path) for path in _executed_files(folder)}

    @property
    def read_only(self) -> Iterator[Path]:
        """Yield what is mounted read-only; a link cannot be."""
        return (path for path, (_, _, target) in self._before.items() if not target)

    def block_new(self) -> list[str]:
        """Rename what is new, and return the old names, relative to the folder."""
        new = [
            path
            for path in _executed_files(self._folder)
            if self._before.get(path) != _identity(path)
        ]
        for path in new:
            _rename(path)
        return [str(path.relative_to(self._folder)) for path in new]


def _executed_files(folder: Path) -> Iterator[Path]:
    """Yield the files and folders that other programs execute, without what is in them."""
    entries = 0
    for parent, subfolders, files in os.walk(folder):
        top = Path(parent).relative_to(folder)
        found = [name for name in (*subfolders, *files) if executed_file(top / name)]
        yield from (folder / top / name for name in found)
        subfolders[:] = [name for name in subfolders if name not in found]
        entries += len(subfolders) + len(files)
        if entries > MAX_ENTRIES:
            raise ToolError(
                f"The folder {folder} has more than {MAX_ENTRIES:,} entries, so files that other "
                "programs execute cannot be protected. Use a smaller working folder."
            )


def _identity(path: Path) -> Identity:
    target, status = "", None
    with suppress(OSError):
        target = str(path.readlink())
    with suppress(OSError):
        status = path.lstat()
    return (status.st_dev, status.st_ino, target) if status else (0, 0, target)


def _rename(path: Path) -> None:
    number, blocked = 1, path.with_name(path.name + BLOCKED_SUFFIX)
    while blocked.is_symlink() or blocked.exists():
        number += 1
        blocked = path.with_name(f"{path.name}{BLOCKED_SUFFIX}{number}")
    path.rename(blocked)
