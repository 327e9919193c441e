from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import DEVNULL

import pytest

from xlam_local import json_lines_process
from xlam_local.json_lines_process import InvalidMessage, JsonLinesProcess, ProcessEnded

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


@contextmanager
def python(program: str) -> Iterator[JsonLinesProcess]:
    process = JsonLinesProcess.start([sys.executable, "-c", program], DEVNULL)
    try:
        yield process
    finally:
        process.close()


def printing(*lines: str) -> str:
    return f"print({chr(10).join(lines)!r}, flush=True); input()"


def test_messages_arrive_whole_and_in_order() -> None:
    large = {"text": "é\n" * 300_000}
    with python(ECHO) as process:
        assert process.request({"a": 1}, 10) == {"a": 1}
        assert process.request(large, 10) == large
    with python(printing('{"a": 1}', '{"b": 2}')) as process:
        assert [process.receive(10), process.receive(10)] == [{"a": 1}, {"b": 2}]


def test_a_message_that_does_not_arrive_in_time_is_none() -> None:
    with python("import time; print('{\"a\"', end='', flush=True); time.sleep(60)") as process:
        started = time.monotonic()
        assert process.receive(0.2) is None
        assert time.monotonic() - started < 5
        with pytest.raises(TimeoutError):
            process.request({}, 0.1)


def test_a_process_that_does_not_read_cannot_block_the_sender() -> None:
    with python("import time; time.sleep(60)") as process, pytest.raises(TimeoutError):
        process.send({"text": "x" * 1_000_000}, 0.2)


@pytest.mark.parametrize("line", ["[1]", "{", "\x80", "[" * 100_000, '"text"', ""])
def test_a_line_that_is_not_an_object_is_rejected(line: str) -> None:
    with python(printing(line)) as process, pytest.raises(InvalidMessage, match="JSON"):
        process.receive(10)


def test_a_line_that_is_too_long_is_rejected() -> None:
    command = [sys.executable, "-c", "print('x' * 5000)"]
    process = JsonLinesProcess.start(command, DEVNULL, max_line_bytes=1000)
    with pytest.raises(InvalidMessage, match="longer than 1,000 bytes"):
        process.receive(10)
    process.close()


def test_output_after_an_answer_is_rejected() -> None:
    with (
        python(printing('{"a": 1}', '{"a": 2}')) as process,
        pytest.raises(InvalidMessage, match="output after"),
    ):
        process.request({}, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(3)", "exited with code 3"),
        ("pass", "exited with code 0"),
        ("import os; os.abort()", r"crashed \(SIGABRT\)"),
        ("import os; os.kill(os.getpid(), 9)", "was killed"),
        ("import os; os.kill(os.getpid(), 24)", "exceeded its CPU time limit"),
        ("import os, time; os.close(1); time.sleep(60)", "was killed"),
    ],
)
def test_the_reason_of_an_end_is_given(program: str, reason: str) -> None:
    with python(program) as process:
        with pytest.raises(ProcessEnded, match=reason):
            process.receive(10)
        assert not process.alive()
        with pytest.raises(ProcessEnded, match=reason):
            process.receive(1)
        with pytest.raises(ProcessEnded, match=reason):
            process.send({}, 1)


def exits(pid: int) -> bool:
    for _ in range(200):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            time.sleep(0.02)
            continue
        return True
    return False


def killed(process: JsonLinesProcess) -> None:
    process.kill()


def closed(process: JsonLinesProcess) -> None:
    process.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", [killed, closed])
def test_its_children_end_with_it(end: Callable[[JsonLinesProcess], None]) -> None:
    program = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print('{\"child\": %d}' % child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with python(program) as process:
        message = process.receive(10)
        assert message is not None
        end(process)
    assert exits(message["child"])


def test_closing_gives_it_time_to_exit() -> None:
    with python("import sys, time; sys.stdin.read(); time.sleep(0.3)") as process:
        process.close(wait_s=10)
        assert process.process.returncode == 0
        process.close()


def test_an_interrupt_in_the_terminal_does_not_reach_it() -> None:
    with python(ECHO) as process:
        assert os.getpgid(process.process.pid) == process.process.pid != os.getpgrp()


def test_a_signal_without_a_name_is_numbered() -> None:
    assert json_lines_process.exit_reason(-signal.SIGSEGV) == "crashed (SIGSEGV)"
    assert json_lines_process.exit_reason(-250) == "was ended by signal 250"
