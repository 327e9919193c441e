"""Settings: file, environment and defaults become one Config."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs

from .errors import UsageError
from .fit import KV_BYTES, KvType

APP = "xlam-local"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where this program keeps its things."""

    config: Path
    data: Path
    cache: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Config:
    """What the user has settled in `config.toml`."""

    model: str | None = None
    """The model when none is named."""
    context: int = 8192
    """Tokens of context, at most the model's own."""
    max_tokens: int = 1024
    """The most tokens in one reply."""
    max_steps: int = 8
    """The most replies in one turn."""
    turn_seconds: int | None = None
    """The most seconds in one turn."""
    turn_tokens: int | None = None
    """The most tokens read and written in one turn."""
    temperature: float = 0.0
    """0 takes the most likely token."""
    threads: int | None = None
    """Threads that compute; every fast core when not set."""
    gpu_layers: int | None = None
    """Layers on the GPU; as many as fit when not set."""
    kv: KvType = "f16"
    """How the KV cache is kept: f16, q8_0 or q4_0."""
    fallback: bool = True
    """Whether less is tried where a model does not fit as it was wished."""
    strict_context: bool = False
    """Whether a conversation that does not fit the context is an error."""
    prefix_cache: int = 2048
    """MiB of disk for prompts that were read already; 0 keeps none."""
    theme: str = "textual-dark"
    """The colours of the app."""


def folders(environment: Mapping[str, str] = os.environ) -> Folders:
    """The folders under XLAM_LOCAL_HOME where that is set, else where the system wants them."""
    if home := environment.get("XLAM_LOCAL_HOME"):
        top = Path(home).expanduser().absolute()
        return Folders(top / "config", top / "data", top / "cache", top / "state")
    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Folders(
        dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_state_path
    )


def load(path: Path) -> Config:
    """The settings in the file at `path`, or the defaults where there is none."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Config()
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    return _checked(settings, path)


def save(path: Path, key: str, value: object) -> None:
    """Change one setting in the file at `path`; its comments and the others stay.

    None takes the setting out, so that its default holds.
    """
    import tomlkit

    _checked({} if value is None else {key: value}, path)
    load(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    if value is None:
        document.pop(key, None)
    else:
        document[key] = value
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.write_text(tomlkit.dumps(document), encoding="utf-8")
        new.replace(path.resolve())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def _checked(settings: Mapping[str, Any], path: Path) -> Config:
    known = {field.name for field in fields(Config)}
    for key, value in settings.items():
        if key not in known:
            raise UsageError(f"{path}: there is no setting {key!r}; there are {_listed(known)}.")
        if not KINDS[key](value):
            raise UsageError(f"{path}: {key} cannot be {value!r}.")
    return Config(**settings)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _temperature(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 5


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _switch(value: object) -> bool:
    return isinstance(value, bool)


def _kv(value: object) -> bool:
    return value in KV_BYTES


KINDS = {
    "model": _text,
    "context": _count,
    "max_tokens": _count,
    "max_steps": _count,
    "turn_seconds": _count,
    "turn_tokens": _count,
    "temperature": _temperature,
    "threads": _count,
    "gpu_layers": _number,
    "kv": _kv,
    "fallback": _switch,
    "strict_context": _switch,
    "prefix_cache": _number,
    "theme": _text,
}
