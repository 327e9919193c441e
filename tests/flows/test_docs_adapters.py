"""The commands and the Python code of the page about LoRA adapters run."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.fakes.peft_folders import write_peft_folder
from xlam_local.cli import run_command
from xlam_local.errors import ReplyTruncated

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_page_runs(
    qwen_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    shutil.copyfile(qwen_path, "model.gguf")
    write_peft_folder(Path("my-tools"))
    *commands, remove = block("sh").splitlines()
    for line in commands:
        code = run_command(shlex.split(line, comments=True)[1:])
        # A model of random weights may write up to the limit.
        assert code == 0 or (" ask " in line and code == ReplyTruncated.exit_code), line
    capsys.readouterr()
    exec(compile(block("python"), "adapters.md", "exec"), {})
    assert capsys.readouterr().out == "xLAM-2-tiny+my-tools:0.5\n"
    assert run_command(shlex.split(remove)[1:]) == 0
