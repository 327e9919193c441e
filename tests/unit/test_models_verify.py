"""Checks of installed files, and of the chat templates in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes import gguf_files
from tests.fakes.model_store import install_xlam, new_store
from xlam_local import models
from xlam_local.models import Store, chat_template_check, gguf
from xlam_local.models.verify import CheckResult, verify

MEGABYTE = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def check_only_file(store: Store) -> CheckResult:
    """Verify the only installed model, which has one file."""
    (model,) = models.list_installed(store)
    (result,) = (step for step in verify(model, store) if isinstance(step, CheckResult))
    return result


def test_a_valid_model_passes(store: Store) -> None:
    install_xlam(store)
    assert check_only_file(store).ok


def test_a_wrong_byte_is_located(store: Store) -> None:
    path = install_xlam(store, size=20 * MEGABYTE)
    with path.open("r+b") as file:
        file.seek(12_345_678)
        file.write(b"damage")
    result = check_only_file(store)
    assert not result.ok
    assert "in the range 8388608 to 16777215 (tensors token_embd.weight" in result.problem


def test_a_truncated_file_says_where_it_ends(store: Store) -> None:
    path = install_xlam(store, size=20 * MEGABYTE)
    os.truncate(path, 16 * MEGABYTE)
    assert "the file is truncated at byte 16777216" in check_only_file(store).problem


def test_damage_is_noticed_without_block_hashes(store: Store) -> None:
    path = install_xlam(store)
    for file in (store.data / "block_hashes").iterdir():
        file.unlink()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert "has the SHA-256" in check_only_file(store).problem


def test_the_template_of_another_model_is_not_compared(tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "a.gguf", general__name="Other")
    assert chat_template_check.compare(gguf.read(path)) is None


def test_a_template_that_writes_another_prompt_is_shown_as_a_diff(tmp_path: Path) -> None:
    template = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}{% endfor %}"
    path = gguf_files.write(
        tmp_path / "a.gguf", general__name="xLAM 2 1b", tokenizer__chat_template=template
    )
    comparison = chat_template_check.compare(gguf.read(path))
    assert comparison is not None
    assert not comparison.matches
    assert "+<|im_start|>system: Be brief." in comparison.difference
