from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import generate, user_prompt
from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD, ADD_2_3, play
from xlam_local.agent import TurnOptions
from xlam_local.engine import LoadOptions
from xlam_local.engine.llama_context import DecodeRequest
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.stop_strings import until_stop
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.types import Sampling


def shown(pieces: list[str], *strings: str) -> list[str | DecodeRequest]:
    """Return what is shown of a reply in pieces."""

    def reply() -> Generator[str | DecodeRequest, None, None]:
        yield from pieces

    return list(until_stop(reply(), strings, lambda: True))


@pytest.mark.parametrize(
    ("pieces", "strings", "text"),
    [
        (["one two three"], ["two"], "one "),
        (["one t", "w", "o three"], ["two"], "one "),
        (["one t", "w", "elve"], ["two"], "one twelve"),
        (["one t", "w"], ["two"], "one tw"),
        (["a\n", "\nb"], ["\n\n"], "a"),
        (["aab"], ["ab"], "a"),
        (["a", "a", "b"], ["ab"], "a"),
        (["x END y STOP"], ["STOP", "END"], "x "),
        (["x ST", "OP"], ["END", "STOP"], "x "),
        (["grö", "ße €"], ["ße"], "grö"),
        (["END of"], ["END"], ""),
        (["all"], [""], "all"),
        (["all"], [], "all"),
    ],
)
def test_the_text_ends_before_a_stop_string(
    pieces: list[str], strings: list[str], text: str
) -> None:
    assert "".join(map(str, shown(pieces, *strings))) == text


def test_text_that_cannot_begin_a_stop_string_is_shown_at_once() -> None:
    assert shown(["one ", "t", "en"], "two") == ["one ", "ten"]


def test_stop_strings_do_not_apply_within_calls() -> None:
    in_calls = False

    def reply() -> Generator[str | DecodeRequest, None, None]:
        nonlocal in_calls
        yield "text }"
        in_calls = True
        yield '[{"a": {}}]'

    texts = until_stop(reply(), ["}}"], lambda: not in_calls)
    assert "".join(map(str, texts)) == 'text }[{"a": {}}]'


@pytest.mark.slow
def test_an_engine_ends_a_reply_before_a_stop_string(qwen_path: Path) -> None:
    sampling = Sampling(max_tokens=12)
    with_stop = LocalEngine.load(qwen_path, LoadOptions(context_size=512, threads=1))
    text, end = generate(with_stop, user_prompt(with_stop), sampling)
    assert end.truncated
    stop = text[5:8]
    stopped = Sampling(max_tokens=12, stop=("nowhere", stop))
    assert generate(with_stop, user_prompt(with_stop), stopped)[0] == text[: text.index(stop)]
    assert not generate(with_stop, user_prompt(with_stop), stopped)[1].truncated
    with_stop.close()
    process = SubprocessEngine.load(qwen_path, LoadOptions(context_size=512, threads=1))
    assert generate(process, user_prompt(process), stopped)[0] == text[: text.index(stop)]
    process.close()


def test_a_reply_that_must_be_a_call_has_no_stop_strings() -> None:
    options = TurnOptions("required", sampling=Sampling(stop=("}",)))
    engine = Scripted(ADD_2_3, ["5"])
    play(engine, ADD, options=options)
    assert [sampling.stop for sampling in engine.samplings] == [(), ("}",)]
