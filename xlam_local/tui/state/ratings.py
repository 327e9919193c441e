"""Rate saved answers, and export those that are rated up as training data."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ...errors import UsageError
from ...history import History
from ...history.training import ExportReport, Selection, rows, saved_conversation
from ...history.training.folder import write_folder
from ...types import AssistantMessage

FORM = "messages"
NEXT_RATING = {0: 1, 1: -1, -1: 0}
"""Up, down, none, and up again."""
RATING_TEXTS = {
    1: "The last answer is rated up.",
    -1: "The last answer is rated down.",
    0: "The last answer is not rated.",
}


def last_rating(history: History, conversation: int) -> int:
    """Return the rating of the last answer of a conversation; 0 if it has none."""
    return history.ratings(conversation).get(_last_answer(history, conversation), 0)


def rate_last_answer(history: History, conversation: int) -> str:
    """Give the last answer of a conversation the next rating; return a sentence.

    Raises:
        UsageError: the conversation has no answer.
        HistoryError: the history cannot be written.
    """
    place = _last_answer(history, conversation)
    if place < 0:
        raise UsageError("This conversation has no answer to rate.")
    rating = NEXT_RATING[history.ratings(conversation).get(place, 0)]
    history.rate(conversation, place, rating)
    return RATING_TEXTS[rating]


def export_rated(history: History, cwd: Path) -> str:
    """Write replies that are rated up to a new folder in the working folder; return a sentence.

    Raises:
        UsageError: nothing is rated up, texts look like secrets, or the folder cannot be written.
    """
    rated = [one.id for one in history.summaries() if 1 in history.ratings(one.id).values()]
    if not rated:
        raise UsageError("No reply is rated up, so there is nothing to export.")
    report = ExportReport()
    conversations = [saved_conversation(history, number) for number in reversed(rated)]
    found = rows(FORM, conversations, Selection(rated=True), report)
    if report.secrets:
        raise UsageError(
            f"{report.secrets} texts look like secrets, so nothing was written. If they may be in "
            f"the file, use `xlam-local history export --all --as {FORM} --rated --yes FOLDER`."
        )
    folder = cwd / f"training-{datetime.now():%Y%m%d-%H%M%S}"
    write_folder(folder, FORM, found, report)
    return f"Training rows: {report.row_count}, in {folder}. REPORT.md has the details."


def _last_answer(history: History, conversation: int) -> int:
    """Return the index of the last answer; -1 if there is none."""
    messages = history.messages(conversation)
    return max(
        (n for n, one in enumerate(messages) if isinstance(one, AssistantMessage)), default=-1
    )
