"""The leaderboard's original checker, in an isolated process."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checker_process import CheckerProcess

Json = Mapping[str, Any]

WORKER = Path(__file__).with_name("bfcl_worker.py")
TIMEOUT_S = 300.0
"""How long one answer may take; the original executes what the model calls."""


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt of a case, to which the original waits for a reply."""

    messages: Sequence[Json]
    functions: Sequence[Json]
    allowed: Sequence[Json]
    """The functions that may be called: also those that a later message has added."""
    prompt: str
    """The prompt that the original handler of xLAM's Qwen models writes."""


class Checker(CheckerProcess):
    """A process with the original code. One thread at a time may use it."""

    def __init__(self, folders: Sequence[Path], timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(WORKER, folders, timeout_s)

    def cases(self, category: str) -> Sequence[Json]:
        """Return the cases of a category, as the original shows them to a model."""
        cases: Sequence[Json] = self.request({"cases": category})["cases"]
        return cases

    def judge(self, category: str, case_id: str, reply: str) -> Json:
        """Return the original's verdict on the reply to a single-turn case."""
        return self.request({"judge": case_id, "category": category, "reply": reply})

    def judge_entry(self, category: str, entry: Json, answer: Any, reply: str) -> Json:
        """Return the original's verdict on the reply to a case that is not the leaderboard's."""
        return self.request(
            {"entry": entry, "category": category, "answer": answer, "reply": reply}
        )

    def multi_turn(self, category: str, case_id: str) -> Generator[Query, str, Json]:
        """Play a case with the original loop: yield queries, take replies, return the verdict."""
        message = self.request({"multi_turn": case_id, "category": category})
        while "query" in message:
            try:
                reply = yield Query(**message["query"])
            except BaseException:
                if self.running:
                    self.request({"abort": True})
                raise
            message = self.request({"reply": reply})
        return message
