"""Read and write config.toml, and find the user's folders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from . import atomic_file, toml_values
from .errors import UsageError
from .model_shape import KvCacheType
from .settings_table import check_preset, check_settings

APP = "xlam-local"
LISTS = ("stop", "allow_remote")
"""The settings that are one text or a list of texts."""
PRESETS = "presets"
"""The table of config.toml with a table for each preset."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of this program for the user's files."""

    config: Path
    data: Path
    cache: Path
    state: Path


@dataclass(frozen=True, slots=True)
class Config:
    """The settings; `settings_table` describes each one. None means that no value is set."""

    model: str | None = None
    context: int = 8192
    max_tokens: int = 1024
    max_steps: int = 8
    turn_timeout: int | None = None
    turn_token_budget: int | None = None
    preset: str | None = None
    system: str | None = None
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int = 0
    stop: tuple[str, ...] = ()
    threads: int | None = None
    gpu_layers: int | None = None
    kv_cache_type: KvCacheType = "f16"
    auto_downgrade: bool = True
    strict_context: bool = False
    prompt_cache_mib: int = 2048
    allow_remote: tuple[str, ...] = ()
    theme: str = "textual-dark"
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The settings of each preset by its name."""


def folders(environment: Mapping[str, str] = os.environ) -> Folders:
    """Return the folders below XLAM_LOCAL_HOME, or the system's usual ones if it is not set."""
    if home := environment.get("XLAM_LOCAL_HOME"):
        top = Path(home).expanduser().absolute()
        return Folders(top / "config", top / "data", top / "cache", top / "state")
    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    return Folders(
        dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_state_path
    )


def load(path: Path) -> Config:
    """Return the settings in the file at `path`, or the defaults if there is no file.

    Raises:
        UsageError: The file is not TOML, or a setting is unknown or invalid.
    """
    settings = dict(toml_values.load(path))
    presets = toml_values.subtable(settings, PRESETS, str(path))
    for name in presets:
        where = f"{path}: {PRESETS}"
        check_preset(toml_values.subtable(presets, name, where), f"{where}.{name}")
    settings.pop(PRESETS, None)
    check_settings(settings, str(path))
    loaded = Config(
        **_values(settings), presets={name: _values(preset) for name, preset in presets.items()}
    )
    if loaded.preset is not None:
        _preset(loaded, loaded.preset, str(path))
    return loaded


def with_preset(settings: Config, name: str | None = None) -> Config:
    """Return settings with the values of the preset `name`, by default of their own preset.

    With an empty name, no preset is used.

    Raises:
        UsageError: There is no such preset.
    """
    name = settings.preset if name is None else name
    values = _preset(settings, name, "config.toml") if name else {}
    return replace(settings, **values, preset=None)


def _preset(settings: Config, name: str, where: str) -> Mapping[str, Any]:
    """Return the values of a preset of the file `where`."""
    if name not in settings.presets:
        known = ", ".join(sorted(settings.presets)) or "none"
        raise UsageError(
            f"{where}: There is no preset {name!r}; the presets are: {known}. A preset is a table "
            f"[{PRESETS}.NAME] with settings."
        )
    return settings.presets[name]


def _values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked settings with the types of `Config`."""
    lists = {name: _texts(settings[name]) for name in LISTS if name in settings}
    return {**settings, **lists}


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def save(path: Path, name: str, value: object) -> None:
    """Change one setting in the file at `path`; comments and other settings stay.

    A value of None removes the setting, so that its default applies.

    Raises:
        UsageError: The value is invalid, the file was invalid before or it cannot be written.
    """
    import tomlkit

    value = list(value) if isinstance(value, tuple) else value
    check_settings({} if value is None else {name: value}, str(path))
    try:
        with atomic_file.exclusive(path) as replace:
            before = load(path)
            if name == "preset" and value is not None:
                _preset(before, str(value), str(path))
            document = tomlkit.parse(toml_values.read_text(path))
            if value is None:
                document.pop(name, None)
            else:
                document[name] = value
            replace(tomlkit.dumps(document))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
