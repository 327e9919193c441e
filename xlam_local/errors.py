"""Everything the project raises on purpose, with its exit code."""

from __future__ import annotations


class XlamError(Exception):
    """Base class: the message is a sentence for the user."""

    exit_code = 1


class UsageError(XlamError):
    """The user asked for something in a form that cannot be read."""

    exit_code = 2


class ToolFileError(UsageError):
    """A file of tools, or one of its tools, is not what it should be."""


class SchemaError(XlamError):
    """A tool's schema asks for what cannot be honoured."""

    exit_code = 2


class Unsatisfiable(SchemaError):
    """Nothing can match a schema."""


class GrammarError(XlamError):
    """A grammar cannot be loaded."""

    exit_code = 2


class ModelMissing(XlamError):
    """A model is not installed."""

    exit_code = 3


class OutOfMemory(XlamError):
    """A model or its context does not fit."""

    exit_code = 4


class ReplyError(XlamError):
    """What the model wrote is neither an answer nor whole calls."""

    exit_code = 5


class ReplyCut(XlamError):
    """A reply ran out of room."""


class EndlessTurn(XlamError):
    """A turn went on and on without an answer."""

    exit_code = 8


class ToolError(XlamError):
    """A tool could not do what it was asked; the model is told why."""

    exit_code = 7


class IntegrityError(XlamError):
    """A file is not what it claims to be."""

    exit_code = 9


class ModelError(XlamError):
    """llama.cpp cannot load or run a model."""


class EngineStopped(ModelError):
    """The process in which llama.cpp runs ended, or no longer answers."""

    killed = False
    """Whether it was killed from outside, as the system does when memory runs out."""


class Cancelled(XlamError):
    """What was going on was cancelled."""

    exit_code = 130


class PromptError(XlamError):
    """A conversation cannot be made into a prompt."""


class HistoryError(XlamError):
    """The history cannot be read or written now."""
