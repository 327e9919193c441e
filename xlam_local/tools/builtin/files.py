"""The built-in tools for files in one folder."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import ToolError
from ...permissions.credential_files import holds_credentials, is_broad, is_private_in_home
from ...types import Effect, Tool
from ..python.decorator import tool
from ..safe_paths import SafeFolder

MAX_READ_BYTES = 20_000
"""How much of a file one call reads."""
MAX_ENTRIES = 200
"""How many entries of a folder one call lists."""
MAX_MATCHES = 100
"""How many matches one search returns."""
MAX_SEARCHED_BYTES = 1 << 20
"""How much of a file is searched, and the largest file that can be edited."""
MAX_LINE_CHARS = 200
"""How much of a matching line a search returns."""


def file_tools(folder: SafeFolder) -> tuple[Tool, ...]:
    """Return the tools that list, read, search, write and edit files."""
    return (*_read_tools(folder), *_write_tools(folder))


def _read_tools(safe_folder: SafeFolder) -> Iterator[Tool]:
    @tool(Effect.READ)
    def list_files(folder: str = ".") -> str:
        """List the files and folders in a folder.

        Args:
            folder: A path relative to the working folder. Leave it out to list the working folder.
        """
        return _list_folder(safe_folder, folder)

    @tool(Effect.READ)
    def read_file(path: str) -> str:
        """Read a text file.

        Args:
            path: A path relative to the working folder.
        """
        return _read_text(safe_folder, path)

    @tool(Effect.READ)
    def search_files(text: str, names: str = "*") -> str:
        """Search files for text, in their names and in their lines.

        Args:
            text: The text to find.
            names: Which files to look in, for example *.py.
        """
        return _search(safe_folder, text, names)

    yield from (list_files, read_file, search_files)


def _write_tools(folder: SafeFolder) -> Iterator[Tool]:
    @tool(Effect.WRITE)
    def write_file(path: str, text: str) -> str:
        """Write a text file, replacing the one that exists.

        Args:
            path: A path relative to the working folder.
            text: The complete new text of the file.
        """
        data = text.encode()
        folder.write(path, data)
        return f"Wrote {len(data)} bytes to {path}."

    @tool(Effect.WRITE)
    def edit_file(path: str, old: str, new: str) -> str:
        """Change one place in a text file.

        Args:
            path: A path relative to the working folder.
            old: The text to replace; it must occur exactly once.
            new: The text to put there instead.
        """
        _, edited = _replace_once(folder, path, old, new)
        folder.write(path, edited.encode())
        return f"Changed {path}."

    def preview_write(path: str, text: str) -> str:
        return _diff(path, _current_text(folder, path), text)

    def preview_edit(path: str, old: str, new: str) -> str:
        return _diff(path, *_replace_once(folder, path, old, new))

    yield replace(write_file, preview=preview_write)
    yield replace(edit_file, preview=preview_edit)


def _list_folder(folder: SafeFolder, path: str) -> str:
    entries, count = folder.list_entries(path, MAX_ENTRIES)
    if count > MAX_ENTRIES:
        entries.append(f"({count - MAX_ENTRIES} more are not shown.)")
    return "\n".join(entries) or "(empty)"


def _read_text(folder: SafeFolder, path: str) -> str:
    data = folder.read(path, MAX_READ_BYTES + 1)
    try:
        text = data[:MAX_READ_BYTES].decode()
    except UnicodeDecodeError as error:
        # The limit may have cut the last character, which has four bytes at most.
        if error.start < MAX_READ_BYTES - 3 or len(data) <= MAX_READ_BYTES:
            raise ToolError(f"{path} is not a text file.") from error
        text = data[: error.start].decode()
    if len(data) <= MAX_READ_BYTES:
        return text
    return f"{text}\n(Truncated: these are the first {MAX_READ_BYTES:,} bytes of the file.)"


def _search(folder: SafeFolder, text: str, names: str) -> str:
    if not text.strip():
        raise ToolError("The text to find is empty.")
    matches = _matches(folder, text.lower(), names)
    found = list(itertools.islice(matches, MAX_MATCHES + 1))
    lines = found[:MAX_MATCHES]
    if len(found) > MAX_MATCHES:
        lines.append(f"(There are more matches; these are the first {MAX_MATCHES}.)")
    return "\n".join(lines) or f"No file matches {text!r}."


def _matches(folder: SafeFolder, text: str, names: str) -> Iterator[str]:
    """Yield the files whose path contains the lower-case `text`, and the lines that contain it."""
    for path in _walk(folder):
        if not fnmatch.fnmatch(Path(path).name, names) and not fnmatch.fnmatch(path, names):
            continue
        if text in path.lower():
            yield path
        try:
            data = folder.read(path, MAX_SEARCHED_BYTES)
        except ToolError:
            continue
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if text in line.lower():
                yield f"{path}:{number}: {line.strip()[:MAX_LINE_CHARS]}"


def _walk(folder: SafeFolder) -> Iterator[str]:
    """Yield the paths of all files, except those in hidden or protected folders; follow no links.

    Files that hold credentials are left out, too: reading one of them needs approval.
    """
    home = Path.home().resolve()
    broad = is_broad(folder.root, home)
    for parent, subfolders, files in os.walk(folder.root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if folder.is_protected(Path(parent)):
            subfolders.clear()
            continue
        for name in sorted(files):
            path = Path(parent) / name
            if not holds_credentials(path, home) and not (broad and is_private_in_home(path, home)):
                yield str(path.relative_to(folder.root))


def _replace_once(folder: SafeFolder, path: str, old: str, new: str) -> tuple[str, str]:
    """Return the text of a file before and after an edit."""
    data = folder.read(path, MAX_SEARCHED_BYTES + 1)
    if len(data) > MAX_SEARCHED_BYTES:
        raise ToolError(f"{path} is larger than {MAX_SEARCHED_BYTES:,} bytes.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a text file.") from error
    count = text.count(old) if old else 0
    if count != 1:
        raise ToolError(
            f"The text to replace must occur exactly once in {path}; it occurs {count} times."
        )
    return text, text.replace(old, new)


def _current_text(folder: SafeFolder, path: str) -> str | None:
    """Return the text of a file for a diff; None if the file does not exist."""
    with folder.tool_errors(path):
        if not folder.resolve(path).exists():
            return None
    data = folder.read(path, MAX_SEARCHED_BYTES)
    return "(not text)\n" if b"\0" in data else data.decode("utf-8", "replace")


def _diff(path: str, before: str | None, after: str) -> str:
    """Return a unified diff of what a write changes; None before it is a file that is new."""
    names = ("no file", f"{path} (new file)")
    if before is not None:
        names = (f"{path} (now)", f"{path} (new)")
    lines = difflib.unified_diff(_lines(before or ""), _lines(after), *names, lineterm="")
    if before is None and not after:
        return f"{path} is a new file without text."
    if diff := "\n".join(lines):
        return diff
    return (
        f"{path} does not change."
        if before == after
        else f"{path}: only the last line break changes."
    )


def _lines(text: str) -> list[str]:
    """Split a text at line breaks only; `str.splitlines` also splits at form feeds and others."""
    return text.removesuffix("\n").split("\n") if text else []
