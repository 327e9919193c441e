"""A scenario: a start state, what the user wants, and what a run must leave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..types import ToolCall


@dataclass(frozen=True, slots=True)
class FixtureFunction:
    """A Python function in a file: one that sets up a world, or checks one."""

    path: Path
    name: str
    text: str
    """The content of the file when it was read; later changes have no effect."""

    @property
    def place(self) -> str:
        """The file and the name, for messages."""
        return f"{self.path}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartState:
    """What is in the fresh working folder of a run."""

    folder: Path | None = None
    """A folder that is copied."""
    database: Path | None = None
    """A SQLite file that is copied, or a .sql script that makes one of the same name."""
    setup: FixtureFunction | None = None
    """A function that gets the folder and fills it, after the folder and the database."""
    ignore: tuple[str, ...] = ()
    """Patterns of file names and TABLE.COLUMN, which do not count when states are compared."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the user knows and tells if the model asks for it."""

    name: str
    value: str
    words: tuple[str, ...]
    """Words by which a question asks for it, the name included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One task."""

    name: str
    where: str
    """Its place in the file, for error messages."""
    start: StartState
    user: tuple[str, ...]
    """What the user says, in order."""
    facts: tuple[Fact, ...] = ()
    calls: tuple[ToolCall, ...] | None = None
    """The calls that lead to the right end state; None if only other checks decide."""
    says: tuple[str, ...] = ()
    """Texts that the model's answers must contain."""
    forbid: tuple[str, ...] = ()
    """Tools that must not be called."""
    expect: FixtureFunction | None = None
    """A function that gets the folder and the messages, and returns what is wrong, or None."""
    system: str = ""
    proposed: str = ""
    """The model that drafted it, and when the user kept it; empty if the user wrote it."""
    digest: str = ""
    """The hash of all that decides a run, start state included."""

    @property
    def user_kind(self) -> str:
        """How the user is played: by a script, or by a script and a fact sheet."""
        return "fact sheet" if self.facts else "scripted"
