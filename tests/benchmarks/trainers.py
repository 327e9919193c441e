"""Measure whether trainers keep the text and the loss mask of our exports.

usage: python -m tests.benchmarks.trainers [trl] [llama-factory] [action-studio --source FOLDER]

Each trainer reads exports of two conversations with six messages of the model, in an environment of
its own that is made at the first run. The tokens that it trains on are compared with those that the
engine reads and writes. FOLDER is a copy of github.com/SalesforceAIResearch/xLAM, whose converter
and loader run. The output is a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.resources import fetch
from tests.fakes.tiny_models import tiny_model
from tests.fakes.trainers import trained_rows
from tests.fakes.training_rows import (
    FAMILIES,
    TrainedRow,
    expected_conversations,
    expected_turns,
    export,
    sample_history,
)
from xlam_local.engine.llama_model import LlamaModel

QWEN_TEMPLATE = "Qwen-Qwen2.5-7B-Instruct.jinja"


@dataclass(frozen=True, slots=True)
class Experiment:
    """An export that a trainer reads."""

    trainer: str
    form: str
    architecture: str = "qwen2"
    per_conversation: bool = False
    """Whether the trainer makes one row of each conversation, not of each reply."""


EXPERIMENTS = (
    Experiment("trl", "turns"),
    Experiment("trl", "turns", "llama"),
    Experiment("trl", "messages", per_conversation=True),
    Experiment("trl", "messages", "llama", per_conversation=True),
    Experiment("llama-factory", "turns"),
    Experiment("llama-factory", "turns", "llama"),
    Experiment("llama-factory", "sharegpt", per_conversation=True),
    Experiment("llama-factory", "sharegpt", "llama", per_conversation=True),
    Experiment("action-studio", "actionstudio"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many of the expected rows a trainer keeps, and in which of them it keeps what."""

    expected: int
    kept: int
    exact_texts: int
    """Rows with the tokens that the engine reads and writes."""
    exact_replies: int
    """Rows whose learned tokens are those that the model writes."""


def run(experiment: Experiment, source: Path | None = None) -> Outcome:
    """Let a trainer read an export, and compare its rows with the engine's tokens."""
    family = FAMILIES[experiment.architecture]
    path = tiny_model(experiment.architecture)
    with tempfile.TemporaryDirectory() as name, closing(LlamaModel(path, 0)) as model:
        folder = Path(name)
        extra: tuple[Path, ...] = ()
        if experiment.trainer == "action-studio":
            assert source is not None, "Name a copy of the repository with --source."
            extra = (source, fetch("chat-templates") / QWEN_TEMPLATE)
        with closing(sample_history(folder / "history.db", family)) as history:
            export(history, experiment.form, folder / "rows")
            make = expected_conversations if experiment.per_conversation else expected_turns
            expected = list(make(history, model))
        found = trained_rows(experiment.trainer, path, folder / "rows", family.end, *extra)
    return compare(expected, found)


def compare(expected: Sequence[TrainedRow], found: Sequence[TrainedRow]) -> Outcome:
    """Compare rows; a trainer may have changed their order."""
    texts = [row.tokens for row in expected]
    replies = [row.learned_parts for row in expected]
    return Outcome(
        len(expected),
        len(found),
        sum(row.tokens in texts for row in found),
        sum(row.learned_parts in replies for row in found),
    )


def table(trainers: Sequence[str], source: Path | None) -> Iterator[str]:
    """Yield the lines of a table of all experiments with some trainers."""
    yield "| export | model | trainer | rows kept | prompt and reply exact | learned exactly |"
    yield "|---|---|---|---|---|---|"
    for one in EXPERIMENTS:
        if one.trainer in trainers:
            outcome = run(one, source)
            counts = (outcome.kept, outcome.exact_texts, outcome.exact_replies)
            shares = " | ".join(f"{count}/{outcome.expected}" for count in counts)
            yield f"| `{one.form}` | {one.architecture} | {one.trainer} | {shares} |"


def main() -> None:
    """Print the table."""
    known = list(dict.fromkeys(one.trainer for one in EXPERIMENTS))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trainers", nargs="*", choices=known, default=["trl", "llama-factory"])
    parser.add_argument("--source", type=Path, help="A copy of SalesforceAIResearch/xLAM.")
    options = parser.parse_args()
    for line in table(options.trainers, options.source):
        print(line, flush=True)


if __name__ == "__main__":
    main()
