"""The built-in tools for the files under one folder."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import ToolError
from ..types import Effect, Tool
from .functions import tool
from .paths import Folder

MOST_BYTES = 20_000
"""The most of a file that one call reads."""
MOST_ENTRIES = 200
"""The most names that one call lists."""
MOST_FOUND = 100
"""The most lines that one search finds."""
MOST_SEARCHED = 1 << 20
"""The largest file that is searched or edited, in bytes."""
MOST_LINE = 200
"""The most of a line that a search shows."""


def file_tools(folder: Folder) -> tuple[Tool, ...]:
    """The tools that list, read, search, write and edit files."""
    return (*_readers(folder), *_writers(folder))


def _readers(within: Folder) -> Iterator[Tool]:
    @tool(Effect.READ)
    def list_files(folder: str = ".") -> str:
        """List the files and folders in a folder.

        Args:
            folder: A path relative to the working folder; "." is the working folder itself.
        """
        return _listing(within, folder)

    @tool(Effect.READ)
    def read_file(path: str) -> str:
        """Read a text file.

        Args:
            path: A path relative to the working folder.
        """
        return _read(within, path)

    @tool(Effect.READ)
    def search_files(text: str, names: str = "*") -> str:
        """Find files by words in their names or in their lines.

        Args:
            text: The words to find.
            names: Which files to look in, for example *.py.
        """
        return _found(within, text, names)

    yield from (list_files, read_file, search_files)


def _writers(folder: Folder) -> Iterator[Tool]:
    @tool(Effect.WRITE)
    def write_file(path: str, text: str) -> str:
        """Write a text file, in place of the one that may be there.

        Args:
            path: A path relative to the working folder.
            text: All that the file shall hold.
        """
        data = text.encode()
        folder.write(path, data)
        return f"Wrote {len(data)} bytes to {path}."

    @tool(Effect.WRITE)
    def edit_file(path: str, old: str, new: str) -> str:
        """Change one place in a text file.

        Args:
            path: A path relative to the working folder.
            old: The text to replace, exactly as it stands there once.
            new: The text to put in its place.
        """
        _, after = _edited(folder, path, old, new)
        folder.write(path, after.encode())
        return f"Changed {path}."

    def written(path: str, text: str) -> str:
        return _diff(path, _present(folder, path), text)

    def edited(path: str, old: str, new: str) -> str:
        return _diff(path, *_edited(folder, path, old, new))

    yield replace(write_file, preview=written)
    yield replace(edit_file, preview=edited)


def _listing(folder: Folder, path: str) -> str:
    shown, count = folder.entries(path, MOST_ENTRIES)
    if count > MOST_ENTRIES:
        shown.append(f"({count - MOST_ENTRIES} more are not shown.)")
    return "\n".join(shown) or "(empty)"


def _read(folder: Folder, path: str) -> str:
    data = folder.read(path, MOST_BYTES + 1)
    try:
        text = data[:MOST_BYTES].decode()
    except UnicodeDecodeError as error:
        if error.start < MOST_BYTES - 3 or len(data) <= MOST_BYTES:
            raise ToolError(f"{path} is not a text file.") from error
        text = data[: error.start].decode()
    cut = f"\n(The file goes on; these are its first {MOST_BYTES} bytes.)"
    return text + (cut if len(data) > MOST_BYTES else "")


def _found(folder: Folder, text: str, names: str) -> str:
    if not text.strip():
        raise ToolError("There are no words to find.")
    hits = list(itertools.islice(_hits(folder, text.lower(), names), MOST_FOUND + 1))
    shown = hits[:MOST_FOUND]
    if len(hits) > MOST_FOUND:
        shown.append(f"(There are more; these are the first {MOST_FOUND}.)")
    return "\n".join(shown) or f"Nothing has {text!r}."


def _hits(folder: Folder, wanted: str, names: str) -> Iterator[str]:
    for path in _files(folder):
        if not fnmatch.fnmatch(Path(path).name, names) and not fnmatch.fnmatch(path, names):
            continue
        if wanted in path.lower():
            yield path
        try:
            data = folder.read(path, MOST_SEARCHED)
        except ToolError:
            continue
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if wanted in line.lower():
                yield f"{path}:{number}: {line.strip()[:MOST_LINE]}"


def _files(folder: Folder) -> Iterator[str]:
    """The files under the folder, but for what is hidden or closed; no link is followed."""
    for place, below, files in os.walk(folder.top):
        below[:] = sorted(name for name in below if not name.startswith("."))
        here = Path(place)
        if folder.closes(here):
            below.clear()
            continue
        for name in sorted(files):
            yield str((here / name).relative_to(folder.top))


def _edited(folder: Folder, path: str, old: str, new: str) -> tuple[str, str]:
    """A file's text, and what it becomes."""
    data = folder.read(path, MOST_SEARCHED + 1)
    if len(data) > MOST_SEARCHED:
        raise ToolError(f"{path} has more than {MOST_SEARCHED:,} bytes.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not a text file.") from error
    count = text.count(old) if old else 0
    if count != 1:
        how = f"{count} times" if count else "nowhere"
        raise ToolError(f"The text to replace stands {how} in {path}; it has to be there once.")
    return text, text.replace(old, new)


def _present(folder: Folder, path: str) -> str:
    """The text that is in a file now; nothing where there is none yet."""
    with folder.told(path):
        if not folder.inside(path).exists():
            return ""
    data = folder.read(path, MOST_SEARCHED)
    return "(not text)\n" if b"\0" in data else data.decode("utf-8", "replace")


def _diff(path: str, before: str, after: str) -> str:
    """What a write changes, as a unified diff."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), f"{path} (now)", f"{path} (then)", lineterm=""
    )
    same = (
        f"{path} stays as it is." if before == after else f"{path} changes in its last line break."
    )
    return "\n".join(lines) or same


def _lines(text: str) -> list[str]:
    """The lines of a text; a form feed, which Python takes for an end too, ends none elsewhere."""
    return text.removesuffix("\n").split("\n") if text else []
