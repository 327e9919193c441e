"""Errors of requests, in OpenAI's form, with their HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..errors import (
    ContextExceeded,
    EngineCrashed,
    GrammarError,
    InvalidReply,
    OutOfMemory,
    PromptError,
    SchemaError,
    UsageError,
    XlamError,
)

log = logging.getLogger(__name__)

INVALID_REQUEST = "invalid_request_error"


class ApiError(XlamError):
    """A request that is answered with an error."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """OpenAI's type of the error."""
        return ERROR_TYPES.get(self.status, INVALID_REQUEST if self.status < 500 else SERVER_ERROR)


SERVER_ERROR = "server_error"
ERROR_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    503: "overloaded_error",
}
STATUS: tuple[tuple[type[XlamError], int, str | None], ...] = (
    (ContextExceeded, 400, "context_length_exceeded"),
    (PromptError, 400, None),
    (UsageError, 400, None),
    (SchemaError, 400, "invalid_schema"),
    (GrammarError, 400, "invalid_grammar"),
    # Clients repeat a request after a status of 500 or more by themselves, and litellm after 422;
    # the correction of the reply was that second attempt.
    (InvalidReply, 400, "invalid_reply"),
    (OutOfMemory, 503, "out_of_memory"),
    (EngineCrashed, 500, "engine_crashed"),
)
"""The HTTP status and OpenAI's code of each of our errors; the first that fits counts."""


def api_error(error: Exception) -> ApiError:
    """Return an error as the answer to a request; a bug is logged with its traceback."""
    if isinstance(error, ApiError):
        return error
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            return ApiError(str(error), status=status, code=code)
    if isinstance(error, XlamError):
        return ApiError(str(error), status=500)
    log.error("a request failed", exc_info=error)
    return ApiError("The server has a bug; its log has the traceback.", status=500, code="bug")


def error_json(error: ApiError) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    return {
        "error": {
            "message": str(error),
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }
