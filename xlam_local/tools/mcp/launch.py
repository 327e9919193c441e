"""How a server is launched: its command, environment and folder, which the user trusts.

A server does not start in the working folder: `python -m NAME` would run a NAME.py there, and `npx`
a package of its node_modules. Files of the working folder that a command names are found by their
full path, which is part of what the user trusts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..variables import expand_variables
from .config import ServerConfig

INHERITED_VARIABLES = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
)
"""Environment variables that a server inherits; `env` of mcp.json adds others."""
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables whose values are not shown."""


def command(config: ServerConfig, folder: Path) -> tuple[str, ...]:
    """Return the program and its arguments, with the full paths of files in the working folder."""
    program = config.command
    if "/" in program and not program.startswith(("/", "~", "${")):
        program = str((folder / program).resolve())
    return program, *(_full_path(folder, word) for word in config.args)


def _full_path(folder: Path, word: str) -> str:
    """Return a word, or the path of what it names in the working folder.

    Names that may be those of packages or subcommands are no paths: `@scope/name`, `run`.
    """
    is_path = word in (".", "..") or word.startswith(("./", "../"))
    if is_path:
        return str((folder / word).resolve())
    if word.startswith(("-", "/", "~", "@", "${")) or not Path(word).suffix:
        return word
    try:
        return str((folder / word).resolve()) if (folder / word).is_file() else word
    except (OSError, ValueError):
        return word


def trusted_launch(config: ServerConfig, folder: Path) -> str:
    """Return everything in mcp.json that decides what runs, as one text."""
    return json.dumps(
        {
            "command": command(config, folder) if config.command else (),
            "env": dict(config.env),
            "cwd": _folder(config, folder),
            "url": config.url,
            "headers": dict(config.headers),
        },
        sort_keys=True,
    )


def describe(config: ServerConfig, folder: Path) -> Iterator[str]:
    """Yield lines about what runs, for the user who decides whether to trust it."""
    if config.url:
        yield f"URL: {config.url}"
    else:
        yield f"Command: {shlex.join(command(config, folder))}"
        yield f"Folder: {_folder(config, folder) or 'an empty folder of its own'}"
    for title, values in (("Variable", config.env), ("Header", config.headers)):
        for name, value in values.items():
            hidden = SECRET_NAME.search(name) and "${" not in value
            yield f"{title}: {name}={'…' if hidden else value}"


def environment(config: ServerConfig, folder: Path) -> dict[str, str]:
    """Return the environment of a server.

    Raises:
        ToolError: a variable is not set.
    """
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    if "PATH" in inherited:
        inherited["PATH"] = search_path(inherited["PATH"], folder)
    return inherited | {key: expand_variables(value) for key, value in config.env.items()}


def search_path(path: str, folder: Path) -> str:
    """Return PATH without relative folders, and those within the working folder last."""
    folders = [each for each in map(Path, path.split(os.pathsep)) if each.is_absolute()]
    top = folder.resolve()
    within = [each for each in folders if each.resolve().is_relative_to(top)]
    return os.pathsep.join(map(str, [*(each for each in folders if each not in within), *within]))


def start_folder(config: ServerConfig, folder: Path, own: Path) -> Path:
    """Return the folder to start a server in: `cwd` of its entry, or its own, which is created.

    Raises:
        ToolError: a variable is not set.
    """
    if config.cwd:
        return folder / Path(expand_variables(config.cwd)).expanduser()
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own


def _folder(config: ServerConfig, folder: Path) -> str:
    """Return `cwd`, with its full path if it is relative to the working folder."""
    cwd = config.cwd
    return cwd if not cwd or cwd.startswith(("/", "~", "${")) else str((folder / cwd).resolve())
