"""Imports of GGUF files, by link and by copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import gguf_files
from tests.fakes.model_store import new_store
from xlam_local import models
from xlam_local.errors import IntegrityError, ModelMissing, UsageError
from xlam_local.model_loading import model_weights
from xlam_local.models import Store, import_gguf


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def link(path: Path, store: Store, name: str | None = None) -> Path:
    *_, last = import_gguf.link(path, store, name)
    assert last.path is not None
    return last.path


def test_a_linked_file_is_the_same_file(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "my model.gguf")
    imported = link(path, store)
    assert models.find_path("my-model", store) == imported
    assert imported.samefile(path)
    assert link(path, store) == imported


def test_a_copied_file_is_another_file(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf")
    *_, last = import_gguf.copy(path, store, "other-name")
    assert last.path is not None
    assert not last.path.samefile(path)
    assert last.path.read_bytes() == path.read_bytes()
    assert models.find_path("other-name", store) == last.path


def test_all_parts_of_a_split_model_are_imported(store: Store, tmp_path: Path) -> None:
    files = [
        gguf_files.write(tmp_path / f"big-0000{number}-of-00003.gguf", seed=number)
        for number in (1, 2, 3)
    ]
    imported = link(files[1], store)
    (model,) = models.list_installed(store)
    assert model.name == "big"
    assert model.path == imported
    assert model.path.name == "big-00001-of-00003.gguf"
    assert model.size == sum(file.stat().st_size for file in files)
    model.files[2].unlink()
    with pytest.raises(ModelMissing, match="Parts of big are missing"):
        models.find_path("big", store)


def test_a_split_model_without_a_part_is_not_imported(store: Store, tmp_path: Path) -> None:
    first = gguf_files.write(tmp_path / "big-00001-of-00002.gguf")
    with pytest.raises(ModelMissing, match=r"big-00002-of-00002\.gguf"):
        link(first, store)
    assert not store.hub_cache.exists()


@pytest.mark.parametrize("name", ["xlam-2-1b", "demo", "../evil", "a--b", "", "a/b"])
def test_an_invalid_name_or_one_of_the_catalog_is_rejected(
    name: str, store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / "demo.gguf")
    with pytest.raises(UsageError):
        link(path, store, name)


def test_the_name_of_another_imported_file_is_rejected(store: Store, tmp_path: Path) -> None:
    link(gguf_files.write(tmp_path / "mine.gguf"), store)
    other = gguf_files.write(tmp_path / "other" / "mine.gguf", seed=1)
    with pytest.raises(UsageError, match="Another model is called mine"):
        link(other, store)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.bin", "model"),
        ("My Model.GGUF", "My-Model"),
        ("qwen2.5-q4_k_m", "qwen2.5-q4_k_m"),
        ("llama:8b.gguf", "llama-8b"),
        ("a--b...c.gguf", "a-b.c"),
        ("with-mmproj-inside.gguf", "with-mmproj-inside"),
        (f"{'long' * 50}.gguf", "long" * 24),
        ("sha256-" + "0123456789abcdef" * 4, "Tiny-Model-1B"),
        ("0123456789ABCDEF" * 4, "Tiny-Model-1B"),
        ("my.model.gguf.download", "my"),
        ("v1.5.instruct.gguf", "v1.5.instruct"),
        ("\u043c\u043e\u0434\u0435\u043b\u044c.gguf", "\u043c\u043e\u0434\u0435\u043b\u044c"),
    ],
)
def test_a_file_of_any_name_is_found_under_the_name_that_is_derived(
    file: str, name: str, store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / file, general__name="Tiny Model 1B")
    imported = link(path, store)
    assert models.find_path(name, store) == imported
    assert [model.name for model in models.list_installed(store)] == [name]
    assert imported.read_bytes() == path.read_bytes()
    assert link(path, store) == imported


@pytest.mark.parametrize("file", ["model.bin", "sha256-" + "ab" * 32, "x.GGUF", "a b"])
def test_a_file_of_any_name_is_found_under_the_name_that_is_given(
    file: str, store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / file)
    *_, last = import_gguf.copy(path, store, "mine")
    assert last.path is not None
    assert last.path.suffix == ".gguf"
    assert models.find_path("mine", store) == last.path


def test_a_name_that_would_be_read_as_a_path_or_that_differs_in_case_is_rejected(
    store: Store, tmp_path: Path
) -> None:
    link(gguf_files.write(tmp_path / "Mine.gguf"), store)
    other = gguf_files.write(tmp_path / "other.gguf", seed=1)
    with pytest.raises(UsageError, match="Another model is called Mine"):
        link(other, store, "mine")
    with pytest.raises(UsageError, match=r"leave out \.gguf"):
        link(other, store, "other.gguf")


OTHER_MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "mmproj": ({"general__type": "mmproj"}, r"an encoder of images or audio \(mmproj\)"),
    "an old mmproj": ({"architecture": "clip"}, r"an encoder of images or audio \(mmproj\)"),
    "a LoRA adapter": ({"general__type": "adapter", "adapter__type": "lora"}, "a LoRA adapter"),
    "an old adapter": ({"adapter__type": "lora"}, "a LoRA adapter"),
    "a vocabulary": ({"size": 0}, "only a vocabulary"),
    "a typed vocabulary": ({"general__type": "vocab"}, "only a vocabulary"),
    "an importance matrix": ({"general__type": "imatrix"}, "an importance matrix"),
    "a control vector": ({"architecture": "controlvector"}, "a control vector"),
    "an encoder": ({"architecture": "nomic-bert"}, "a model for embeddings"),
    "an embedding model": (
        {"architecture": "qwen3", "qwen3__pooling_type": 3},
        "a model for embeddings",
    ),
    "a part": ({"split__no": 1, "split__count": 3}, "is part 2 of 3 of a split model. Put all"),
    "a bare part": (
        {"architecture": "", "split__no": 2, "split__count": 3},
        "is part 3 of 3 of a split model",
    ),
    "the first part": ({"split__no": 0, "split__count": 2}, "is part 1 of 2 of a split model"),
}


@pytest.mark.parametrize(("fields", "message"), OTHER_MODELS.values(), ids=OTHER_MODELS)
def test_a_gguf_file_that_is_no_language_model_is_refused(
    fields: dict[str, Any], message: str, store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / "x.gguf", **fields)
    with pytest.raises(
        IntegrityError, match=rf"^x\.gguf is {message.removeprefix('is ')}"
    ) as error:
        link(path, store)
    assert str(error.value).count(". ") <= 1
    assert not store.hub_cache.exists()
    with pytest.raises(IntegrityError, match=message):
        model_weights(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split__no": "x", "split__count": 2}, r"'split\.no' is 'x', not an integer"),
        ({"split__count": "3"}, r"'split\.count' is '3', not an integer"),
        ({"general__name": 5}, r"'general\.name' is 5, not text"),
        ({"general__type": 5}, r"'general\.type' is 5, not text"),
        ({"tokenizer__chat_template": 1}, r"'tokenizer\.chat_template' is 1, not text"),
        ({"tokenizer__ggml__tokens": 3}, r"'tokenizer\.ggml\.tokens' is 3, not an array"),
        ({"qwen2__embedding_length": "64"}, r"'qwen2\.embedding_length' is '64', not an integer"),
        ({"qwen2__attention__head_count": "x"}, "is 'x', not an integer or an array"),
    ],
)
def test_a_field_of_another_type_is_named(
    fields: dict[str, Any], message: str, store: Store, tmp_path: Path
) -> None:
    path = gguf_files.write(tmp_path / "x.gguf", **fields)
    with pytest.raises(IntegrityError, match=rf"^x\.gguf: field .*{message}\.$"):
        link(path, store)


def test_later_parts_of_a_split_model_need_no_metadata(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        gguf_files.write(
            tmp_path / f"big-0000{number + 1}-of-00003.gguf",
            seed=number,
            size=4096 if number else 0,
            architecture="" if number else "qwen2",
            split__no=number,
            split__count=3,
        )
    imported = link(tmp_path / "big-00003-of-00003.gguf", store)
    assert imported.name == "big-00001-of-00003.gguf"
    assert models.find_path("big", store) == imported


@pytest.mark.parametrize(
    ("stem", "suffix", "name"), [("big", ".GGUF", "big"), ("big:x", ".gguf", "big-x")]
)
def test_parts_of_any_name_are_found(
    stem: str, suffix: str, name: str, store: Store, tmp_path: Path
) -> None:
    for number in (1, 2):
        path = tmp_path / f"{stem}-0000{number}-of-00002{suffix}"
        gguf_files.write(path, seed=number, split__no=number - 1, split__count=2)
    imported = link(path, store)
    assert imported.name == f"{name}-00001-of-00002.gguf"
    assert models.find_path(name, store) == imported
    assert len(models.list_installed(store)) == 1


def test_parts_with_wrong_numbers_are_refused(store: Store, tmp_path: Path) -> None:
    for name, number in ((1, 1), (2, 0)):
        path = tmp_path / f"big-0000{name}-of-00002.gguf"
        gguf_files.write(path, split__no=number, split__count=2)
    with pytest.raises(IntegrityError, match=r"big-00001-of-00002\.gguf is part 2 of 2"):
        link(path, store)


def test_a_folder_is_not_imported(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder.gguf").mkdir()
    with pytest.raises(ModelMissing, match="is a folder, not a file"):
        link(tmp_path / "folder.gguf", store)


def test_a_file_that_is_not_gguf_is_not_imported(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>")
    with pytest.raises(
        IntegrityError, match=r"page\.gguf is not a GGUF file but a web page; download"
    ):
        link(path, store)
    assert not store.hub_cache.exists()
