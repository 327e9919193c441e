"""Turns through each front end, with a real small model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.command_line import run, write_tools
from xlam_local import Done, Effect, Session, ToolResult, TurnOptions, tool
from xlam_local.engine.local_engine import LocalEngine

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


def test_call_prints_the_calls_as_json(tmp_path: Path, small_path: Path) -> None:
    tools = write_tools(tmp_path, [WEATHER])
    done = run("call", "How is the weather in Oslo?", "--tools", tools, "-m", str(small_path))
    assert done.returncode == 0
    assert json.loads(done.stdout) == [{"name": "get_weather", "arguments": {"city": "Oslo"}}]


def test_call_prints_an_empty_array_if_the_model_answers(tmp_path: Path, small_path: Path) -> None:
    tools = write_tools(tmp_path, [WEATHER])
    options = ["--tools", tools, "-m", str(small_path), "--tool-choice", "none"]
    done = run("call", *options, "--max-tokens", "2000", stdin="Say hello.")
    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert done.stderr.strip()


def test_ask_answers_with_a_tool(small_path: Path) -> None:
    options = ["-m", str(small_path), "--tool-choice", "convert_units", "--json"]
    done = run("ask", "Convert 100 celsius to fahrenheit.", *options)
    assert done.returncode == 0
    result = json.loads(done.stdout)
    roles = [message["role"] for message in result["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert "212 fahrenheit" in result["messages"][2]["content"]
    assert "212" in result["answer"]
    assert result["finish_reason"] == "stop"


def test_ask_prints_events_as_lines(small_path: Path) -> None:
    options = ["-m", str(small_path), "--no-tools", "--jsonl", "--max-tokens", "4"]
    done = run("ask", "Count.", *options)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["finish_reason"] == "length"
    assert "truncated at the token limit" in done.stderr


def test_ask_refuses_a_tool_that_writes_without_a_terminal(
    tmp_path: Path, small_path: Path
) -> None:
    options = ["-m", str(small_path), "--tool-choice", "write_file", "--cwd", str(tmp_path)]
    done = run("ask", "Write hello to a.txt", *options, "--temperature", "0")
    assert done.returncode in {6, 8}
    assert "To allow it, use --allow write_file" in done.stderr
    assert list(tmp_path.glob("*.txt")) == []


def test_a_prompt_longer_than_the_context_is_an_error(small_path: Path) -> None:
    done = run("ask", "word " * 300, "-m", str(small_path), "--no-tools", "--context", "256")
    assert done.returncode == 1
    assert "the context holds 256" in done.stderr


def test_an_interrupt_ends_the_command(small_path: Path) -> None:
    command = [sys.executable, "-m", "xlam_local", "ask", "Tell a long story.", "--no-tools"]
    process = subprocess.Popen(
        [*command, "-m", str(small_path), "--jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    while '"text_delta"' not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip().endswith("Interrupted.")
    assert time.monotonic() - started < 10


@tool(Effect.READ)
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}, 21 degrees."


def test_a_session_calls_a_python_function(small: LocalEngine) -> None:
    session = Session(small, [get_weather], options=TurnOptions(tool_choice="required"))
    events = list(session.send("How is the weather in Oslo?"))
    result = next(event for event in events if isinstance(event, ToolResult))
    assert result.output == "It is sunny in Oslo, 21 degrees."
    # Which words the model adds differs between processors, and they may reach the token limit.
    assert isinstance(events[-1], Done)


def test_the_next_turn_uses_the_prompt_cache(small: LocalEngine) -> None:
    session = Session(small, [get_weather], options=TurnOptions(tool_choice="required"))
    list(session.send("How is the weather in Oslo?"))
    (done,) = (event for event in session.send("And in Rome?") if isinstance(event, Done))
    assert done.usage.cached_tokens > 100
