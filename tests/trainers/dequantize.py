"""Write the weights of a GGUF file as Transformers reads them.

usage: python dequantize.py MODEL FOLDER

Runs in an environment of its own, which has Transformers and not this project.
"""

# mypy: ignore-errors
from __future__ import annotations

import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def main(model_file: Path, folder: Path) -> None:
    source = {"pretrained_model_name_or_path": model_file.parent, "gguf_file": model_file.name}
    quantization = GgufConfig(dequantize=True)
    loaded = AutoModelForCausalLM.from_pretrained(**source, quantization_config=quantization)
    plain = AutoModelForCausalLM.from_config(loaded.config)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
