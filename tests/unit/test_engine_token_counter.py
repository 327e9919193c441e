from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.grammar_backends import RESOURCES, vocabulary
from tests.fakes.resources import fetch
from xlam_local.engine.token_counter import count_tokens
from xlam_local.errors import ModelError, ModelMissing

TEXTS = ["", "a", "Hello there.", '{\n    "name": "größe"\n}\n\n', "<|im_end|>", "\ud800"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "resource"), RESOURCES.items())
def test_tokens_are_counted_as_llama_cpp_tokenizes(name: str, resource: str) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in TEXTS]
    expected = [len(vocabulary(name).tokens(text)) for text in texts]
    assert count_tokens(fetch(resource), TEXTS) == expected


def test_a_whole_model_can_be_counted_with(qwen_path: Path) -> None:
    assert count_tokens(qwen_path, ["Hello there."])[0] > 1


def test_a_file_that_is_not_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no model file"):
        count_tokens(tmp_path / "nothing.gguf", [])
    (tmp_path / "noise.gguf").write_bytes(b"GGUF noise")
    with pytest.raises(ModelError, match=r"cannot load the vocabulary of noise\.gguf"):
        count_tokens(tmp_path / "noise.gguf", [])
