"""Paths in the Hugging Face cache, laid out as huggingface_hub does so that it finds the files.

https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from pathlib import Path

from .. import atomic_file
from ..errors import IntegrityError
from .disk import write_errors
from .model_names import HubFile, is_safe_path

GGUF_FILES = "*.[gG][gG][uU][fF]"
"""The pattern of the names of models."""
SHARED_FILE = 0o666
"""The mode of a new file, less the umask: other users may share the cache."""


def repo_folder(hub_cache: Path, repo: str) -> Path:
    """Return the folder of a repository."""
    return hub_cache / "--".join(["models", *repo.split("/")])


def blob_path(hub_cache: Path, repo: str, sha256: str) -> Path:
    """Return the file with the content whose SHA-256 is given."""
    return repo_folder(hub_cache, repo) / "blobs" / sha256


def partial_path(blob: Path) -> Path:
    """Return the file with the part of a blob that is downloaded so far."""
    return blob.with_name(f"{blob.name}.incomplete")


def lock_path(blob: Path) -> Path:
    """Return the lock file of a blob, which huggingface_hub uses too."""
    repo = blob.parent.parent
    return repo.parent / ".locks" / repo.name / f"{blob.name}.lock"


def snapshot_path(hub_cache: Path, repo: str, commit: str, file: str) -> Path:
    """Return the path of a file of a repository at a commit.

    Raises:
        IntegrityError: the path would be outside the repository's folder.
    """
    if not is_safe_path(file) or not is_safe_path(commit) or "/" in commit:
        raise IntegrityError(f"{repo} names a file outside its repository: {file!r}.")
    return repo_folder(hub_cache, repo) / "snapshots" / commit / file


def link_snapshot(hub_cache: Path, hub_file: HubFile, commit: str, sha256: str) -> Path:
    """Link a file at a commit to its blob, and the revision to the commit; return the file."""
    repo, revision = hub_file.repo, hub_file.revision
    path = snapshot_path(hub_cache, repo, commit, hub_file.file)
    with write_errors(path):
        _link(path, os.path.relpath(blob_path(hub_cache, repo, sha256), path.parent))
        if revision != commit and commit_of(hub_cache, repo, revision) != commit:
            ref = repo_folder(hub_cache, repo) / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write_text(ref, commit, SHARED_FILE)
    return path


def commit_of(hub_cache: Path, repo: str, revision: str) -> str | None:
    """Return the commit that a revision pointed to when it was last downloaded."""
    try:
        ref = repo_folder(hub_cache, repo) / "refs" / revision
        commit = ref.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return commit if is_safe_path(commit) and "/" not in commit else None


def _link(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing an old one atomically."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
