"""The address of a remote engine: a URL, the model, and where the key comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from ..errors import UsageError

DEFAULT_KEY_ENV = "XLAM_REMOTE_KEY"
"""The environment variable with the key, unless an entry of models.toml names another."""
HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """Where a remote engine is."""

    url: str
    """Without a slash at its end, and without `/v1`."""
    model: str = ""
    """The model's id on the server; empty for the only one."""
    key_env: str = DEFAULT_KEY_ENV
    prompt_format: str = ""
    """The family of the model's prompts, if the user has set one."""

    @property
    def host(self) -> str:
        """The host name or IP address, without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine, so that the conversation does not leave it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("https:")

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the key from the environment, or an empty string.

        Raises:
            UsageError: it has a character that no header can contain.
        """
        key = environment.get(self.key_env, "").strip()
        if key and not HEADER_VALUE.fullmatch(key):
            raise UsageError(
                f"The key in the environment variable {self.key_env} has a character that is not "
                "allowed in an HTTP header."
            )
        return key


def is_url(name: str | None) -> bool:
    """Return whether the name of a model is the URL of a remote engine."""
    return bool(name) and re.match(r"https?://", str(name), re.IGNORECASE) is not None


def parse_url(text: str) -> RemoteAddress:
    """Return the address that a URL such as `http://host:8000#model` names.

    Raises:
        UsageError: it is not the URL of a server.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is not a URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"{text!r} is not the URL of a server, such as http://host:8000#model.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The URL of {parts.hostname} contains a user name or a password. Set the key in the "
            f"environment variable {DEFAULT_KEY_ENV} instead."
        )
    if parts.query:
        raise UsageError(f"The URL of {parts.hostname} has a query (?{parts.query}); remove it.")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return RemoteAddress(urlunsplit((parts.scheme, parts.netloc, path, "", "")), parts.fragment)
