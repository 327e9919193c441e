"""Record what a model writes, and replay it without the model; the tools run in both cases."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import gbnf, prompt, user_file
from ..atomic_file import PRIVATE_FILE
from ..errors import ReplayMismatch, UsageError
from ..grammar import Enforced, TextOrCalls
from ..prompt import PromptFormat, format_from_json, format_to_json
from ..types import GenerationEnd, Prompt, Sampling, Usage
from .engine import Engine, Generation, ReplyItem
from .prompt_difference import difference
from .wrapped_engine import WrappedEngine

VERSION = 1
REDACTED = "[redacted]"
BYTES_PER_TOKEN = 4
"""The estimate for texts that were not counted in the recording."""
Json = Any


class RecordingEngine(WrappedEngine):
    """Passes everything on to a model, and writes each reply to a file that only its owner reads.

    What matches a pattern of `redact` is replaced in the file.
    """

    def __init__(self, engine: Engine, path: Path, redact: Sequence[str] = ()) -> None:
        """Create the file.

        Raises:
            UsageError: the file cannot be written, or a pattern is not valid.
        """
        super().__init__(engine)
        self._path = path
        self._patterns = compile_patterns(redact)
        self._counts: dict[str, int] = {}
        self._text, self._end = "", GenerationEnd()
        head = {
            "xlam_local_recording": VERSION,
            "model": engine.name,
            "context_size": engine.context_size,
            "format": format_to_json(engine.prompt_format),
            "redact": list(redact),
        }
        self._write(head, os.O_TRUNC)

    @property
    def sequences(self) -> int:
        """One: the replies of a recording have an order."""
        return 1

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""
        counts = super().count(prompts)
        for one, tokens in zip(prompts, counts, strict=True):
            self._counts[_count_key(one, self._patterns)] = tokens
        return counts

    def observe(self, item: ReplyItem) -> None:
        """Keep what the model writes."""
        if isinstance(item, str):
            self._text += item
        elif isinstance(item, GenerationEnd):
            self._end = item

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield what the model writes, and record it."""
        self._text, self._end = "", GenerationEnd()
        yield from super().generate(prompt, grammar, sampling)
        self._write(
            {
                **_request(prompt, grammar, sampling, self._patterns),
                "text": _redacted(self._text, self._patterns),
                "truncated": self._end.truncated,
                "usage": asdict(self._end.usage),
                "counts": self._counts,
            }
        )
        self._counts = {}

    def _write(self, line: Json, flag: int = os.O_APPEND) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | flag, PRIVATE_FILE)
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                self._path.chmod(PRIVATE_FILE)
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise UsageError(f"{self._path} cannot be written: {error.strerror}.") from error


class ReplayEngine:
    """Writes the replies of a recording; it needs no model.

    Another prompt, grammar or sampling than the recorded one is an error that says what differs.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UsageError: the file cannot be read, or is not a recording.
        """
        self._path = path
        try:
            head, *self._replies = _lines(path)
            if head["xlam_local_recording"] != VERSION:
                raise UsageError(f"{path} was recorded by another version; record it again.")
            self.name = str(head["model"])
            self.context_size = int(head["context_size"])
            self.prompt_format: PromptFormat = format_from_json(head["format"])
            self._patterns = compile_patterns(head["redact"])
            self._counts: dict[str, int] = {}
            for reply in self._replies:
                _check_reply(reply)
                self._counts.update(reply["counts"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} is not a recording of xlam-local.") from error
        self.sequences = 1
        self.position = 0
        """How many replies were replayed."""

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt, an estimate if it was not recorded."""
        return [
            self._counts.get(
                _count_key(one, self._patterns),
                len(prompt.text(one).encode("utf-8", "replace")) // BYTES_PER_TOKEN,
            )
            for one in prompts
        ]

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield the next recorded reply.

        Raises:
            ReplayMismatch: the model was asked something else when the reply was recorded.
        """
        number = self.position + 1
        if number > len(self._replies):
            raise ReplayMismatch(
                f"{self._path} has {len(self._replies)} replies, and one more is needed. Record it "
                "again."
            )
        recorded = self._replies[self.position]
        asked = _request(prompt, grammar, sampling, self._patterns)
        if found := _difference(recorded, asked):
            raise ReplayMismatch(f"{self._path}, reply {number}: {found} Record it again.")
        self.position += 1
        yield str(recorded["text"])
        yield GenerationEnd(bool(recorded["truncated"]), Usage(**recorded["usage"]))

    def close(self) -> None:
        """Do nothing, because there is no model to unload."""


def _lines(path: Path) -> list[Json]:
    """Return the JSON values of the lines of a recording."""
    with user_file.open_file(path) as file:
        return [
            user_file.parse_json(line, where, surrogates=True)
            for where, line in user_file.read_lines(file, str(path))
        ]


def _check_reply(reply: Json) -> None:
    """Raise an error if a reply of a recording has not the fields that a replay reads."""
    texts = (reply["prompt"], reply["grammar"], reply["text"])
    if not all(isinstance(text, str) for text in texts) or not isinstance(reply["sampling"], dict):
        raise TypeError("a field has a value of another type")
    Usage(**reply["usage"])
    bool(reply["truncated"])


def compile_patterns(patterns: Sequence[str]) -> list[re.Pattern[str]]:
    """Return regular expressions.

    Raises:
        UsageError: one is not valid.
    """
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise UsageError(f"The pattern {error.pattern!r} is not valid: {error}.") from error


def _request(
    written: Prompt,
    grammar: Enforced | None,
    sampling: Sampling,
    patterns: Sequence[re.Pattern[str]],
) -> dict[str, Json]:
    """Return what a model is asked, as it is recorded."""
    request = {
        "prompt": _redacted(prompt.text(written), patterns),
        "grammar": _grammar_hash(grammar),
        "sampling": asdict(sampling),
    }
    return dict(json.loads(json.dumps(request)))


def _difference(recorded: Json, asked: Json) -> str:
    """Return what differs between two requests, as a sentence; "" if nothing does."""
    if recorded["prompt"] != asked["prompt"]:
        return difference(recorded["prompt"], asked["prompt"])
    before, now = recorded["sampling"], asked["sampling"]
    if changed := [key for key in now if before.get(key) != now[key]]:
        listed = ", ".join(f"{key} was {before.get(key)}, is {now[key]}" for key in changed)
        return f"The sampling differs: {listed}."
    if recorded["grammar"] != asked["grammar"]:
        return "The grammar differs: the tool choice, or the version of xlam-local."
    return ""


def _redacted(text: str, patterns: Sequence[re.Pattern[str]]) -> str:
    for pattern in patterns:
        text = pattern.sub(REDACTED, text)
    return text


def _grammar_hash(grammar: Enforced | None) -> str:
    """Return a hash of what is enforced; "" if the reply is free."""
    if grammar is None:
        return ""
    if isinstance(grammar, TextOrCalls):
        text = f"{gbnf.to_gbnf(grammar.text)}\n{gbnf.to_gbnf(grammar.calls)}\n{grammar.tools}"
    else:
        text = gbnf.to_gbnf(grammar)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _count_key(written: Prompt, patterns: Sequence[re.Pattern[str]]) -> str:
    text = _redacted(prompt.text(written), patterns)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
