"""The errors of remote engines."""

from __future__ import annotations

from ..errors import ModelError, UsageError


class RemoteError(ModelError):
    """A remote engine cannot be reached, refuses a request, or answers with something else."""

    retry_after_s: float | None = None
    """When the server wants to be asked again."""
    retryable = False
    """Whether the same request may succeed later."""
    status = 0
    """The HTTP status; 0 without an answer."""


class RemoteNotAllowed(UsageError):
    """The user has not allowed that conversations are sent to this host."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The model runs on {host}: the conversation, with all that tools return, would be "
            f"sent there. Allow it with --allow-remote {host}, or add the host to allow_remote in "
            "config.toml."
        )
        self.host = host
