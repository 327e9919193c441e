"""Whole flows through each front end, on a real small model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xlam_local import Done, Effect, Rules, Session, tool
from xlam_local.engine.local import Engine

from .test_cli import run, tools_file

pytestmark = pytest.mark.model

WEATHER = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def test_words_become_calls(tmp_path: Path, small_path: Path) -> None:
    tools = tools_file(tmp_path, [WEATHER])
    done = run("call", "How is the weather in Oslo?", "--tools", tools, "-m", str(small_path))
    assert done.returncode == 0
    assert json.loads(done.stdout) == [{"name": "get_weather", "arguments": {"city": "Oslo"}}]


def test_a_model_may_rather_answer(tmp_path: Path, small_path: Path) -> None:
    tools = tools_file(tmp_path, [WEATHER])
    options = ["--tools", tools, "-m", str(small_path), "--tool-choice", "none"]
    done = run("call", *options, "--max-tokens", "2000", stdin="Say hello.")
    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert done.stderr.strip()


def test_a_question_is_answered_with_a_tool(tmp_path: Path, small_path: Path) -> None:
    options = ["-m", str(small_path), "--tool-choice", "convert_units", "--json"]
    done = run("ask", "Convert 100 celsius to fahrenheit.", *options)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    roles = [message["role"] for message in told["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert "212 fahrenheit" in told["messages"][2]["content"]
    assert "212" in told["answer"]
    assert told["reason"] == "answer"


def test_events_come_as_lines(small_path: Path) -> None:
    options = ["-m", str(small_path), "--no-tools", "--jsonl", "--max-tokens", "4"]
    done = run("ask", "Count.", *options)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["reason"] == "cut"
    assert "ran out of room" in done.stderr


def test_a_tool_that_writes_is_refused_where_nobody_can_be_asked(
    tmp_path: Path, small_path: Path
) -> None:
    options = ["-m", str(small_path), "--tool-choice", "write_file", "--folder", str(tmp_path)]
    done = run("ask", "Write hello to a.txt", *options, "--temperature", "0")
    assert done.returncode in {6, 8}
    assert "--allow write_file would let it run" in done.stderr
    assert list(tmp_path.glob("*.txt")) == []


def test_a_prompt_longer_than_the_context_is_told(small_path: Path) -> None:
    done = run("ask", "word " * 300, "-m", str(small_path), "--no-tools", "--context", "256")
    assert done.returncode == 1
    assert "the context holds 256" in done.stderr


def test_an_interrupt_is_told_at_once(small_path: Path) -> None:
    command = [sys.executable, "-m", "xlam_local", "ask", "Tell a long story.", "--no-tools"]
    process = subprocess.Popen(
        [*command, "-m", str(small_path), "--jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {},
    )
    assert process.stdout is not None
    while '"delta"' not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip().endswith("Interrupted.")
    assert time.monotonic() - started < 10


@tool(Effect.READ)
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}, 21 degrees."


def test_a_python_function_is_called_through_the_api(small: Engine) -> None:
    session = Session(small, [get_weather], rules=Rules(choice="required"))
    answer = session.ask("How is the weather in Oslo?")
    assert "sunny" in answer
    assert "Oslo" in answer


def test_a_conversation_keeps_what_it_has_read(small: Engine) -> None:
    session = Session(small, [get_weather], rules=Rules(choice="required"))
    session.ask("How is the weather in Oslo?")
    (done,) = (event for event in session.send("And in Rome?") if isinstance(event, Done))
    assert done.usage.cached_tokens > 100
