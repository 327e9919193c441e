"""Models in a store, as if they had been downloaded."""

from __future__ import annotations

from pathlib import Path

from tests.fakes import gguf_files
from xlam_local.generators import drain
from xlam_local.models import Store, hf_cache
from xlam_local.models.catalog import XLAM
from xlam_local.models.checksum import compute_checksum, save_block_hashes
from xlam_local.models.model_names import HubFile

XLAM_1B = XLAM[0]
XLAM_1B_REPO = "Salesforce/xLAM-2-1b-fc-r-gguf"
COMMIT = "c" * 40


def new_store(folder: Path) -> Store:
    """Return an empty store in `folder`."""
    return Store(folder / "hub", folder / "data", folder / "config")


def install(
    store: Store, repo: str, file: str, size: int = 4096, seed: int = 0, commit: str = COMMIT
) -> Path:
    """Install a file of random weights; return its path in the store."""
    path = gguf_files.write(store.hub_cache / "new.gguf", size, seed)
    checksum = drain(compute_checksum(path))
    save_block_hashes(checksum, store)
    blob = hf_cache.blob_path(store.hub_cache, repo, checksum.sha256())
    blob.parent.mkdir(parents=True, exist_ok=True)
    path.rename(blob)
    return hf_cache.link_snapshot(store.hub_cache, HubFile(repo, file), commit, checksum.sha256())


def install_xlam(
    store: Store, quantization: str = "Q4_K_M", size: int = 4096, seed: int = 0
) -> Path:
    """Install an xLAM-2 1B of random weights; return its path in the store."""
    return install(store, XLAM_1B_REPO, XLAM_1B.file_name(quantization), size, seed)
