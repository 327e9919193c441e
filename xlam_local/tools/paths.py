"""Files under one folder: resolved before they are judged, opened so that no link leads away."""

from __future__ import annotations

import os
import secrets
import stat
import unicodedata
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
        if self.closes(found):
            raise ToolError(f"{path} is closed to tools.")
        return found

    def closes(self, found: Path) -> bool:
        """Whether a path is closed, in any letters: Macs do not tell a name from its capitals."""
        plain = _plain(found)
        return any(plain.is_relative_to(_plain(one)) for one in (*NEVER, *self.closed))

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

    def entries(self, path: str, most: int) -> tuple[list[str], int]:
        """The first names in a folder, each with what it is, and how many there are in all.

        Raises:
            ToolError: it is outside, or no folder.
        """
        found = self.inside(path)
        with self.told(path), self._opened(found.relative_to(self.top).parts) as folder:
            names = sorted(os.listdir(folder))  # noqa: PTH208 -- a descriptor is no path
            return [_entry(folder, name) for name in names[:most]], len(names)

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
        """The folder that a resolved path stands in, and its last name."""
        parts = found.relative_to(self.top).parts
        if not parts:
            raise ToolError("The working folder itself is not a file.")
        with self._opened(parts[:-1]) as folder:
            yield folder, parts[-1]

    @contextmanager
    def _opened(self, parts: Sequence[str]) -> Iterator[int]:
        """A folder under the top, opened step by step.

        No step follows a link, so a folder swapped for one since it was resolved is an error.
        """
        folder = os.open(self.top, LOOK | os.O_DIRECTORY)
        try:
            for part in parts:
                below = os.open(part, LOOK | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


def _plain(path: Path) -> Path:
    return Path(unicodedata.normalize("NFKC", str(path)).casefold())


def _entry(folder: int, name: str) -> str:
    """What stands under a name; no link is followed."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return f"{name} (cannot be read)"
    if stat.S_ISLNK(found.st_mode):
        return f"{name} (a link)"
    return f"{name}/" if stat.S_ISDIR(found.st_mode) else f"{name} ({found.st_size} bytes)"


def _mode(folder: int, name: str, path: str) -> int | None:
    """The permissions of the file that is there; None where there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{path} is not a file.")
    return stat.S_IMODE(found.st_mode)
