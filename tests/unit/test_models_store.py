"""The installed models: their names, the default model, and their last use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import gguf_files
from tests.fakes.model_store import XLAM_1B_REPO, install, install_xlam, new_store
from xlam_local import models
from xlam_local.errors import IntegrityError, ModelMissing, UsageError
from xlam_local.models import Store, hf_cache, model_names
from xlam_local.models.catalog import DEMO
from xlam_local.models.types import format_bytes, hub_cache_folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def test_an_empty_store_says_how_to_pull_a_model(store: Store) -> None:
    assert models.list_installed(store) == []
    with pytest.raises(ModelMissing, match="xlam-local models pull xlam-2-1b"):
        models.default_path(store)


@pytest.mark.parametrize(
    "name",
    [
        "xlam-2-1b",
        "xLAM-2-1B",
        "xlam-2-1b:Q4_K_M",
        "xlam-2-1b:q4_k_m",
        f"hf:{XLAM_1B_REPO}:xLAM-2-1B-fc-r-Q4_K_M.gguf",
        f"hf:{XLAM_1B_REPO.lower()}:xlam-2-1b-fc-r-q4_k_m.gguf",
        f"hf:{XLAM_1B_REPO}:Q4_K_M",
    ],
)
def test_an_installed_model_is_found_by_each_of_its_names(name: str, store: Store) -> None:
    path = install_xlam(store)
    assert models.find_path(name, store) == path


def test_a_file_is_found_by_its_path(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf")
    assert models.find_path(str(path), store) == path


def test_a_name_without_a_quantization_is_the_default_one_or_else_the_largest(
    store: Store,
) -> None:
    large = install_xlam(store, "Q8_0", 9000, seed=1)
    install_xlam(store, "Q2_K", 5000, seed=2)
    assert models.find_path("xlam-2-1b", store) == large
    default = install_xlam(store, "Q4_K_M", 6000, seed=3)
    assert models.find_path("xlam-2-1b", store) == default


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xlam-2-1b", "not installed; run `xlam-local models pull xlam-2-1b`"),
        ("xlam-2-3b:Q5_K_M", "not installed; run `xlam-local models pull xlam-2-3b:Q5_K_M`"),
        ("xlam-2-1b:Q9", "has no quantization Q9; it has: F16, Q8_0"),
        ("xlam2-1b", "did you mean xlam-2-1b?"),
        ("gibberish", "`xlam-local models list` shows the models"),
        ("hf:a/b:c.gguf", "not installed; run `xlam-local models pull hf:a/b:c.gguf`"),
        ("nowhere/none.gguf", "There is no file nowhere/none.gguf"),
        ("xlam-2-70b", "Salesforce publishes no GGUF of it"),
    ],
)
def test_a_model_that_is_not_installed_says_what_to_do(
    name: str, message: str, store: Store
) -> None:
    with pytest.raises(ModelMissing, match=message):
        models.find_path(name, store)


@pytest.mark.parametrize(
    "name", ["hf:a", "hf:a/../b:c", "hf:/a/b:c", "hf:a/b:../c.gguf", "hf:a/b:/etc/passwd"]
)
def test_a_malformed_hub_name_is_rejected(name: str, store: Store) -> None:
    with pytest.raises(UsageError):
        models.find_path(name, store)


@pytest.mark.parametrize("name", ["hf:a/b", "hf:a/b:Q4_0", "hf:a/b@dev:x.gguf"])
def test_the_text_of_a_hub_name_is_the_name(name: str) -> None:
    assert str(model_names.parse(name, ())) == name


@pytest.mark.parametrize("file", ["../../evil.gguf", "/etc/evil.gguf", "a//b.gguf", "a\\b.gguf"])
def test_a_file_name_from_a_server_stays_in_its_folder(file: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="outside its repository"):
        hf_cache.snapshot_path(tmp_path, "a/b", "c" * 40, file)


def test_the_default_model_is_the_largest_xlam_and_the_demo_is_last(store: Store) -> None:
    demo = install(store, str(DEMO.repo), DEMO.file_name("Q4_1"), 90_000)
    assert models.default_path(store) == demo
    other = install(store, "someone/other-gguf", "other.gguf", 50_000, seed=1)
    assert models.default_path(store) == other
    small = install_xlam(store, "Q2_K", 5000, seed=2)
    assert models.default_path(store) == small
    large = install_xlam(store, "Q8_0", 9000, seed=3)
    assert models.default_path(store) == large


def test_the_last_use_of_a_model_is_recorded(store: Store) -> None:
    path = install_xlam(store)
    assert models.list_installed(store)[0].last_used is None
    models.record_use(path, store)
    assert models.list_installed(store)[0].last_used is not None


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HF_HOME": "/b", "HF_HUB_CACHE": "/a"}, "/a"),
        ({}, str(Path.home() / ".cache/huggingface/hub")),
    ],
)
def test_the_cache_is_the_one_of_huggingface_hub(variables: dict[str, str], folder: str) -> None:
    assert hub_cache_folder(variables) == Path(folder)


@pytest.mark.parametrize(
    ("size", "text"),
    [(7, "7 bytes"), (986_048_192, "986 MB"), (1_929_902_656, "1.9 GB"), (999_999, "1 MB")],
)
def test_sizes_have_decimal_units(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_a_file_that_is_named_like_a_model_is_pointed_out(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sha256-0123").touch()
    with pytest.raises(ModelMissing, match=r"to use the file, write \./sha256-0123\.$"):
        models.find_path("sha256-0123", store)
