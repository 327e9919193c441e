"""The user of a scenario: says lines in order, and answers questions from a fact sheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from .scenario import Fact, Scenario

UNKNOWN = "I don't know."
MAX_USER_MESSAGES = 12
"""After this many messages a run ends, for example if the model asks without end."""
REQUEST = re.compile(
    r"\?|\b(?:please|could you|can you|let me know|tell me|i need|i require|provide|specify|"
    r"missing)\b",
    re.IGNORECASE,
)
"""What makes an answer one that asks for something."""


class UserPlayer(Protocol):
    """Plays the user of one run."""

    kind: str
    """How the user is played."""
    broken: int
    """How many messages said what the user cannot know."""

    def first(self) -> str:
        """Return the request."""

    def reply(self, answer: str, is_done: Callable[[], bool]) -> str | None:
        """Return what the user says to an answer; None if the conversation is over."""

    @property
    def gave_up(self) -> bool:
        """Whether the user has answered too often."""


class ScriptedUser:
    """Plays the user of a scenario, always in the same way."""

    def __init__(self, scenario: Scenario, _seed: int = 0) -> None:
        self.kind = scenario.user_kind
        self.broken = 0
        self._facts = scenario.facts
        self._lines = list(scenario.user)
        self.said = 0
        """How many messages the user has sent."""

    def first(self) -> str:
        """Return the request."""
        self.said += 1
        return self._lines.pop(0)

    def reply(self, answer: str, is_done: Callable[[], bool]) -> str | None:
        """Return what the user says to an answer; None if the conversation is over.

        A question that names facts is answered by them; then come the lines that are left.
        `is_done` returns whether the user has what was wanted.
        """
        if not self._lines and (not self._facts or is_done()):
            return None
        asks = REQUEST.search(answer) is not None
        self.said += 1
        if asks and (known := asked_facts(answer, self._facts)):
            return " ".join(f"The {fact.words[0]} is {fact.value}." for fact in known)
        if self._lines:
            return self._lines.pop(0)
        return UNKNOWN if asks else None

    @property
    def gave_up(self) -> bool:
        """Whether the user has answered too often."""
        return self.said >= MAX_USER_MESSAGES


def asked_facts(question: str, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts whose words are in a question."""
    return [fact for fact in facts if any(_has_word(question, word) for word in fact.words)]


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}s?(?!\w)", text, re.IGNORECASE) is not None
