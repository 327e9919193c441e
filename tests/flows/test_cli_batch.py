"""The command `batch` with a real engine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import run

TOOLS = [
    {
        "name": "set_light",
        "description": "Set a light.",
        "parameters": {
            "type": "object",
            "properties": {
                "room": {"enum": ["kitchen", "hall"]},
                "level": {"type": "integer", "minimum": 0, "maximum": 9},
            },
            "required": ["room", "level"],
        },
    }
]
OPTIONS = ("--sequences", "1", "--context", "2048", "--temperature", "1", "--no-prompt-cache")
KILLS = 10


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_rows(count: int, name: str = "in.jsonl") -> None:
    lines = [
        {
            "custom_id": f"row-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "messages": [{"role": "user", "content": f"Light {number}, please."}],
                "tool_choice": "required",
                "parallel_tool_calls": False,
                "max_tokens": 60,
            },
        }
        for number in range(count)
    ]
    Path(name).write_text("\n".join(map(json.dumps, lines)))


def command(model: Path, *more: str, out: str = "out.jsonl") -> list[str]:
    named = ["--tools", "tools.json", "-m", str(model)]
    return ["batch", "in.jsonl", out, *named, *OPTIONS, *more]


LAUNCHER = """
import resource, runpy, sys

limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("xlam_local", run_name="__main__", alter_sys=True)
"""
"""Runs a command that can write files of a limited size only, as on a full disk."""


def start(model: Path, *more: str, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(limit), *command(model, *more)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def lines(path: str = "out.jsonl") -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_batch_is_run_and_resumed(qwen_path: Path, folder: Path) -> None:
    write_rows(6)
    done = run(*command(qwen_path, out="whole.jsonl"))
    assert (done.returncode, done.stdout) == (0, "")
    assert "6 of 6 rows done." in done.stderr
    assert [line["custom_id"] for line in lines("whole.jsonl")] == [f"row-{n}" for n in range(6)]
    for line in lines("whole.jsonl"):
        (call,) = line["response"]["body"]["choices"][0]["message"]["tool_calls"]
        arguments = json.loads(call["function"]["arguments"])
        assert arguments["room"] in ("kitchen", "hall")
    whole = Path("whole.jsonl").read_bytes()
    part = whole[: len(whole) // 2]
    Path("out.jsonl").write_bytes(part)
    Path("out.jsonl.run").write_bytes(Path("whole.jsonl.run").read_bytes())
    done = run(*command(qwen_path))
    assert done.returncode == 0
    assert f"{part.count(10)} of 6 rows have a result." in done.stderr
    assert Path("out.jsonl").read_bytes() == whole
    done = run(*command(qwen_path, "--seed", "5"))
    assert done.returncode == 2
    assert "out.jsonl has results of another run: sampling was" in done.stderr
    assert Path("out.jsonl").read_bytes() == whole


def test_errors_are_rows_and_can_be_run_again(qwen_path: Path, folder: Path) -> None:
    rows = [
        {"id": "long", "prompt": "x y " * 3000},
        {"id": "a", "prompt": "Hi!"},
        {"id": "also long", "prompt": "x y " * 3000},
    ]
    Path("in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ("batch", "in.jsonl", "out.jsonl", "-m", str(qwen_path), *OPTIONS)
    done = run(*options, "--max-tokens", "5")
    assert done.returncode == 1
    assert "3 of 3 rows done, 2 with an error." in done.stderr
    found = {line["custom_id"]: line for line in lines()}
    assert found["long"]["error"]["code"] == "ContextExceeded"
    assert found["a"]["error"] is None
    done = run(*options, "--max-tokens", "5", "--retry-errors", "--max-errors", "1")
    assert done.returncode == 1
    assert "2 of 3 rows done, 1 with an error, 1 left." in done.stderr
    done = run(*options, "--max-tokens", "5", "--order")
    assert [line["custom_id"] for line in lines()] == ["long", "a", "also long"]


def test_a_second_writer_and_a_full_disk_are_refused(qwen_path: Path, folder: Path) -> None:
    write_rows(60)
    first = start(qwen_path)
    assert first.stderr is not None
    while not Path("out.jsonl").exists() or not Path("out.jsonl").stat().st_size:
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    done = run(*command(qwen_path))
    assert done.returncode == 2
    assert "Another program writes out.jsonl." in done.stderr
    first.kill()
    first.communicate()
    size = Path("out.jsonl").stat().st_size
    full = start(qwen_path, limit=size + 1000)
    _, errors = full.communicate(timeout=60)
    assert full.returncode == 1
    assert "out.jsonl cannot be written: File too large. It has " in errors
    assert Path("out.jsonl").read_bytes().endswith(b"}\n")


@pytest.mark.slow
def test_ten_kills_lose_and_repeat_nothing(qwen_path: Path, folder: Path) -> None:
    write_rows(120)
    assert run(*command(qwen_path, out="whole.jsonl")).returncode == 0
    rng, kills = random.Random(3), 0
    while kills < KILLS:
        before = Path("out.jsonl").stat().st_size if Path("out.jsonl").exists() else 0
        process = start(qwen_path)
        while process.poll() is None and (
            not Path("out.jsonl").exists() or Path("out.jsonl").stat().st_size <= before
        ):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        if len(lines()) >= 110:
            break
    assert run(*command(qwen_path)).returncode == 0
    assert sorted(line["custom_id"] for line in lines()) == sorted(f"row-{n}" for n in range(120))
    assert Path("out.jsonl").read_bytes() == Path("whole.jsonl").read_bytes()
    assert kills >= 3
