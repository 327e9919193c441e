"""Commands whose stdin, stdout or stderr is closed, full, gone or not in UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlam_local.history.export import read_conversations
from xlam_local.types import UserMessage

COMMAND = f"{sys.executable} -m xlam_local"
FULL = "Error: stdout cannot be written: No space left on device.\n"
CLOSED = "Error: stdout cannot be written: Bad file descriptor.\n"
EMPTY = "Error: stdin is not valid JSON: Expecting value at line 1, column 1.\n"
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    },
}
"""The first request of an MCP client."""
CONVERSATION = {"messages": [{"role": "user", "content": "café € 😀"}]}


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in a shell, where $X is the program."""
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        check=False,
        env={**os.environ, **environment, "X": COMMAND},
        timeout=60,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "stdout", "stderr"),
    [
        ("$X --help >&-", 1, "", CLOSED),
        ("$X --help >/dev/full", 1, "", FULL),
        ("$X grammar t.json --report >/dev/full", 1, "", FULL),
        ("$X --help >&- 2>&- <&-", 1, "", ""),
        ("$X --nope 2>&-", 2, "", ""),
        ("$X --nope 2>/dev/full", 2, "", ""),
        ("$X history list <&- >&- 2>&-", 0, "", ""),
        ('$X tools test calculate \'{"expression": "1+1"}\' <&- 2>&-', 0, "2\n", ""),
        ("$X grammar t.json 2>/dev/full | tail -c 1", 0, "\n", ""),
        ("$X ask --no-tools - <&-", 2, "", "Error: Missing argument TEXT: stdin is empty.\n"),
        ("$X prompt - --family qwen <&-", 2, "", EMPTY),
        ("$X mcp serve <i.json >/dev/full", 1, "", FULL),
        ("$X mcp serve <i.json | true; echo ${PIPESTATUS[0]}", 0, "0\n", ""),
        ("$X history remove 1 <&-", 1, "", "Error: The history has no conversation 1.\n"),
        ("$X --help | true; echo ${PIPESTATUS[0]}", 0, "0\n", ""),
    ],
)
def test_a_stream_that_cannot_be_used_is_no_traceback(
    line: str, code: int, stdout: str, stderr: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.json").write_text('[{"name": "f"}]')
    Path("i.json").write_text(json.dumps(INITIALIZE) + "\n")
    done = shell(line)
    assert done.returncode == code, done
    assert done.stdout.decode() == stdout
    assert done.stderr.decode().endswith(stderr)
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "koi8-r"])
def test_what_an_encoding_lacks_is_replaced_and_escaped_in_json(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(json.dumps(CONVERSATION))
    lines = "$X prompt c.json --family qwen; $X prompt c.json --family qwen --jsonl"
    done = shell(lines, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    exact = shell("$X prompt c.json --family qwen").stdout.decode()
    text, _, as_json = done.stdout.rpartition(b'"<|im_start|>')
    assert json.loads('"<|im_start|>' + as_json.decode("ascii")) == exact
    if encoding != "ascii":  # click writes UTF-8 where the locale seems not to be set
        assert (
            text.decode(encoding).strip()
            == exact.encode(encoding, "replace").decode(encoding).strip()
        )
        assert b"lacks some characters" in done.stderr


def test_an_export_to_stdout_comes_back_in_any_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(json.dumps(CONVERSATION))
    line = "$X history import c.json && $X history export 1 --format jsonl >back.jsonl"
    done = shell(line, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    ((_, messages),) = read_conversations(Path("back.jsonl"))
    assert messages == [UserMessage("café € 😀")]
