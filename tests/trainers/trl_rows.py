"""Print the tokens that TRL trains on, and which of them it learns, after one step of training.

usage: python trl_rows.py MODEL FOLDER END_TOKEN

MODEL is a GGUF file, whose vocabulary and shape transformers reads. FOLDER is an export. If it has
a chat template, the model's messages are learned; otherwise the completions. The token that the
tokenizer adds at the beginning is removed from prompts, as docs/training.md says.

Runs in an environment of its own, which has TRL and not this project.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from datasets import load_dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

IGNORED = -100
"""The label of tokens that are not learned."""


def main(model_file: Path, folder: Path, end_token: str) -> None:
    source = {
        "pretrained_model_name_or_path": model_file.parent,
        "gguf_file": model_file.name,
    }
    template = folder / "chat_template.jinja"
    options = {}
    if template.exists():
        options = {"chat_template_path": str(template), "assistant_only_loss": True}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    begin = tokenizer.decode(tokenizer("").input_ids)
    with tempfile.TemporaryDirectory() as output:
        data = load_dataset(
            "json",
            data_files=str(folder / "train.jsonl"),
            split="train",
            cache_dir=str(Path(output, "cache")),
        )
        if "prompt" in data.column_names:
            data = data.map(lambda row: {"prompt": row["prompt"].removeprefix(begin)})
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**source)),
            SFTConfig(
                output,
                max_steps=1,
                per_device_train_batch_size=1,
                max_length=None,
                eos_token=end_token,
                pad_token=end_token,
                use_cpu=True,
                bf16=False,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                **options,
            ),
            train_dataset=data,
            processing_class=tokenizer,
        )
        rows = []
        for row in trainer.train_dataset:
            batch = trainer.data_collator([row])
            labels = batch["labels"][0].tolist()
            learned = [label != IGNORED for label in labels]
            rows.append({"tokens": batch["input_ids"][0].tolist(), "learned": learned})
        trainer.train()
    json.dump(rows, sys.__stdout__)


if __name__ == "__main__":
    sys.stdout = sys.stderr  # the trainer prints its metrics
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
