"""Trainers in environments of their own: what they read, and what they train on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.client_environments import environment
from tests.fakes.training_rows import TrainedRow, read_rows

PROGRAMS = Path(__file__).parents[1] / "trainers"
TORCH = "torch==2.13.0"
PACKAGES: dict[str, Sequence[str]] = {
    "trl": (TORCH, "trl==1.16.0", "transformers==5.24.0", "peft==0.21.2", "gguf"),
    "llama-factory": (TORCH, "llamafactory==0.9.5", "gguf"),
    "action-studio": (
        *(TORCH, "transformers==4.55.0", "datasets==2.18.0", "accelerate", "pyyaml"),
        *("jsonlines", "gguf", "numpy<2", "pyarrow<15"),
    ),
}
NOT_NEEDED = {
    "llama-factory": ("torchaudio", "torchvision", "torchdata", "av", "gradio", "matplotlib")
}
"""What LLaMA-Factory requires for sound, pictures, videos and its web page."""
TIMEOUT_S = 1200


def trainer_python(name: str) -> str:
    """Return the Python of a trainer's environment, which is made once."""
    without = NOT_NEEDED.get(name, ())
    return environment(f"trainer-{name}", *PACKAGES[name], without=without)


def run_trainer(name: str, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Run a program in a trainer's environment without network; return what it prints."""
    command = [trainer_python(name), *map(str, arguments)]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "DISABLE_VERSION_CHECK": "1",  # of LLaMA-Factory, for packages that it does not use here
    }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def trained_rows(name: str, model: Path, folder: Path, *arguments: str | Path) -> list[TrainedRow]:
    """Return the rows that a trainer makes of an export."""
    program = PROGRAMS / f"{name.replace('-', '_')}_rows.py"
    if name == "llama-factory":
        tokenizer = folder.with_name("tokenizer")
        run_trainer("trl", PROGRAMS / "save_tokenizer.py", model, tokenizer)
        model = tokenizer
    return read_rows(run_trainer(name, program, model, folder, *arguments))
