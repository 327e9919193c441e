"""Write a folder with training data: the rows, the report and what trainers need beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...openai_format import dumps
from .chat_template import template_text
from .formats import LOSSES
from .report import ExportReport

ROWS = "train.jsonl"
CUTOFF_TOKENS = 8192
LLAMA_FACTORY_COLUMNS: dict[str, dict[str, Any]] = {
    "turns": {"columns": {"prompt": "prompt", "response": "completion"}},
    "sharegpt": {
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
    },
}
WHOLE_PROMPTS = "empty"
"""LLaMA-Factory's template for rows that contain the whole prompt."""
LLAMA_FACTORY_TEMPLATES = {"qwen": "qwen", "llama": "llama3"}
"""LLaMA-Factory's template for the base model of each family."""


def write_folder(folder: Path, form: str, rows: list[dict[str, Any]], report: ExportReport) -> None:
    """Write the files of an export.

    Raises:
        UsageError: the folder has other files, or a file cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not an empty folder; name another one.")
        for name, text in files(form, rows, report).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            path.chmod(0o600)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.") from error


def files(form: str, rows: list[dict[str, Any]], report: ExportReport) -> dict[str, str]:
    """Return the text of each file of an export by its name."""
    found = {"REPORT.md": report.text(form, LOSSES[form])}
    if form == "actionstudio":
        found["unified_data/xlam-local/train/train.json"] = dumps(rows, indent=1) + "\n"
    else:
        found[ROWS] = "".join(f"{dumps(row)}\n" for row in rows)
    if form == "messages":
        found["chat_template.jinja"] = template_text(report.family)
    if form in LLAMA_FACTORY_COLUMNS:
        base_template = LLAMA_FACTORY_TEMPLATES[report.family.name]
        template = WHOLE_PROMPTS if form == "turns" else base_template
        info = {"xlam_local": {"file_name": ROWS, **LLAMA_FACTORY_COLUMNS[form]}}
        found["dataset_info.json"] = json.dumps(info, indent=2) + "\n"
        found["llamafactory.yaml"] = (
            "dataset: xlam_local\n"
            "dataset_dir: .\n"
            f"template: {template}\n"
            f"cutoff_len: {CUTOFF_TOKENS}\n"
            "stage: sft\n"
        )
    return found
