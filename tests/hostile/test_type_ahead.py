"""Keys that were typed before a question must not answer it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import xlam_local
from tests.fakes.terminal import Terminal

PROGRAM = """
import sys, time
from xlam_local.cli.ask import approve_on_terminal
from xlam_local.cli.questions import confirm
from xlam_local.types import ApprovalRequest, Deny, Effect, Tool, ToolCall

tool = Tool("send", "", {}, Effect.NETWORK)
request = ApprovalRequest(tool, ToolCall("1", "send", {}), "Question")
questions = (
    lambda: confirm("Question"),
    lambda: not isinstance(approve_on_terminal(request), Deny),
)
for number in range(1000):
    print(f"working {number}.", flush=True)
    if "buffered" in sys.argv:
        sys.stdin.buffer.peek()
    time.sleep(0.1)
    print(f"answer {number}", questions[number % 2](), flush=True)
"""
TYPED = {
    "yes": b"y\n",
    "several answers": b"y\nyes\nY\ny\n",
    "a key without Enter": b"y",
    "a line and the start of another": b"hello\ny",
    "pasted text": b"first line\ny\ny\ny\n" * 20,
    "empty lines first": b"\n\n\ny\n",
    "permanent approvals": b"T\nC\nt\nc\n",
}


@dataclass
class Questions:
    """A program that asks one question after the other."""

    terminal: Terminal
    number: int = 0

    def answer(self, answer: bytes, typed_before: bytes = b"") -> bool:
        """Type something before the next question, then the answer; return what it was read as."""
        self.terminal.wait_for(f"working {self.number}.")
        self.terminal.type(typed_before)
        self.terminal.wait_for("]: ", len(self.terminal.output))
        for _ in range(20):
            self.terminal.read(0.01)
        assert f"answer {self.number}".encode() not in self.terminal.output
        self.terminal.type(answer)
        self.terminal.wait_for(f"working {self.number + 1}.")
        self.number += 1
        return f"answer {self.number - 1} True".encode() in self.terminal.output


@pytest.fixture(scope="module")
def questions() -> Iterator[Questions]:
    with Terminal([sys.executable, "-c", PROGRAM]) as terminal:
        yield Questions(terminal)


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPED)
def test_no_earlier_input_answers_a_question(questions: Questions, name: str) -> None:
    assert not questions.answer(b"n\n", TYPED[name])
    assert not questions.answer(b"n\n", TYPED[name])


@pytest.mark.slow
def test_no_input_in_a_buffer_of_python_answers_a_question() -> None:
    with Terminal([sys.executable, "-c", PROGRAM, "buffered"]) as terminal:
        questions = Questions(terminal)
        assert not questions.answer(b"n\ny\n", b"y\ny\ny\n")
        assert not questions.answer(b"n\ny\n", b"y\ny\ny\n")


@pytest.mark.slow
def test_an_answer_after_the_question_counts(questions: Questions) -> None:
    assert questions.answer(b"y\n")
    assert questions.answer(b"y\n")


def test_no_question_is_asked_in_another_way() -> None:
    asks = re.compile(r"click\.(confirm|prompt|getchar|pause)\(|(?<![\w.])input\(")
    package = Path(xlam_local.__file__).parent
    found = {file.name for file in package.rglob("*.py") if asks.search(file.read_text())}
    assert found == {"questions.py"}
