"""Print the tokens that LLaMA-Factory trains on, and which of them it learns.

usage: python llama_factory_rows.py TOKENIZER FOLDER END_TOKEN

TOKENIZER is a folder with the files of a tokenizer. FOLDER is an export with its
`llamafactory.yaml`. Only the data stage runs.

Runs in an environment of its own, which has LLaMA-Factory and not this project.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import sys
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import yaml
from transformers import AutoTokenizer

IGNORED = -100
"""The label of tokens that are not learned."""


def main(tokenizer_folder: Path, folder: Path, end_token: str) -> None:
    # LLaMA-Factory imports these two for sound and videos, which the rows do not have.
    for name in ("torchaudio", "av"):
        module = sys.modules.setdefault(name, ModuleType(name))
        module.__spec__ = ModuleSpec(name, None)
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.eos_token = tokenizer.pad_token = end_token
    settings = yaml.safe_load((folder / "llamafactory.yaml").read_text())
    with tempfile.TemporaryDirectory() as output:
        model, data, training, *_ = get_train_args(
            {
                **settings,
                "dataset_dir": str(folder),
                "model_name_or_path": str(tokenizer_folder),
                "output_dir": output,
                "do_train": True,
                "overwrite_cache": True,
                "cache_dir": output,
                "report_to": "none",
                "use_cpu": True,
            }
        )
        template = get_template_and_fix_tokenizer(tokenizer, data)
        found = get_dataset(template, model, data, training, stage="sft", tokenizer=tokenizer)
        rows = [
            {"tokens": row["input_ids"], "learned": [label != IGNORED for label in row["labels"]]}
            for row in found["train_dataset"]
        ]
    json.dump(rows, sys.__stdout__)


if __name__ == "__main__":
    sys.stdout = sys.stderr  # LLaMA-Factory prints an example
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
