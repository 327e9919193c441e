"""Files under one folder: resolved before they are judged, opened so that no link leads away."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolError

NEVER = (Path("/proc"), Path("/sys"), Path("/dev"))
"""What is no file, though it looks like one: it tells of this program, or acts."""
LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that tools may work in."""

    top: Path
    """Its path, with no link left in it."""
    closed: tuple[Path, ...] = ()
    """What tools do not reach, though it may be under the folder."""

    @classmethod
    def at(cls, path: Path, closed: Sequence[Path] = ()) -> Folder:
        """The folder at `path`."""
        return cls(path.resolve(), tuple(one.resolve() for one in closed))

    def inside(self, path: str) -> Path:
        """The file at `path`, links followed, if it is under the folder.

        Raises:
            ToolError: it is outside, or closed.
        """
        try:
            found = (self.top / path).resolve()
        except (ValueError, RuntimeError, OSError) as error:
            raise ToolError(f"{path!r} is not a path.") from error
        if not found.is_relative_to(self.top):
            raise ToolError(f"{path} is outside the working folder.")
        if any(found.is_relative_to(one) for one in (*NEVER, *self.closed)):
            raise ToolError(f"{path} is closed to tools.")
        return found

    def read(self, path: str, most: int) -> bytes:
        """The first bytes of a file.

        Raises:
            ToolError: it is outside, or there is no such file.
        """
        found = self.inside(path)
        with self.told(path), self._parent(found) as (folder, name):
            # Without O_NONBLOCK, a named pipe would wait for somebody to write.
            descriptor = os.open(name, LOOK | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ToolError(f"{path} is not a file.")
                return file.read(most)

    def write(self, path: str, data: bytes) -> None:
        """Put a file in the place of the one that may be there, at once and whole.

        Raises:
            ToolError: it is outside, or cannot be written.
        """
        found = self.inside(path)
        with self.told(path), self._parent(found) as (folder, name):
            mode = _mode(folder, name, path)
            temporary = f".{secrets.token_hex(8)}.new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if mode is not None:
                        os.fchmod(descriptor, mode)
                    file.write(data)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    @contextmanager
    def told(self, path: str) -> Iterator[None]:
        """Turn what the system says of `path` into words for the model."""
        try:
            yield
        except OSError as error:
            raise ToolError(f"{path}: {error.strerror}.") from error

    @contextmanager
    def _parent(self, found: Path) -> Iterator[tuple[int, str]]:
        """The folder that a resolved path stands in, opened step by step, and its last name.

        No step follows a link, so a folder swapped for one since it was resolved is an error.
        """
        parts = found.relative_to(self.top).parts
        if not parts:
            raise ToolError("The working folder itself is not a file.")
        folder = os.open(self.top, LOOK | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                below = os.open(part, LOOK | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder, parts[-1]
        finally:
            os.close(folder)


def _mode(folder: int, name: str, path: str) -> int | None:
    """The permissions of the file that is there; None where there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{path} is not a file.")
    return stat.S_IMODE(found.st_mode)
