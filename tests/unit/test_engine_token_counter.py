from __future__ import annotations

from pathlib import Path

import pytest

from tests.executors import vocabulary
from xlam_local.engine.vocabulary import count
from xlam_local.errors import ModelError, ModelMissing

from .resources import get
from .tiny import VOCABULARIES

TEXTS = ["", "a", "Hello there.", '{\n    "name": "größe"\n}\n\n', "<|im_end|>", "\ud800"]


@pytest.mark.parametrize("name", VOCABULARIES.values())
def test_tokens_are_counted_as_llama_cpp_writes_them(name: str) -> None:
    path = get(name)
    known = vocabulary(path.stem.removeprefix("ggml-vocab-"))
    written = [len(known.tokens(text.encode("utf-8", "replace").decode())) for text in TEXTS]
    assert count(path, TEXTS) == written


def test_weights_are_not_needed_to_count(tiny_path: Path) -> None:
    assert count(tiny_path, ["Hello there."]) == [3]


def test_what_is_no_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no model file"):
        count(tmp_path / "nothing.gguf", [])
    (tmp_path / "noise.gguf").write_bytes(b"GGUF noise")
    with pytest.raises(ModelError, match=r"cannot load the vocabulary of noise\.gguf"):
        count(tmp_path / "noise.gguf", [])
