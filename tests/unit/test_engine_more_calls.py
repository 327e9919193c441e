"""A call is added to a list if the model goes on to another, whatever token closed the list."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.toolsets import TOOLSETS
from xlam_local.engine import LoadOptions
from xlam_local.engine.constraint import Constraint
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.more_calls import MoreCalls
from xlam_local.gbnf import to_lark
from xlam_local.grammar import compile_tools
from xlam_local.types import PromptPart

TOOLS = TOOLSETS["flat"]
CALL = f'[{{"name": "{TOOLS[0].name}", "arguments": {{"a": 1, "e": "y"}}'


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[LocalEngine]:
    loaded = LocalEngine.load(qwen_path, LoadOptions(context_size=512, threads=1))
    yield loaded
    loaded.close()


class Writing:
    """A decoder whose model writes a text after whatever it read."""

    def __init__(self, engine: LocalEngine, text: str) -> None:
        self._vocab_size = engine.model.vocab_size
        self._tokens = [*tokens_of(engine, text), *sorted(engine.model.end_tokens)[:1]]
        self.read_first: list[int] = []
        self.held: list[int] = [1, 2, 3]

    def accepted_tokens(self) -> list[int]:
        return self.held

    def read(self, tokens: Sequence[int], constraint: Constraint) -> Generator[None, None, None]:
        self.read_first = self.read_first or list(tokens)
        yield from ()

    def logits(self) -> np.ndarray:
        logits = np.zeros(self._vocab_size, dtype=np.float32)
        logits[self._tokens.pop(0)] = 1
        return logits

    def cut(self, count: int) -> Generator[None, None, None]:
        self.held = self.held[:count]
        yield from ()

    def replace(self, tokens: Sequence[int]) -> Generator[None, None, None]:
        self.held = list(tokens)
        yield from ()


def tokens_of(engine: LocalEngine, text: str) -> list[int]:
    return engine.model.tokenize((PromptPart(text),))


def added(
    engine: LocalEngine, following: str, wanted: int | None, closing: str = "}]"
) -> tuple[str, Writing]:
    """Return the text that is added to a list of one call, and the decoder."""
    constraint = engine.constraint_compiler.compile(
        to_lark(compile_tools(TOOLS, "required").grammar)
    )
    new = tokens_of(engine, closing)
    for token in [*tokens_of(engine, (CALL + "}]").removesuffix(closing)), *new]:
        assert constraint.accept(token)
    decoder = Writing(engine, following)
    calls = MoreCalls(engine.model, decoder, frozenset())  # type: ignore[arg-type]
    adding = calls.add(constraint, new, CALL + "}]", wanted)
    while True:
        try:
            next(adding)
        except StopIteration as stop:
            return b"".join(map(engine.model.token_bytes, stop.value)).decode(), decoder


@pytest.mark.parametrize(
    "following", ['\n[{"name": "', "</tool_call>\n<tool_call>", ', {"name": "']
)
def test_another_call_is_added(engine: LocalEngine, following: str) -> None:
    text, decoder = added(engine, following, None)
    assert text == '}, {"name": "'
    assert decoder.held == [1, 2, 3, *tokens_of(engine, text)]


@pytest.mark.parametrize("following", ["", "\n```", "\nIt is done."])
def test_the_list_stays_closed_if_no_call_follows(engine: LocalEngine, following: str) -> None:
    text, decoder = added(engine, following, None)
    assert text == ""
    assert decoder.held == [1, 2, 3]


def test_the_model_goes_on_from_the_token_that_it_wanted(engine: LocalEngine) -> None:
    (closing,) = tokens_of(engine, "]\n")
    text, decoder = added(engine, '[{"name": "', closing, "]")
    assert decoder.read_first == [closing]
    assert text == ', {"name": "'


def test_a_wanted_token_that_does_not_close_the_list_is_not_read(engine: LocalEngine) -> None:
    (other,) = tokens_of(engine, "}")
    _, decoder = added(engine, "", other)
    assert decoder.read_first == tokens_of(engine, "}]")
