"""Answers on a terminal: all of an answer is printed, also what looked like a call at first."""

from __future__ import annotations

import json

import pytest

from tests.fakes.terminal_command import run_in_terminal

PROGRAM = """
import json, sys
from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD
from xlam_local.cli.render import TextOutput, play
from xlam_local.session import Session

deltas, tools = json.loads(sys.argv[1]), [ADD] * int(sys.argv[2])
session = Session(Scripted(deltas), tools)
play(session.send("2 + 3?"), TextOutput(), session.messages)
"""
ANSWERS = [
    ["Here is your file:\n", '{"name": "my-app", "version": "1.0.0"}', "\nSave it as a.json."],
    ['{"name":', ' "my-app"}'],
    ["[", '{"name"', ': "Bob"', "}]"],
    ["A list:\n", '[{"na', 'me": "add", "par', 'ameters": {"type": "object"}}]'],
    ["Wait <tool", "_call> is a tag."],
    ["<tool_call>", "\n"],
    ["It is ", "[", "5]."],
    ["<think>", '[{"name": "add", "arguments": {"a": 1}}]', "</think>", "Hello!"],
    ["1, 2, ["],
]


@pytest.mark.slow
@pytest.mark.parametrize("tools", [0, 1])
@pytest.mark.parametrize("deltas", ANSWERS)
def test_all_of_an_answer_is_printed(deltas: list[str], tools: int) -> None:
    screen = run_in_terminal(["-c", PROGRAM, json.dumps(deltas), str(tools)], "")
    assert "Traceback" not in screen
    assert "".join(deltas).strip() in screen.replace("\r\n", "\n")
