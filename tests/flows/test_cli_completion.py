"""Completion of commands and options in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.command_line import run
from tests.fakes.gguf_files import write
from xlam_local.cli import COMMANDS
from xlam_local.cli.completion import SHELLS

HEAVY = {"llama_cpp", "llguidance", "textual", "mcp", "numpy", "pydantic", "huggingface_hub"}


def complete(folder: Path, *words: str) -> list[str]:
    """Return what bash completes the last of the words to, with the printed script."""
    program = folder / "xlam-local"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m xlam_local "$@"\n')
    program.chmod(0o755)
    (folder / "completion.bash").write_text(run("completion", "bash").stdout)
    script = (
        f"source {folder}/completion.bash\n"
        f"COMP_WORDS=(xlam-local {' '.join(words) or '``'}); COMP_CWORD={len(words) or 1}\n"
        f'_xlam_local_completion {program}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_XLAM_LOCAL_COMPLETE" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    assert complete(tmp_path, "mo") == ["models"]
    assert complete(tmp_path, "history", "ex") == ["export"]
    assert "--temperature" in complete(tmp_path, "ask", "--t")
    assert complete(tmp_path, "ask", "--kv-cache-type", "q") == ["q8_0", "q4_0"]


@pytest.mark.slow
def test_models_are_completed_by_their_names(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.gguf")
    assert run("models", "import", str(file)).returncode == 0
    assert complete(tmp_path, "ask", "-m", "mi") == ["mine"]


@pytest.mark.slow
def test_a_completion_loads_no_heavy_library() -> None:
    code = (
        "import sys; from xlam_local.cli import run_command\n"
        "try: run_command([])\n"
        "finally: print(*sorted(sys.modules), file=sys.stderr)"
    )
    for words in ("xlam-local ", "xlam-local models ", "xlam-local ask --"):
        environment = {
            **os.environ,
            "_XLAM_LOCAL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        allowed = {"pydantic"} if "ask" in words else set()  # the command imports the tools
        assert HEAVY & set(done.stderr.split()) <= allowed
        assert done.stdout
        if words == "xlam-local ":
            assert [line.partition(",")[2] for line in done.stdout.split()] == list(COMMANDS)
            assert "xlam_local.cli.ask" not in done.stderr.split()
