"""The user's own keys: `keys.toml` says which keys stand for what."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path

from ..errors import UsageError


def keymap(path: Path, known: Collection[str]) -> dict[str, str]:
    """The keys in the file at `path`, by the name of what they do.

    Raises:
        UsageError: names what is wrong in it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}; the usual keys hold.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    for name, keys in table.items():
        if name not in known:
            listed = ", ".join(sorted(known))
            raise UsageError(f"{path}: nothing is called {name!r}; there are {listed}.")
        if not isinstance(keys, str) or not keys.strip():
            raise UsageError(f"{path}: {name} needs a key as text, for example 'ctrl+t'.")
    return {str(name): str(keys) for name, keys in table.items()}
