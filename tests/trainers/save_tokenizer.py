"""Write the tokenizer of a GGUF file as the files that models on the Hub have.

usage: python save_tokenizer.py MODEL FOLDER

Runs in TRL's environment: older versions of transformers split line ends of Llama's vocabulary
wrongly if they read it from a GGUF file.
"""

# mypy: ignore-errors
from __future__ import annotations

import sys
from pathlib import Path

from transformers import AutoTokenizer


def main(model_file: Path, folder: Path) -> None:
    """Read the tokenizer and write it."""
    tokenizer = AutoTokenizer.from_pretrained(model_file.parent, gguf_file=model_file.name)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
