"""From what a person types to the model that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelMissing, UsageError
from .catalog import Model

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file anywhere on this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class OnHub:
    """A file of a Hub repository."""

    repo: str
    file: str
    """Its name, or a quantization that one file's name holds."""
    revision: str = "main"

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf:{self.repo}{at}:{self.file}".rstrip(":")


@dataclass(frozen=True, slots=True)
class Catalogued:
    """A model of the catalog, perhaps with its quantization."""

    model: Model
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """A name that the catalog does not know; an imported model may have it."""

    text: str


Name = OnDisk | OnHub | Catalogued | Other


def parse(text: str, catalog: Iterable[Model]) -> Name:
    """What the typed name means."""
    if text.startswith("hf:"):
        return _on_hub(text)
    path = Path(text).expanduser()
    if text.casefold().endswith(".gguf") or "/" in text or text.startswith("~"):
        return OnDisk(path)
    stem, _, quantization = text.partition(":")
    for model in catalog:
        if model.name.casefold() == stem.casefold():
            return Catalogued(model, _quantization(model, quantization))
    return Other(text)


def _on_hub(text: str) -> OnHub:
    place, _, file = text.removeprefix("hf:").partition(":")
    repo, _, revision = place.partition("@")
    if not REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UsageError(f"{text!r} does not name a repository as hf:owner/repo:file does.")
    if not safe(file or "x") or not safe(revision or "x"):
        raise UsageError(f"{text!r} names a file outside of its repository.")
    return OnHub(repo, file, revision or "main")


def _quantization(model: Model, text: str) -> str | None:
    if not text:
        return None
    for quantization in model.files:
        if quantization.casefold() == text.casefold():
            return quantization
    known = ", ".join(model.files) or "none"
    raise ModelMissing(f"{model.name} has no quantization {text}; there are: {known}.")


def safe(path: str) -> bool:
    """Whether this path from outside stays within the folder it is put in."""
    if len(path) > 512 or "\\" in path or ":" in path or not path.isprintable():
        return False
    return all(part not in ("", ".", "..") and len(part) < 250 for part in path.split("/"))


def unknown(text: str, known: Sequence[str]) -> ModelMissing:
    """The error for a name that nothing has, with the nearest that something has."""
    import difflib  # slow to import, and seldom needed

    folded = {name.casefold(): name for name in known}
    if near := difflib.get_close_matches(text.casefold(), folded, n=1, cutoff=0.5):
        return ModelMissing(f"There is no model {text!r}; the nearest name is {folded[near[0]]}.")
    return ModelMissing(
        f"There is no model {text!r}; `xlam-local models list` shows what there is."
    )
