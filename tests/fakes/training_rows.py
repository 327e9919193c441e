"""Conversations that trainers are tested with, and the tokens that they should train on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import CALL, play
from xlam_local import prompt
from xlam_local.engine.llama_model import LlamaModel
from xlam_local.history import History
from xlam_local.history.training import ExportReport, Selection, TrainingConversation, rows
from xlam_local.history.training.folder import write_folder
from xlam_local.types import PromptPart

TWO_CALLS = (
    '[{"name": "weather", "arguments": {"city": "Oslo"}}, '
    '{"name": "weather", "arguments": {"city": "Ünix \\"x\\""}}]'
)
CLOCK_CALL = '[{"name": "clock", "arguments": {}}]'
FAMILIES = {"qwen2": prompt.QWEN, "llama": prompt.LLAMA}
"""The prompt formats of the tiny models, by their architectures."""


@dataclass(frozen=True, slots=True)
class TrainedRow:
    """The tokens of a row, and whether each is learned."""

    tokens: tuple[int, ...]
    learned: tuple[bool, ...]

    @property
    def learned_parts(self) -> list[tuple[int, ...]]:
        """The runs of tokens that are learned."""
        parts: list[list[int]] = []
        before = False
        for token, learned in zip(self.tokens, self.learned, strict=True):
            if learned:
                parts = parts if before else [*parts, []]
                parts[-1].append(token)
            before = learned
        return [tuple(part) for part in parts]


def sample_history(path: Path, family: prompt.Family) -> History:
    """Write two conversations with six messages of the model."""
    history = History(path)
    for replies, texts in (
        (
            [TWO_CALLS, " 4 degrees.\n", f"I will look.\n{CALL}", "Cold."],
            ("Warmer?\n", "And Åsgård?"),
        ),
        ([CLOCK_CALL, "It is 12:00 (noon) ☀."], ("What time is it?",)),
    ):
        engine = Scripted(*([text] for text in replies))
        engine.prompt_format = family
        play(history, engine, *texts)
    return history


def export(history: History, form: str, folder: Path) -> ExportReport:
    """Write an export of all conversations, as `history export --all --as FORM` does."""
    report = ExportReport()
    found = rows(form, training_conversations(history), Selection(), report)
    write_folder(folder, form, found, report)
    return report


def training_conversations(history: History) -> list[TrainingConversation]:
    """Return all conversations of a history, the oldest first."""
    return [
        TrainingConversation(
            one, history.messages(one.id), history.replies(one.id), history.ratings(one.id)
        )
        for one in sorted(history.summaries(), key=lambda one: one.id)
    ]


def expected_turns(history: History, model: LlamaModel) -> Iterator[TrainedRow]:
    """Yield a row for each reply, as the engine reads and writes it."""
    for conversation in training_conversations(history):
        yield from _turns(conversation, model)


def expected_conversations(history: History, model: LlamaModel) -> Iterator[TrainedRow]:
    """Yield a row for each conversation, with all its replies learned."""
    for conversation in training_conversations(history):
        turns = list(_turns(conversation, model))
        learned = [False] * len(turns[-1].tokens)
        for turn in turns:
            assert turns[-1].tokens[: len(turn.tokens)] == turn.tokens
            start = len(turn.tokens) - sum(turn.learned)
            learned[start : len(turn.tokens)] = [True] * sum(turn.learned)
        yield TrainedRow(turns[-1].tokens, tuple(learned))


def _turns(conversation: TrainingConversation, model: LlamaModel) -> Iterator[TrainedRow]:
    for place in conversation.model_places:
        reply, before = conversation.replies[place], conversation.messages[:place]
        form = reply.prompt_format
        assert isinstance(form, prompt.Family)
        read = model.tokenize(prompt.render(before, reply.tools, form))
        following = prompt.render(conversation.messages[: place + 1], reply.tools, form)
        rendered = prompt.text(prompt.render(before, reply.tools, form))
        said = prompt.text(following)[len(rendered) :].partition(form.end)[0]
        written = model.tokenize((PromptPart(said), PromptPart(form.end, special=True)))
        learned = [False] * len(read) + [True] * len(written)
        yield TrainedRow((*read, *written), tuple(learned))


def read_rows(text: str) -> list[TrainedRow]:
    """Return the rows that a trainer's program prints."""
    found: Sequence[dict[str, Any]] = json.loads(text.splitlines()[-1])
    return [TrainedRow(tuple(row["tokens"]), tuple(row["learned"])) for row in found]
