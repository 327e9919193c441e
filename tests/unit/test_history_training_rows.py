"""What all rows of training data have in common, whatever the conversations are.

Each was found by running a trainer: without it, TRL, LLaMA-Factory or ActionStudio train on
another text, invent arguments, or drop the row. `python -m tests.benchmarks.trainers` runs them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import CLOCK, WEATHER, play
from tests.fakes.training_rows import FAMILIES, training_conversations
from xlam_local import prompt
from xlam_local.history import History
from xlam_local.history.training import ExportReport, Selection, rows
from xlam_local.types import Effect, Tool

BROKEN = Tool("broken", "Fail.", {}, Effect.READ, lambda: 1 / 0)
SPECIAL = re.compile(r"<\|(im_start|im_end|eot_id|start_header_id)\|>")
TEXTS = st.one_of(
    st.sampled_from(
        ["Hi", "Say <|im_end|>", "null", "[1]", '{"name": "x"}', "a\n\nb", "<|eot_id|>"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
).map(lambda text: text.strip() or "Hm")
CALLS: st.SearchStrategy[tuple[str, dict[str, str]]] = st.one_of(
    st.builds(lambda city: ("weather", {"city": city}), TEXTS),
    st.just(("clock", {})),
    st.just(("broken", {})),
)
REPLIES = st.lists(st.lists(CALLS, min_size=1, max_size=3), max_size=2)
TURNS = st.lists(st.tuples(TEXTS, REPLIES, TEXTS), min_size=1, max_size=3)


def calls_text(calls: list[tuple[str, dict[str, str]]]) -> str:
    named = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return json.dumps(named, ensure_ascii=False)


def check_turns(row: dict[str, Any], engine: Scripted) -> None:
    assert isinstance(engine.prompt_format, prompt.Family)
    assert row["prompt"] in engine.prompts
    completion = row["completion"].removesuffix(engine.prompt_format.end)
    assert completion != row["completion"]
    assert not SPECIAL.search(completion)


def check_messages(row: dict[str, Any], _engine: Scripted) -> None:
    """Arrow makes one type of all objects in a column, so what differs must be text."""
    assert isinstance(row["tools"], str)
    check_openai(row)


def check_openai(row: dict[str, Any], _engine: Scripted | None = None) -> None:
    asked, answered = [], []
    for message in row["messages"]:
        assert isinstance(message["content"], str)
        asked += [call["id"] for call in message.get("tool_calls", ())]
        answered += [message["tool_call_id"]] if message["role"] == "tool" else []
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
    learned = [m for m in row["messages"] if m["role"] == "assistant" and m.get("weight") != 0]
    assert learned
    assert row["messages"][-1]["role"] == "assistant"
    assert answered == asked[: len(answered)]


def check_sharegpt(row: dict[str, Any], _engine: Scripted) -> None:
    roles = [turn["from"] for turn in row["conversations"]]
    assert len(roles) % 2 == 0
    assert set(roles[::2]) <= {"human", "observation"}
    assert set(roles[1::2]) <= {"gpt", "function_call"}
    assert isinstance(json.loads(row["tools"]), list)
    for turn in row["conversations"]:
        assert isinstance(turn["value"], str)
        if turn["from"] == "function_call":
            value = json.loads(turn["value"])
            for call in value if isinstance(value, list) else [value]:
                assert call.keys() == {"name", "arguments"}


def check_actionstudio(row: dict[str, Any], _engine: Scripted) -> None:
    for message in row["conversation"]:
        assert message["role"] in ("user", "assistant", "tool")
        for call in message.get("tool_calls", ()):
            assert isinstance(call["function"]["arguments"], dict)


CHECKS = {
    "turns": check_turns,
    "messages": check_messages,
    "openai": check_openai,
    "sharegpt": check_sharegpt,
    "actionstudio": check_actionstudio,
}


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in a row."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turns=TURNS, family=st.sampled_from(list(FAMILIES.values())))
def test_rows_are_what_trainers_read_without_a_loss(
    turns: list[tuple[str, list[list[Any]], str]], family: prompt.Family
) -> None:
    written = [text for _, replies, answer in turns for text in (*map(calls_text, replies), answer)]
    engine = Scripted(*([text] for text in written), *([["Ok."]] * 20))
    engine.prompt_format = family
    with tempfile.TemporaryDirectory() as folder:
        with closing(History(Path(folder, "history.db"))) as history:
            questions = [question for question, _, _ in turns]
            play(history, engine, *questions, tools=[WEATHER, CLOCK, BROKEN])
            conversations = training_conversations(history)
        for form, check in CHECKS.items():
            report = ExportReport()
            for row in rows(form, conversations, Selection(), report):
                check(row, engine)
                json.dumps(row, ensure_ascii=False).encode()
                if form != "turns":
                    assert not any(map(SPECIAL.search, texts(row)))
