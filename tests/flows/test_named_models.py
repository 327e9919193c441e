"""Models that are named by a path where no file is: the path is named for what it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.command_line import run


@pytest.mark.parametrize(
    "command",
    [
        "models show",
        "models path",
        "models verify",
        "ask hi --no-tools -m",
        "bench -m",
        "tools list -m",
    ],
)
def test_a_path_that_is_no_file_is_named_for_what_it_is(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.gguf").mkdir()
    os.mkfifo("pipe.gguf")
    Path("link.gguf").symlink_to("nowhere")
    Path("device.gguf").symlink_to("/dev/null")
    for name, kind in (
        ("folder", "is a folder, not a file."),
        ("pipe", "is a named pipe, not a file."),
        ("device", "is a device, not a file."),
        ("link", "is a link to nowhere, which does not exist."),
    ):
        done = run(*command.split(), f"./{name}.gguf")
        assert (done.returncode, done.stdout) == (3, ""), done
        assert f"{name}.gguf {kind}\n" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff\n"])
def test_a_file_without_conversations_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.jsonl").write_text(text)
    done = run("prompt", "c.jsonl", "--family", "qwen", "--jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: c.jsonl has no conversations.\n"
    piped = run("prompt", "-", "--family", "qwen", "--jsonl", stdin=text)
    assert piped.stderr == "Error: stdin has no conversations.\n"
