"""Access files in one folder: resolve and check their paths, and open them without links."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from ..atomic_file import lock
from ..errors import ToolError
from .sandbox.system_paths import own_code

SYSTEM_FOLDERS = (Path("/proc"), Path("/sys"), Path("/dev"))
"""Folders whose entries are not files: they reveal or change the state of the system."""
MAX_LINKS = 40
"""How many links are followed, as on Linux."""
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SafeFolder:
    """The folder that file tools may work in."""

    root: Path
    """Its resolved path, which contains no links."""
    protected: tuple[Path, ...] = ()
    """Resolved paths that tools must not access, even inside the folder."""

    @classmethod
    def from_path(cls, path: Path, protected: Sequence[Path] = ()) -> SafeFolder:
        """Return the folder at `path`, which may contain links."""
        places = [place for item in protected for place in (item, item.resolve())]
        return cls(path.resolve(), tuple(dict.fromkeys(places)))

    def resolve(self, path: str) -> Path:
        """Return the resolved path of a file in the folder, whether it exists or not.

        Raises:
            ToolError: the file is outside the folder, or is protected.
        """
        try:
            resolved = (self.root / path).resolve()
        except (ValueError, RuntimeError, OSError) as error:
            raise ToolError(f"{path!r} is not a path.") from error
        if not resolved.is_relative_to(self.root):
            raise ToolError(f"{path} is outside the working folder.")
        if self.is_protected(resolved):
            raise ToolError(f"{path} is protected: tools must not access it.")
        return resolved

    def is_protected(self, resolved: Path) -> bool:
        """Return whether tools must not access a path.

        Case and Unicode form are ignored, as by the file systems of macOS.
        """
        return is_within(resolved, (*SYSTEM_FOLDERS, *self.protected))

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the first bytes of a file.

        Raises:
            ToolError: the path is not allowed, or is not a readable file.
        """
        resolved = self.resolve(path)
        with self.tool_errors(path), self._open_parent(resolved) as (folder_fd, name):
            # Without O_NONBLOCK, opening a named pipe waits until another process writes to it.
            fd = os.open(name, OPEN_FLAGS | os.O_NONBLOCK, dir_fd=folder_fd)
            with os.fdopen(fd, "rb") as file:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise ToolError(f"{path} is not a file.")
                return file.read(max_bytes)

    def list_entries(self, path: str, max_entries: int) -> tuple[list[str], int]:
        """Return descriptions of the first entries of a folder, and the number of all entries.

        Raises:
            ToolError: the path is not allowed, or is not a readable folder.
        """
        resolved = self.resolve(path)
        parts = resolved.relative_to(self.root).parts
        with self.tool_errors(path), self._open_folder(parts) as folder_fd:
            names = sorted(os.listdir(folder_fd))  # noqa: PTH208 -- a descriptor is no path
            return [_describe_entry(folder_fd, name) for name in names[:max_entries]], len(names)

    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file atomically. A file that exists keeps its mode.

        Raises:
            ToolError: the path is not allowed, is code of this program, or cannot be written.
        """
        resolved = self.resolve(path)
        if is_within(resolved, own_code()):
            raise ToolError(
                f"{path} is code of xlam-local or its Python: tools must not change it."
            )
        with self.tool_errors(path), self._open_parent(resolved) as (folder_fd, name):
            mode = _file_mode(folder_fd, name, path)
            lock(folder_fd)
            # A killed program leaves its temporary file, which the next write removes.
            temporary = f".xlam-local-{sha256(os.fsencode(name)).hexdigest()[:16]}.new"
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder_fd)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o666, dir_fd=folder_fd)
            try:
                with os.fdopen(fd, "wb") as file:
                    if mode is not None:
                        os.fchmod(fd, mode)
                    file.write(data)
                os.replace(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder_fd)
                raise

    @contextmanager
    def tool_errors(self, path: str) -> Iterator[None]:
        """Turn the operating system's errors about `path` into ToolErrors."""
        try:
            yield
        except OSError as error:
            raise ToolError(f"{path}: {error.strerror}.") from error

    @contextmanager
    def _open_parent(self, resolved: Path) -> Iterator[tuple[int, str]]:
        """Open the folder that contains a resolved path; yield its descriptor and the last name."""
        parts = resolved.relative_to(self.root).parts
        if not parts:
            raise ToolError("The working folder itself is not a file.")
        with self._open_folder(parts[:-1]) as folder_fd:
            yield folder_fd, parts[-1]

    @contextmanager
    def _open_folder(self, parts: Sequence[str]) -> Iterator[int]:
        """Open a folder below the root step by step and yield its descriptor.

        No step follows a link, so a folder that was replaced by one after the path was resolved
        is an error.
        """
        folder_fd = os.open(self.root, OPEN_FLAGS | os.O_DIRECTORY)
        try:
            for part in parts:
                subfolder_fd = os.open(part, OPEN_FLAGS | os.O_DIRECTORY, dir_fd=folder_fd)
                os.close(folder_fd)
                folder_fd = subfolder_fd
            yield folder_fd
        finally:
            os.close(folder_fd)


def is_within(resolved: Path, paths: Sequence[Path]) -> bool:
    """Return whether a path is one of `paths` or below one, regardless of case."""
    name = _casefold_path(resolved)
    return any(name.is_relative_to(_casefold_path(path)) for path in paths)


def link_chain(path: Path) -> list[Path]:
    """Return the locations of all links on the way to a path, and its resolved location.

    The folders of each location are resolved; its last name is not.
    """
    chain: list[Path] = []
    for _ in range(MAX_LINKS):
        place = path.parent.resolve() / path.name
        chain += _linked_folders(path)
        if place in chain or not place.is_symlink():
            return [*chain, place]
        chain.append(place)
        path = place.parent / place.readlink()
    return chain


def _linked_folders(path: Path) -> list[Path]:
    """Return the places of the folders above a path that are links."""
    return [
        parent.parent.resolve() / parent.name
        for parent in Path(os.path.abspath(path)).parents  # noqa: PTH100 -- links stay
        if parent.is_symlink()
    ]


@lru_cache(maxsize=1024)
def _casefold_path(path: Path) -> Path:
    return Path(unicodedata.normalize("NFKC", str(path)).casefold())


def _describe_entry(folder_fd: int, name: str) -> str:
    """Return the name of an entry and what it is, without following links."""
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return f"{name} (cannot be read)"
    if stat.S_ISLNK(status.st_mode):
        return f"{name} (a link)"
    return f"{name}/" if stat.S_ISDIR(status.st_mode) else f"{name} ({status.st_size} bytes)"


def _file_mode(folder_fd: int, name: str, path: str) -> int | None:
    """Return the mode of a file, or None if there is none."""
    try:
        status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{path} is not a file.")
    return stat.S_IMODE(status.st_mode)
