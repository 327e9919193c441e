"""Every error that the package raises deliberately, with its exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import Done, FinishReason


class XlamError(Exception):
    """Base class; the message is a sentence for the user."""

    exit_code = 1


class UsageError(XlamError):
    """An option, argument or configuration file is invalid."""

    exit_code = 2


class ToolFileError(UsageError):
    """A tool file, or a tool in it, is invalid."""


class SchemaError(XlamError):
    """A tool's JSON Schema cannot be enforced."""

    exit_code = 2


class Unsatisfiable(SchemaError):
    """A schema accepts no value."""


class GrammarError(XlamError):
    """A grammar cannot be loaded."""

    exit_code = 2


class ModelMissing(XlamError):
    """A model is not installed."""

    exit_code = 3


class OutOfMemory(XlamError):
    """A model or its context does not fit in memory."""

    exit_code = 4


class InvalidReply(XlamError):
    """A reply is neither an answer nor complete tool calls."""

    exit_code = 5


class ReplyTruncated(XlamError):
    """A reply reached the token limit before it was complete."""


class TurnLimitExceeded(XlamError):
    """A turn reached one of its limits without an answer."""

    exit_code = 8


class ToolError(XlamError):
    """A tool failed; the model reads the message."""

    exit_code = 7


class IntegrityError(XlamError):
    """A file is damaged or has the wrong checksum."""

    exit_code = 9


class ModelError(XlamError):
    """llama.cpp cannot load or run a model."""


class EngineCrashed(ModelError):
    """The llama.cpp process exited or no longer responds."""

    killed = False
    """Whether it was killed by SIGKILL, as the out-of-memory killer does."""


class Cancelled(XlamError):
    """The user cancelled the operation."""

    exit_code = 130


class PromptError(XlamError):
    """A conversation cannot be rendered as a prompt."""


class ContextExceeded(PromptError):
    """A conversation does not fit the context window."""


class HistoryError(XlamError):
    """The history cannot be read or written."""


class ReplayMismatch(XlamError):
    """A recording has no reply for what the model is asked."""


FINISH_ERRORS: Mapping[FinishReason, tuple[type[XlamError], str]] = {
    "length": (
        ReplyTruncated,
        "The reply was truncated at the token limit. Raise max_tokens or the context size.",
    ),
    "invalid_tool_calls": (
        InvalidReply,
        "The model's tool calls were still invalid after one correction.",
    ),
    "max_steps": (
        TurnLimitExceeded,
        "The turn ended without an answer: it reached the maximum number of replies.",
    ),
    "loop": (
        TurnLimitExceeded,
        "The turn ended without an answer: the model repeated the same tool calls.",
    ),
    "repeated_error": (
        TurnLimitExceeded,
        "The turn ended without an answer: the same error occurred three times.",
    ),
    "timeout": (
        TurnLimitExceeded,
        "The turn ended without an answer: it reached its time limit.",
    ),
    "token_budget": (
        TurnLimitExceeded,
        "The turn ended without an answer: it used its token budget.",
    ),
}
"""The finish reasons that are errors; all others end a turn normally."""


def error_for(done: Done) -> XlamError | None:
    """Return the error for a turn's finish reason, or None if the turn ended normally."""
    if done.answered or done.finish_reason not in FINISH_ERRORS:
        return None
    kind, message = FINISH_ERRORS[done.finish_reason]
    return kind(message)
