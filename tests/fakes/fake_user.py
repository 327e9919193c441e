"""A user who is asked, for tests of what runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from xlam_local.consent import Consent
from xlam_local.session import Session
from xlam_local.types import Decision, Question, Result, Tool

from .scripted import Scripted


class User:
    """Answers what it is asked, and keeps the questions."""

    def __init__(self, *answers: Decision) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    def __call__(self, question: Question) -> Decision:
        self.asked.append(question)
        return self.answers.pop(0)


def said(name: str, **arguments: Any) -> list[str]:
    """What a model writes that calls a tool."""
    return [json.dumps([{"name": name, "arguments": arguments}])]


def play(consent: Consent, user: User, *calls: list[str], tools: Sequence[Tool]) -> list[Result]:
    """What comes of calls in a session."""
    session = Session(Scripted(*calls, ["Done."]), tools, user)
    session.consent = consent
    session.ask("Go.")
    return [message for message in session.messages if isinstance(message, Result)]
