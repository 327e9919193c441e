from __future__ import annotations

import json

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD, ADD_2_3, PARAMETERS
from xlam_local.cli.render import JsonLinesOutput, JsonOutput, Output, TextOutput, play
from xlam_local.errors import TurnLimitExceeded
from xlam_local.session import Session
from xlam_local.types import Done, Effect, PrefillProgress, TextDelta, Tool, Usage

CALLER_RUN = Tool("add", "Add.", PARAMETERS)


def play_turn(output: Output, engine: Scripted, tool: Tool = ADD) -> Done:
    session = Session(engine, [tool])
    return play(session.send("2 + 3?"), output, session.messages)


def test_text_has_the_answer_on_stdout_and_the_rest_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    play_turn(TextOutput(), Scripted(ADD_2_3, ["It is ", "5."]))
    printed = capsys.readouterr()
    assert printed.out == "It is 5.\n"
    assert printed.err == 'add {"a": 2, "b": 3}\nadd => 5\n'


def test_text_has_the_calls_that_are_left_to_the_caller(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = play_turn(TextOutput(), Scripted(ADD_2_3), CALLER_RUN)
    assert done.finish_reason == "tool_calls"
    assert json.loads(capsys.readouterr().out) == [{"name": "add", "arguments": {"a": 2, "b": 3}}]


def test_text_limits_the_lines_of_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    count = Tool("add", "Add.", PARAMETERS, Effect.READ, lambda a, b: "line\n" * 20)
    play_turn(TextOutput(), Scripted(ADD_2_3, ["Done."]), count)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].strip() == "(8 more lines)"
    assert lines.count("    line") == 11


def test_text_on_a_terminal_is_printed_while_it_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    output = TextOutput()
    output.show(PrefillProgress(5, 10))
    output.show(PrefillProgress(10, 10))
    output.show(TextDelta("It is"))
    assert capsys.readouterr().out == "It is"
    output.show(Done("stop", Usage(10, 4, 3, 0.5, 1.0)))
    printed = capsys.readouterr()
    assert printed.out == "\n"
    assert "prompt 10 tokens (4 cached) in 0.5 s, reply 3 tokens at 3 tokens/s" in printed.err


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    play_turn(JsonOutput(), Scripted(ADD_2_3, ["5"]))
    result = json.loads(capsys.readouterr().out)
    assert result["answer"] == "5"
    assert result["calls"] == []
    assert result["finish_reason"] == "stop"
    assert [message["role"] for message in result["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert result["usage"]["reply_tokens"] == 6


def test_json_lines_are_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    play_turn(JsonLinesOutput(), Scripted(["Hello."]))
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["context_usage", "prefill_progress", "text_delta", "message", "done"]


def test_a_turn_that_fails_is_printed_and_then_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(TurnLimitExceeded, match="repeated the same tool calls"):
        play_turn(JsonOutput(), Scripted(ADD_2_3, ADD_2_3, ADD_2_3, [""]))
    assert json.loads(capsys.readouterr().out)["finish_reason"] == "loop"
