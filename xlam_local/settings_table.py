"""All settings of config.toml, declared once.

The table feeds the checks of `config`, the command-line options, the settings screen of the app and
the table in the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from . import toml_values
from .model_shape import KvCacheType

SettingValue = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOption:
    """The command-line option that overrides a setting for one run."""

    name: str
    flag_value: SettingValue | None = None
    """The value that the option sets; if None, the option takes the value as its argument."""
    help: str = ""
    """The option's help if it differs from the setting's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSpec:
    """The name, type, default and meaning of a setting."""

    name: str
    type: type[SettingValue]
    default: SettingValue | None
    help: str
    unset: str = ""
    """What applies if there is no value; for settings without a default."""
    minimum: int = 0
    """The least value of a number."""
    maximum: int | None = None
    """The greatest value of a number; required for a float."""
    choices: tuple[str, ...] = ()
    """The only values of a string."""
    applies_immediately: bool = False
    """Whether a change applies from the next turn on, or else when a model is loaded."""
    in_presets: bool = False
    """Whether a preset can have a value for it."""
    option: SettingOption | None = None

    @property
    def values(self) -> str:
        """The valid values in words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.type is bool:
            return "true, false"
        if self.type is str:
            return "text"
        if self.type is tuple:
            return "a text or a list of texts"
        if self.maximum is not None:
            return f"{self.minimum} to {self.maximum}"
        return f"{self.minimum} or more"


THEMES = (
    *("textual-dark", "textual-light", "ansi-dark", "ansi-light"),
    *("atom-one-dark", "atom-one-light", "dracula", "flexoki", "gruvbox", "monokai", "nord"),
    *("catppuccin-frappe", "catppuccin-latte", "catppuccin-macchiato", "catppuccin-mocha"),
    *("rose-pine", "rose-pine-dawn", "rose-pine-moon", "solarized-dark", "solarized-light"),
    "tokyo-night",
)
"""The color themes of Textual; a test compares them."""
MAX_THREADS = 512
"""llama.cpp ends its process if there are more (GGML_MAX_N_THREADS)."""
SETTINGS = (
    SettingSpec(
        name="model",
        type=str,
        default=None,
        unset="the best installed model",
        help="Model to use if a command names none.",
    ),
    SettingSpec(
        name="context",
        type=int,
        default=8192,
        minimum=64,
        help="Context size in tokens, at most that of the model.",
        option=SettingOption(name="--context"),
    ),
    SettingSpec(
        name="max_tokens",
        type=int,
        default=1024,
        minimum=1,
        help="Maximum tokens per reply.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--max-tokens"),
    ),
    SettingSpec(
        name="max_steps",
        type=int,
        default=8,
        minimum=1,
        help="Maximum replies per turn.",
        applies_immediately=True,
        in_presets=True,
    ),
    SettingSpec(
        name="turn_timeout",
        type=int,
        default=None,
        unset="no limit",
        minimum=1,
        help="Maximum seconds per turn.",
        applies_immediately=True,
        in_presets=True,
    ),
    SettingSpec(
        name="turn_token_budget",
        type=int,
        default=None,
        unset="no limit",
        minimum=1,
        help="Maximum tokens per turn, of prompts and replies together.",
        applies_immediately=True,
        in_presets=True,
    ),
    SettingSpec(
        name="preset",
        type=str,
        default=None,
        unset="none",
        help="Preset: a table of config.toml whose values replace other settings.",
        applies_immediately=True,
        option=SettingOption(name="--preset"),
    ),
    SettingSpec(
        name="system",
        type=str,
        default=None,
        unset="none",
        help="System message of new conversations.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--system"),
    ),
    SettingSpec(
        name="temperature",
        type=float,
        default=0.0,
        maximum=5,
        help="Sampling temperature; 0 always takes the most likely token.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--temperature"),
    ),
    SettingSpec(
        name="top_k",
        type=int,
        default=0,
        help="Sample from this many most likely tokens; 0 means all.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--top-k"),
    ),
    SettingSpec(
        name="top_p",
        type=float,
        default=1.0,
        maximum=1,
        help="Sample from the most likely tokens whose probabilities add up to this.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--top-p"),
    ),
    SettingSpec(
        name="min_p",
        type=float,
        default=0.0,
        maximum=1,
        help="Sample from tokens with at least this share of the best token's probability.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--min-p"),
    ),
    SettingSpec(
        name="repeat_penalty",
        type=float,
        default=1.0,
        minimum=1,
        maximum=5,
        help="Divisor for the logits of the last tokens, also at temperature 0; 1 has no effect.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--repeat-penalty"),
    ),
    SettingSpec(
        name="repeat_last_n",
        type=int,
        default=64,
        help="How many of the last tokens the repeat penalty applies to.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--repeat-last-n"),
    ),
    SettingSpec(
        name="seed",
        type=int,
        default=0,
        help="Random seed, used if the temperature is over 0.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--seed"),
    ),
    SettingSpec(
        name="stop",
        type=tuple,
        default=(),
        help="Texts before which an answer ends; they do not end tool calls.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(
            name="--stop",
            help="End an answer before this text. Can be given several times.",
        ),
    ),
    SettingSpec(
        name="threads",
        type=int,
        default=None,
        unset="as many as are fastest",
        minimum=1,
        maximum=MAX_THREADS,
        help="CPU threads.",
        option=SettingOption(name="--threads"),
    ),
    SettingSpec(
        name="gpu_layers",
        type=int,
        default=None,
        unset="as many as fit",
        help="Layers on the GPU.",
        option=SettingOption(name="--gpu-layers"),
    ),
    SettingSpec(
        name="kv_cache_type",
        type=str,
        default="f16",
        choices=get_args(KvCacheType),
        help="KV cache data type.",
        option=SettingOption(name="--kv-cache-type"),
    ),
    SettingSpec(
        name="auto_downgrade",
        type=bool,
        default=True,
        help="Reduce context, GPU layers or KV cache if the model does not fit in memory.",
        option=SettingOption(
            name="--no-auto-downgrade",
            flag_value=False,
            help="Exit with code 4 if the model does not fit in memory as requested.",
        ),
    ),
    SettingSpec(
        name="strict_context",
        type=bool,
        default=False,
        help="Exit with an error if the conversation does not fit the context.",
        applies_immediately=True,
        in_presets=True,
        option=SettingOption(name="--strict-context", flag_value=True),
    ),
    SettingSpec(
        name="prompt_cache_mib",
        type=int,
        default=2048,
        help="Size limit of the prompt cache on disk in MiB; 0 disables the cache.",
        option=SettingOption(
            name="--no-prompt-cache", flag_value=0, help="Do not use the prompt cache on disk."
        ),
    ),
    SettingSpec(
        name="allow_remote",
        type=tuple,
        default=(),
        help="Hosts that may run the model, so that conversations are sent to them.",
        option=SettingOption(
            name="--allow-remote",
            help="Allow the model to run on this host, to which conversations are sent. "
            "Can be given several times.",
        ),
    ),
    SettingSpec(
        name="theme",
        type=str,
        default="textual-dark",
        choices=THEMES,
        help="Color theme of the app.",
        applies_immediately=True,
    ),
)


def check_settings(values: Mapping[str, Any], where: str) -> None:
    """Check the names and values of settings; those that are missing have their default.

    Raises:
        UsageError: A name is unknown or a value is invalid; the message begins with `where`.
    """
    toml_values.check_keys(values, {spec.name for spec in SETTINGS}, where)
    for spec in SETTINGS:
        if spec.name in values:
            _check_value(spec, values, where)


def check_preset(values: Mapping[str, Any], where: str) -> None:
    """Check the names and values of a preset.

    Raises:
        UsageError: A name is not a setting that a preset can have, or a value is invalid.
    """
    toml_values.check_keys(values, {spec.name for spec in SETTINGS if spec.in_presets}, where)
    check_settings(values, where)


def _check_value(spec: SettingSpec, values: Mapping[str, Any], where: str) -> None:
    if spec.choices:
        toml_values.one_of(values, spec.name, where, spec.choices, spec.choices[0])
    elif spec.type is str:
        toml_values.text(values, spec.name, where, allow_empty=False)
    elif spec.type is tuple:
        if values[spec.name] != []:
            toml_values.texts(values, spec.name, where)
    elif spec.type is bool:
        toml_values.flag(values, spec.name, where)
    elif spec.type is float:
        maximum = float("inf") if spec.maximum is None else spec.maximum
        toml_values.number(values, spec.name, where, 0.0, minimum=spec.minimum, maximum=maximum)
    else:
        toml_values.integer(values, spec.name, where, 0, minimum=spec.minimum, maximum=spec.maximum)


def markdown_table() -> str:
    """Return the settings as a Markdown table for the documentation."""
    return "\n".join(_markdown_rows()) + "\n"


def _markdown_rows() -> Iterator[str]:
    yield "| Setting | Default | Values | Meaning | Option |"
    yield "|---|---|---|---|---|"
    for spec in SETTINGS:
        default = spec.unset if spec.default is None else f"`{_toml(spec.default)}`"
        option = f"`{spec.option.name}`" if spec.option else ""
        yield f"| `{spec.name}` | {default} | {spec.values} | {spec.help} | {option} |"


def _toml(value: SettingValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
