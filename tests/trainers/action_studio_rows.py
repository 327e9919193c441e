"""Print the tokens that ActionStudio trains on, and which of them it learns.

usage: python action_studio_rows.py MODEL FOLDER END_TOKEN SOURCE TEMPLATE

MODEL is a GGUF file, whose vocabulary transformers reads. FOLDER is an export. SOURCE is a copy of
the repository SalesforceAIResearch/xLAM, whose converter and loader run. TEMPLATE is the model's
chat template.

Runs in an environment of its own, which has ActionStudio's requirements and not this project.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from transformers import AutoTokenizer

CONVERTER = "actionstudio/src/data_pipeline/data_converters.py"
DATASET = "actionstudio-98k"
"""The only name of a dataset that the converter reads."""
SEQUENCE_LENGTH = 8192
IGNORED = -100
"""The label of tokens that are not learned."""


def convert(source: Path, folder: Path, output: Path) -> None:
    """Run ActionStudio's converter on an export."""
    unified = output / "unified" / DATASET
    unified.parent.mkdir()
    unified.symlink_to(folder.absolute() / "unified_data" / "xlam-local")
    command = [sys.executable, str(source / CONVERTER)]
    command += ["--unified_data_path", str(unified.parent)]
    command += ["--output_data_path", str(output / "train")]
    subprocess.run(command, check=True, stdout=sys.stderr)


def main(model_file: Path, folder: Path, end_token: str, source: Path, template: Path) -> None:
    sys.path.insert(0, str(source))
    from actionstudio.src.foundation_modeling.data_handlers.any_dataset import AnyDatasetLoader
    from actionstudio.src.foundation_modeling.data_handlers.interleave_datasets import (
        interleave_data,
    )

    tokenizer = AutoTokenizer.from_pretrained(model_file.parent, gguf_file=model_file.name)
    tokenizer.eos_token = tokenizer.pad_token = end_token
    tokenizer.chat_template = template.read_text()
    with tempfile.TemporaryDirectory() as output:
        convert(source, folder, Path(output))
        options = SimpleNamespace(
            data_save_dir=str(Path(output, "train")),
            fc_mode=True,
            model_name="qwen2.5",
            num_workers=1,
            seq_length=SEQUENCE_LENGTH,
            shuffle_buffer_size=100,
            streaming=True,
        )
        train, _ = interleave_data(
            SimpleNamespace(is_main_process=True),
            [AnyDatasetLoader(DATASET, tokenizer, options)],
            seed=1,
            script_args=options,
            seq_length=SEQUENCE_LENGTH,
        )
        train.infinite = False
        rows = []
        for row in train:
            used = row["attention_mask"].bool()
            learned = [label != IGNORED for label in row["labels"][used].tolist()]
            rows.append({"tokens": row["input_ids"][used].tolist(), "learned": learned})
    json.dump(rows, sys.__stdout__)


if __name__ == "__main__":
    sys.stdout = sys.stderr  # ActionStudio prints its progress
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(Path, sys.argv[4:]))
