"""Folders with LoRA adapters of random numbers, as PEFT writes them, for the tiny models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from tests.fakes.tiny_models import EMBEDDING_SIZE, FEED_FORWARD_SIZE, LAYERS

RANK, ALPHA = 4, 8
MATRICES: Mapping[str, tuple[int, int]] = {
    **{f"self_attn.{part}_proj": (EMBEDDING_SIZE, EMBEDDING_SIZE) for part in ("q", "k", "v", "o")},
    "mlp.gate_proj": (EMBEDDING_SIZE, FEED_FORWARD_SIZE),
    "mlp.up_proj": (EMBEDDING_SIZE, FEED_FORWARD_SIZE),
    "mlp.down_proj": (FEED_FORWARD_SIZE, EMBEDDING_SIZE),
}
"""Inputs and outputs of the matrices of each layer."""

Tensors = dict[str, npt.NDArray[np.float32]]


def random_tensors(seed: int = 1) -> Tensors:
    """Return the matrices of an adapter that changes all matrices, by PEFT's names."""
    random = np.random.default_rng(seed)
    tensors: Tensors = {}
    for layer in range(LAYERS):
        for matrix, (inputs, outputs) in MATRICES.items():
            prefix = f"base_model.model.model.layers.{layer}.{matrix}"
            for part, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK))):
                numbers = 0.15 * random.standard_normal(shape)
                tensors[f"{prefix}.lora_{part}.weight"] = numbers.astype(np.float32)
    return tensors


def write_peft_folder(folder: Path, tensors: Tensors | None = None, **config: Any) -> Path:
    """Write an adapter; `config` replaces keys of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "peft_type": "LORA",
        "lora_alpha": ALPHA,
        "r": RANK,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "base_model_name_or_path": "xLAM-2-tiny",
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(values))
    save_file(tensors or random_tensors(), folder / "adapter_model.safetensors")
    return folder
