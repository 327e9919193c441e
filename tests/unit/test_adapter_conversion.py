"""Our conversion of LoRA adapters writes the tensors that llama.cpp's own converter writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.peft_folders import write_peft_folder
from tests.fakes.resources import fetch
from tests.fakes.tiny_models import EMBEDDING_SIZE, FEED_FORWARD_SIZE, HEADS, LAYERS, write_model
from tests.fakes.trainers import run_trainer
from xlam_local.models import Store, adapters, gguf

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def write_config(folder: Path, architecture: str) -> Path:
    """Write the configuration of a tiny model as Transformers has it."""
    folder.mkdir()
    config = {
        "architectures": [ARCHITECTURES[architecture]],
        "model_type": architecture,
        "hidden_size": EMBEDDING_SIZE,
        "intermediate_size": FEED_FORWARD_SIZE,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "vocab_size": 100,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tensors(path: Path) -> dict[str, tuple[tuple[int, ...], bytes]]:
    """Return the shapes and the bytes of the tensors in a GGUF file, by their names."""
    header, data = gguf.read(path), path.read_bytes()
    found = {}
    for tensor in header.tensors:
        start = header.data_offset + tensor.offset
        found[tensor.name] = (tensor.shape, data[start : start + tensor.size])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tensors_are_those_of_llama_cpps_converter(tmp_path: Path, architecture: str) -> None:
    base = tmp_path / "base.gguf"
    write_model(base, architecture, "xLAM-2-tiny")
    folder = write_peft_folder(tmp_path / "lamp")
    store = Store(tmp_path / "hub", tmp_path / "data", tmp_path / "config")
    ours = adapters.add(folder, "tiny", base, store)
    theirs = tmp_path / "theirs.gguf"
    run_trainer(
        "trl",
        fetch("lora-converter") / "convert_lora_to_gguf.py",
        *("--base", write_config(tmp_path / "config", architecture)),
        *("--outtype", "f16", "--outfile", theirs, folder),
    )
    assert tensors(ours.path) == tensors(theirs)
    assert len(tensors(theirs)) == 2 * 7 * LAYERS
    assert adapters.check(theirs, gguf.read(base)) == ours.rank
