"""The user's own entries in the catalog, from `models.toml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import toml_values
from ..errors import UsageError
from .catalog import BUILT_IN, DEFAULT_QUANTIZATION, CatalogModel, PublishedFile

FILE_NAME = "models.toml"
REMOTE_KEYS = ("url", "key_env", "format")
FORMATS = ("qwen", "llama")
REQUIRED_KEYS = ("repo", "file")
KEYS = (*REQUIRED_KEYS, "quantizations", "license", "note")


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """An entry of a model that runs on a server."""

    url: str
    key_env: str = ""
    """The environment variable with the server's key."""
    prompt_format: str = ""
    """The family of an xLAM-2 model with another name."""


def load_remote_entries(config: Path) -> dict[str, RemoteEntry]:
    """Return the models of `models.toml` that run on a server, by their names.

    Raises:
        UsageError: the file is not valid.
    """
    path = config / FILE_NAME
    found = {}
    for name, table in _tables(toml_values.load(path), path):
        where = f"{path}: [{name}]"
        if "url" in table:
            toml_values.check_keys(table, REMOTE_KEYS, where)
            found[name] = RemoteEntry(
                toml_values.text(table, "url", where, allow_empty=False),
                toml_values.text(table, "key_env", where),
                toml_values.one_of(table, "format", where, ("", *FORMATS), ""),
            )
    return found


def load_catalog(config: Path) -> tuple[CatalogModel, ...]:
    """Return the built-in models, then those of `models.toml` in the folder `config`.

    Raises:
        UsageError: the file is not valid.
    """
    path = config / FILE_NAME
    entries = _tables(toml_values.load(path), path)
    local = [(name, table) for name, table in entries if "url" not in table]
    return (*BUILT_IN, *(_entry(name, table, f"{path}: [{name}]") for name, table in local))


def _tables(tables: dict[str, Any], path: Path) -> Iterator[tuple[str, toml_values.Table]]:
    built_in = {model.name for model in BUILT_IN}
    for name in tables:
        if name.casefold() in built_in:
            raise UsageError(f"{path}: {name} is the name of a built-in model.")
        yield name, toml_values.subtable(tables, name, str(path))


def _entry(name: str, table: toml_values.Table, where: str) -> CatalogModel:
    toml_values.check_keys(table, KEYS, where)
    toml_values.check_required(table, REQUIRED_KEYS, where)
    license_key = toml_values.text(table, "license", where)
    quantizations = toml_values.texts(table, "quantizations", where, (DEFAULT_QUANTIZATION,))
    return CatalogModel(
        name=name,
        title=name,
        licenses=(license_key,) if license_key else (),
        repo=toml_values.text(table, "repo", where, allow_empty=False),
        file_pattern=toml_values.text(table, "file", where, allow_empty=False),
        files={quantization: PublishedFile() for quantization in quantizations},
        note=toml_values.text(table, "note", where),
    )
