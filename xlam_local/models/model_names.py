"""Resolve the name of a model, as a user types it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelMissing, UsageError
from .catalog import CatalogModel

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
MAX_PATH_CHARACTERS = 512
MAX_PATH_PART_CHARACTERS = 249
"""File systems allow 255; the rest is for suffixes such as `.incomplete`."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this computer."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a Hub repository. Its text form is `hf:owner/repo@revision:file`."""

    repo: str
    file: str
    """The file's name, or a part of it such as the quantization."""
    revision: str = "main"

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf:{self.repo}{revision}:{self.file}".rstrip(":")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model of the catalog; the quantization is None if the name has none."""

    model: CatalogModel
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that is not in the catalog. It can be the name of an imported model."""

    text: str


ModelName = LocalFile | HubFile | CatalogEntry | UnknownName


def parse(text: str, catalog: Iterable[CatalogModel]) -> ModelName:
    """Return what a name means.

    Raises:
        UsageError: a name that begins with `hf:` is malformed.
        ModelMissing: the model of the catalog has no such quantization.
    """
    if text.startswith("hf:"):
        return _parse_hub_file(text)
    if text.casefold().endswith(".gguf") or "/" in text or text.startswith("~"):
        return LocalFile(Path(text).expanduser())
    name, _, quantization = text.partition(":")
    for model in catalog:
        if model.name.casefold() == name.casefold():
            return CatalogEntry(model, _match_quantization(model, quantization))
    return UnknownName(text)


def catalog_entry_for(name: str, catalog: Iterable[CatalogModel]) -> CatalogModel | None:
    """Return the model of the catalog that a name or its Hub repository belongs to."""
    match parse(name, catalog):
        case CatalogEntry(model):
            return model
        case HubFile(repo):
            folded = repo.casefold()
            return next((one for one in catalog if (one.repo or "").casefold() == folded), None)
    return None


def is_safe_path(path: str) -> bool:
    """Return whether a relative path from a server stays within the folder it is joined to."""
    if len(path) > MAX_PATH_CHARACTERS or not path.isprintable() or "\\" in path or ":" in path:
        return False
    return all(
        part not in ("", ".", "..") and len(part) <= MAX_PATH_PART_CHARACTERS
        for part in path.split("/")
    )


def unknown_name_error(text: str, known: Sequence[str]) -> ModelMissing:
    """Return the error for a name that does not exist; it suggests the most similar known name."""
    folded = {name.casefold(): name for name in known}
    if matches := difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.5):
        hint = f"did you mean {folded[matches[0]]}?"
    else:
        hint = "`xlam-local models list` shows the models."
    return ModelMissing(f"There is no model {text!r}; {hint}")


def _parse_hub_file(text: str) -> HubFile:
    location, _, file = text.removeprefix("hf:").partition(":")
    repo, _, revision = location.partition("@")
    if not REPO_ID.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UsageError(f"{text!r} is not a Hub file; write hf:owner/repo:file.")
    if not is_safe_path(file or "x") or not is_safe_path(revision or "x"):
        raise UsageError(f"{text!r} names a file outside its repository.")
    return HubFile(repo, file, revision or "main")


def _match_quantization(model: CatalogModel, text: str) -> str | None:
    if not text:
        return None
    for quantization in model.files:
        if quantization.casefold() == text.casefold():
            return quantization
    known = ", ".join(model.files) or "none"
    raise ModelMissing(f"{model.name} has no quantization {text}; it has: {known}.")
