"""The bearer token of the server: made once, in a private file."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import atomic_file
from ..errors import UsageError

TOKEN_FILE = "server-token"
TOKEN_VARIABLE = "XLAM_LOCAL_TOKEN"
TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The token, and where it comes from."""

    value: str
    source: str
    """The variable or the file that holds it."""
    new: bool = False
    """Whether it was made just now."""


def access_token(folder: Path, environment: Mapping[str, str]) -> AccessToken:
    """Return the token in XLAM_LOCAL_TOKEN or in the file in `folder`, which is made if needed.

    Raises:
        UsageError: the token is empty or has other characters than visible ASCII, or the file
            cannot be read or written.
    """
    if TOKEN_VARIABLE in environment:
        return AccessToken(_checked(environment[TOKEN_VARIABLE], TOKEN_VARIABLE), TOKEN_VARIABLE)
    path = folder / TOKEN_FILE
    try:
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            made = secrets.token_urlsafe(TOKEN_BYTES)
            atomic_file.write_text(path, f"{made}\n")
            return AccessToken(made, str(path), new=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"The token file {path} cannot be used: {reason}.") from error
    return AccessToken(_checked(text.strip(), str(path)), str(path))


def _checked(token: str, source: str) -> str:
    if not token or not all("!" <= char <= "~" for char in token):
        raise UsageError(f"{source} holds no token: one line of visible ASCII characters.")
    return token
