"""Runs `serve` for programs that expect llama-server: maps its options to ours.

usage: python -m tests.fakes.llama_server_shim [OPTION OF LLAMA-SERVER]...

The model has random weights and the name of `--alias`. Options that ours does not need, such as the
batch size, have no effect.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.tiny_models import write_model

ARCHITECTURE = "qwen2"
CHAT_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
DEFAULT_CONTEXT = 2048
MODELS_VARIABLE = "XLAM_SHIM_MODELS"
"""The variable with the folder for the models."""


def value_of(words: Sequence[str], option: str, default: str) -> str:
    """Return the value of an option of llama-server."""
    return words[words.index(option) + 1] if option in words else default


def model(name: str, folder: Path) -> Path:
    """Return a model with a name, written once."""
    path = folder / f"{name}.gguf"
    if not path.exists():
        write_model(path, ARCHITECTURE, name, chat_template=CHAT_TEMPLATE)
    return path


def options(words: Sequence[str], folder: Path) -> list[str]:
    """Return the options of `serve` for those of llama-server."""
    sequences = int(value_of(words, "--parallel", "1"))
    context = int(value_of(words, "--ctx-size", str(DEFAULT_CONTEXT))) // sequences
    found = [
        *("-m", str(model(value_of(words, "--alias", "tiny"), folder))),
        *("--host", value_of(words, "--host", "127.0.0.1")),
        *("--port", value_of(words, "--port", "8080")),
        *("--temperature", value_of(words, "--temp", "0.8")),
        *("--seed", value_of(words, "--seed", "42")),
        *("--context", str(context), "--sequences", str(sequences), "--no-prompt-cache"),
    ]
    if int(value_of(words, "--n-predict", "-1")) > 0:
        found += ["--max-tokens", value_of(words, "--n-predict", "")]
    if "--api-key" not in words:
        found.append("--no-auth")
    for origin in value_of(words, "--cors-origins", "").split(","):
        found += ["--allow-origin", origin] if origin else []
    return found


def main() -> None:
    """Become `xlam-local serve`."""
    words = sys.argv[1:]
    folder = Path(os.environ[MODELS_VARIABLE])
    environment = {
        **os.environ,
        "XLAM_LOCAL_TOKEN": value_of(words, "--api-key", "unused"),
        "XLAM_LOCAL_HOME": str(folder / "home"),
    }
    command = [sys.executable, "-m", "xlam_local", "serve", *options(words, folder)]
    os.execve(sys.executable, command, environment)


if __name__ == "__main__":
    main()
