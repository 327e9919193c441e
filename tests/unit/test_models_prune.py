"""Removal of models, and of files that no model needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from tests.fakes import gguf_files
from tests.fakes.model_store import COMMIT, XLAM_1B_REPO, install, install_xlam, new_store
from xlam_local import models
from xlam_local.models import Store, hf_cache, import_gguf
from xlam_local.models.model_names import HubFile
from xlam_local.models.prune import old_revisions, prune, remove, unused_files

OTHER_REPO = "someone/some-gguf"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def test_removing_a_model_frees_its_disk_space(store: Store) -> None:
    size = install_xlam(store).stat().st_size
    assert remove(models.list_installed(store)[0], store) == size
    assert models.list_installed(store) == []
    assert not [path for path in store.hub_cache.rglob("*") if path.is_file()]


def test_removing_a_model_keeps_a_blob_that_another_file_uses(store: Store) -> None:
    path = install_xlam(store)
    copy = HubFile(XLAM_1B_REPO, "copy.gguf")
    other = hf_cache.link_snapshot(store.hub_cache, copy, COMMIT, path.resolve().name)
    assert remove(models.get_installed("xlam-2-1b", store), store) == 0
    assert not path.exists()
    assert other.is_file()


def test_removing_an_imported_model_keeps_the_original_file(store: Store, tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "mine.gguf")
    list(import_gguf.link(path, store))
    assert remove(models.get_installed("mine", store), store) == 0
    assert path.is_file()
    assert models.list_installed(store) == []


def test_pruning_deletes_partial_downloads_and_unreferenced_blobs_only(store: Store) -> None:
    path = install_xlam(store)
    blobs = path.resolve().parent
    for name in ("a" * 64 + ".incomplete", "b" * 64 + ".1234abcd.incomplete", "d" * 64):
        (blobs / name).write_bytes(b"123")
    other = store.hub_cache / "models--someone--bert" / "blobs" / ("e" * 64 + ".incomplete")
    other.parent.mkdir(parents=True)
    other.write_bytes(b"123")
    assert len(unused_files(store)) == 3
    assert prune(store) == 9
    assert unused_files(store) == []
    assert path.is_file()
    assert other.is_file()


def test_old_revisions_are_pruned_only_on_request(store: Store) -> None:
    old = install(store, OTHER_REPO, "model.gguf", seed=1, commit="a" * 40)
    only = install(store, OTHER_REPO, "only-here.gguf", seed=2, commit="a" * 40)
    new = install(store, OTHER_REPO, "model.gguf", seed=3, commit="b" * 40)
    size = old.stat().st_size
    assert [(file.path, file.size) for file in old_revisions(store)] == [(old, size)]
    assert prune(store) == 0
    assert old.is_file()
    assert prune(store, include_old_revisions=True) == size
    assert not old.exists()
    assert only.is_file()
    assert new.is_file()
    assert old_revisions(store) == []


def test_an_old_revision_with_the_same_content_frees_nothing(store: Store) -> None:
    old = install(store, OTHER_REPO, "model.gguf", commit="a" * 40)
    new = install(store, OTHER_REPO, "model.gguf", commit="b" * 40)
    assert [(file.path, file.size) for file in old_revisions(store)] == [(old, 0)]
    assert prune(store, include_old_revisions=True) == 0
    assert new.is_file()
    assert not old.parent.exists()


def test_a_download_in_progress_is_not_pruned(store: Store) -> None:
    blob = install_xlam(store).resolve().with_name("a" * 64)
    hf_cache.partial_path(blob).write_bytes(b"123")
    hf_cache.lock_path(blob).parent.mkdir(parents=True)
    with FileLock(hf_cache.lock_path(blob)):
        assert unused_files(store) == []
    assert len(unused_files(store)) == 1


def test_the_least_recently_used_model_is_not_pruned(store: Store) -> None:
    path = install_xlam(store)
    models.record_use(install(store, OTHER_REPO, "model.gguf", seed=1), store)
    assert prune(store, include_old_revisions=True) == 0
    assert path.is_file()
