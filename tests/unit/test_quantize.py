"""The script that quantizes a model again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.quantize import quantize
from xlam_local.engine.llama_model import LlamaModel


def test_the_new_file_has_the_new_quantization(qwen_path: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.gguf"
    quantize(qwen_path, new, "Q8_0")
    model = LlamaModel(new, 0, None)
    assert model.metadata["general.file_type"] == "7"
    model.close()
    assert new.stat().st_size < qwen_path.stat().st_size


def test_an_unknown_quantization_is_named(qwen_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no quantization Q9_X, only .*Q3_K_M"):
        quantize(qwen_path, tmp_path / "new.gguf", "Q9_X")
