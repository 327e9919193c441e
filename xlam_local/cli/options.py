"""Options that all commands with a model share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config, models, session_setup, user_file
from ..agent import TurnOptions
from ..engine.subprocess_engine import SubprocessEngine
from ..errors import UsageError
from ..generators import drain
from ..grammar import KeywordReport
from ..model_loading import find_model, loading_steps, model_identity
from ..settings_table import SETTINGS, SettingOption, SettingSpec
from ..terminal_text import escape_control
from ..types import LoadProgress, Notice, Tool
from . import log_file, remote_consent, toolbox_options
from .completion import complete_model
from .progress_line import ProgressLine

if TYPE_CHECKING:
    from ..engine.tokenizer import GgufTokenizer
    from ..remote.remote_engine import RemoteEngine
    from ..remote.tokenizer import RemoteTokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The values of the shared options."""

    name: str | None
    """The model."""
    tools: tuple[Path, ...]
    """Tool files."""
    trust: bool
    """Whether the tool files are trusted without asking."""
    tool_choice: str
    parallel_tool_calls: bool
    only: tuple[str, ...]
    """The only tools to offer; empty for all."""
    verbose: bool
    quiet: bool
    overrides: Mapping[str, Any]
    """Settings that replace those of config.toml."""

    def settings(self) -> config.Config:
        """Return the user's settings, those of the preset, and the options of the command line.

        Raises:
            UsageError: config.toml is invalid, or there is no such preset.
        """
        settings = config.load(config.folders().config / "config.toml")
        settings = config.with_preset(settings, self.overrides.get("preset"))
        return replace(settings, **{**self.overrides, "preset": None})

    def turn_options(self, settings: config.Config) -> TurnOptions:
        """Return the options of the turn."""
        options = session_setup.turn_options(settings)
        return replace(
            options,
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
        )

    def load(
        self, settings: config.Config, sequences: int | None = 1
    ) -> SubprocessEngine | RemoteEngine:
        """Load the model, with progress on stderr; it is closed when the command ends.

        `sequences` is how many replies are written at once; None takes as many as pay.
        """
        folders = config.folders()
        log_file.start(folders.state)
        settings = remote_consent.ask(self.name, settings, folders)
        progress = ProgressLine(self.quiet)

        def show(step: LoadProgress | Notice) -> None:
            match step:
                case Notice(text):
                    progress.clear()
                    click.echo(escape_control(text), err=True)
                case LoadProgress(done):
                    progress.show(f"Loading the model: {done:.0%}")

        try:
            engine = drain(loading_steps(self.name, settings, folders, sequences), show)
        finally:
            progress.clear()
        click.get_current_context().call_on_close(engine.close)
        return engine

    def model_identity(self, settings: config.Config) -> tuple[str, str]:
        """Return the SHA-256 of the model's file and its adapters."""
        folders = config.folders()
        store = models.Store.from_folders(folders.config, folders.data)
        return model_identity(self.name, settings, store)

    def tokenizer(
        self, settings: config.Config, engine: SubprocessEngine | RemoteEngine
    ) -> GgufTokenizer | RemoteTokenizer:
        """Load the vocabulary of the model in this process, or use that of its server.

        Raises:
            UsageError: the server cannot tokenize.
        """
        if not isinstance(engine, SubprocessEngine):
            if engine.tokenizer is None:
                raise UsageError(f"{engine.device} cannot tokenize, so it cannot be served.")
            return engine.tokenizer
        # llama.cpp takes most of a second to load, and `--help` imports this module.
        from ..engine.tokenizer import GgufTokenizer

        folders = config.folders()
        store = models.Store.from_folders(folders.config, folders.data)
        return GgufTokenizer(find_model(self.name, settings, store))

    def load_tools(self) -> tuple[Tool, ...]:
        """Return the tools of the tool files as schemas, without functions."""
        return toolbox_options.load_schemas(self.tools, self.trust)


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option(
        "-m",
        "--model",
        help="Model name as in `models list`, a GGUF file, or the URL of a server.",
        shell_complete=complete_model,
    ),
    click.option(
        "--tools",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Tool file: Python, TOML or JSON. Can be given several times.",
    ),
    click.option("--trust", is_flag=True, help="Trust the code in the --tools files."),
    click.option(
        "-T",
        "--only",
        multiple=True,
        metavar="NAME",
        help="Offer only this tool. Can be given several times.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Show which tools are offered."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    click.option("--no-parallel", is_flag=True, help="Allow one call per reply."),
)
_SETTING_OPTIONS = [(spec, spec.option) for spec in SETTINGS if spec.option is not None]
"""The settings that have an option, with the option."""
LOADING_SETTINGS = ("context", "threads", "gpu_layers", "kv_cache_type", "prompt_cache_mib")
"""The settings of `loading_options`."""


def tool_choice_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option --tool-choice with the command's default."""
    return click.option(
        "--tool-choice",
        default=default,
        show_default=True,
        help="For the first reply: auto, required, none, or a tool's name.",
    )


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command, which gets them as the argument `model`."""
    return _with_options(command, _OPTIONS)


def models_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for several models, whose names are the argument `names`, and tool files."""
    names = click.option(
        "-m",
        "--model",
        "names",
        multiple=True,
        help="Model name as in `models list`, a GGUF file, or the URL of a server. Can be given "
        "several times.",
    )
    return _with_options(command, (names, *_OPTIONS[1:3], _OPTIONS[5]))


def check_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose a model and tool files, without those about turns."""
    return _with_options(command, (*_OPTIONS[:3], _OPTIONS[5]))


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose and load a model, without those about tools and turns."""
    return _with_options(command, _OPTIONS[:1])


def loading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how models are loaded, for a command that takes several models."""
    chosen = [(spec, option) for spec, option in _SETTING_OPTIONS if spec.name in LOADING_SETTINGS]
    return _with_options(command, (), chosen)


def _with_options(
    command: Callable[..., Any],
    options: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]],
    setting_options: Sequence[tuple[SettingSpec, SettingOption]] = _SETTING_OPTIONS,
) -> Callable[..., Any]:
    @wraps(command)
    def with_values(**values: Any) -> Any:
        settings = {spec.name: values.pop(spec.name) for spec, _ in setting_options}
        model = ModelOptions(
            name=values.pop("model", None),
            tools=values.pop("tools", ()),
            trust=values.pop("trust", False),
            tool_choice=values.pop("tool_choice", "auto"),
            parallel_tool_calls=not values.pop("no_parallel", False),
            only=values.pop("only", ()),
            verbose=values.pop("verbose", False),
            quiet=values.pop("quiet", False),
            overrides={n: value for n, value in settings.items() if value not in (None, ())},
        )
        return command(model=model, **values)

    with_options: Callable[..., Any] = with_values
    for option in reversed([*options, *starmap(_setting_option, setting_options)]):
        with_options = option(with_options)
    return with_options


def _setting_option(
    spec: SettingSpec, option: SettingOption
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the click option that overrides a setting of config.toml."""
    text = option.help or spec.help
    if option.flag_value is None:
        return click.option(
            option.name,
            spec.name,
            type=_setting_type(spec),
            multiple=spec.type is tuple,
            callback=check_text if spec.type in (str, tuple) else None,
            help=text,
        )
    return click.option(
        option.name,
        spec.name,
        type=spec.type,
        flag_value=option.flag_value,
        default=None,
        help=text,
    )


def _setting_type(spec: SettingSpec) -> click.ParamType[Any]:
    if spec.choices:
        return click.Choice(spec.choices)
    if spec.type in (str, tuple):
        return click.STRING
    if spec.type is float:
        return click.FloatRange(spec.minimum, spec.maximum)
    return click.IntRange(spec.minimum, spec.maximum)


def warn_of_refusals(report: Iterable[KeywordReport]) -> None:
    """Print which tools are not offered because of their schema, and why."""
    for entry in report:
        if entry.status == "refused":
            warning = f"Tool {entry.tool!r} is not offered: {entry.reason} ({entry.pointer or '/'})"
            click.echo(escape_control(warning), err=True)


def check_text(
    _context: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    """Check that the value of an option is text, as a callback of click.

    The values of an option that can be given several times must not be empty.
    """
    for text in (value,) if isinstance(value, str) else value or ():
        user_file.check_characters(text, f"The value of {parameter.opts[0]}")
        if parameter.multiple and not text:
            raise click.UsageError(f"The value of {parameter.opts[0]} is empty.")
    return value
