"""The programs and scripts in the working folder that a tool file runs.

The user trusts a tool file with what it runs. A program of the system is found on the PATH, but one
that the file names by a relative path is whatever lies in the working folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[^\s;&|<>()'\"`=]+")
"""Parts of an argument that can be a path, also in the script of `sh -c` and after `--option=`."""
_SCRIPT_SUFFIXES = {
    *(".py", ".pyz", ".sh", ".bash", ".zsh", ".fish", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl"),
    *(".php", ".lua", ".r", ".ps1", ".tcl", ".awk", ".sed", ".jq", ".jar", ".exe", ".bat", ".mk"),
}
_MODULE_FILES = ("{}.py", "{}/__main__.py", "{}/__init__.py")
"""What `python -m NAME` runs."""
_HASH_BLOCK_BYTES = 1 << 20


def program_paths(data: Mapping[str, Any], cwd: Path) -> Iterator[Path]:
    """Yield the programs and scripts that the commands of a parsed file name in a folder.

    A program that does not exist is among them, because it can be created later.
    """
    for table in data["tool"]:
        command = table.get("command") if isinstance(table, Mapping) else None
        if isinstance(command, list) and command:
            top = Path(str(table.get("cwd", "."))).expanduser()
            yield from _named_programs(list(_texts(command)), cwd / top, cwd)


def program_hash(paths: Iterator[Path] | tuple[Path, ...]) -> str:
    """Return a hash of the content of files; a file that cannot be read has none."""
    combined = hashlib.sha256()
    for path in paths:
        combined.update(f"{path}\0{_file_hash(path)}\0".encode("utf-8", "surrogatepass"))
    return combined.hexdigest()


def _texts(command: list[Any]) -> Iterator[str]:
    for part in command:
        yield from (str(text) for text in (part if isinstance(part, list) else [part]))


def _named_programs(texts: list[str], folder: Path, cwd: Path) -> Iterator[Path]:
    for number, text in enumerate(texts):
        for word in _WORD.findall(text):
            path = folder / word
            is_program = number == 0 and "/" in word
            is_inside = not Path(word).is_absolute() or path.is_relative_to(cwd)
            if is_inside and (is_program or _is_script(path)):
                yield path
        if number and texts[number - 1] == "-m":
            yield from (folder / name.format(text.replace(".", "/")) for name in _MODULE_FILES)


def _is_script(path: Path) -> bool:
    """Return whether a path has the name of a script, or is a file that can be executed."""
    try:
        return path.suffix.lower() in _SCRIPT_SUFFIXES or (
            path.is_file() and os.access(path, os.X_OK)
        )
    except (OSError, ValueError):
        return False


def _file_hash(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                found.update(block)
    except (OSError, ValueError):
        return ""
    return found.hexdigest()
