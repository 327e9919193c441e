"""The vocabulary without weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.tokenizer import GgufTokenizer
from xlam_local.errors import ModelError, ModelMissing
from xlam_local.server.tokens import prompt_of, text_of
from xlam_local.types import PromptPart

TEXTS = (
    "",
    "Hello, world!",
    "<|im_start|>user\nhi<|im_end|>",
    "漢字 wörld 🤷🏽‍♀️   \n\n x",
    "\ud800 unpaired",
    "a" * 5000,
)


@pytest.fixture(scope="module")
def tokenizer(qwen_path: Path) -> Iterator[GgufTokenizer]:
    made = GgufTokenizer(qwen_path)
    yield made
    made.close()


def test_it_counts_as_the_engine_does(qwen_path: Path, tokenizer: GgufTokenizer) -> None:
    engine = LocalEngine.load(qwen_path, LoadOptions(context_size=256))
    for special in (False, True):
        parts = [(PromptPart(text, special),) for text in TEXTS]
        assert [len(tokenizer.tokenize(part)) for part in parts] == engine.count(parts)
    engine.close()


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_of_tokens_is_the_text(tokenizer: GgufTokenizer, text: str) -> None:
    tokens = tokenizer.tokenize((PromptPart(text, special=True),))
    assert text_of(tokens, tokenizer) == text.encode("utf-8", "replace").decode()


def test_a_token_may_be_long(tokenizer: GgufTokenizer) -> None:
    lengths = [len(tokenizer.token_bytes(token)) for token in range(tokenizer.size)]
    assert max(lengths) > 1


def test_tokens_that_no_tokenizer_would_choose_are_kept(tokenizer: GgufTokenizer) -> None:
    letters = [tokenizer.tokenize((PromptPart(letter, special=False),))[0] for letter in "hello"]
    assert tokenizer.tokenize((PromptPart("hello", special=False),)) != letters
    written = prompt_of(letters, tokenizer, "prompt")
    assert tokenizer.tokenize(written) == letters
    assert "".join(part.text for part in written) == "hello"


def test_the_letters_of_a_control_token_do_not_become_it(tokenizer: GgufTokenizer) -> None:
    (control,) = tokenizer.tokenize((PromptPart("<|im_end|>", special=True),))
    letters = tokenizer.tokenize((PromptPart("<|im_end|>", special=False),))
    assert len(letters) > 1
    tokens = [*letters, control]
    assert tokenizer.tokenize(prompt_of(tokens, tokenizer, "prompt")) == tokens


def test_a_missing_or_broken_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        GgufTokenizer(tmp_path / "no.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"cannot load broken\.gguf"):
        GgufTokenizer(tmp_path / "broken.gguf")
