"""The options that commands with a model share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config
from ..fit import KV_BYTES
from ..sanitize import printable
from ..types import Loading, Note, Sampling, Tool

if TYPE_CHECKING:
    from ..agent import Engine, Rules
    from ..engine.process import EngineProcess
    from ..grammar import Entry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    model: str | None
    tools: tuple[Path, ...]
    trust: bool
    """Whether the files of tools are agreed to."""
    choice: str
    parallel: bool
    seed: int
    said: Mapping[str, Any]
    """What stands in the place of the user's settings."""

    def settings(self) -> config.Config:
        """The user's settings, with what the command line says instead."""
        settings = config.load(config.folders().config / "config.toml")
        return replace(settings, **self.said)

    def rules(self, settings: config.Config) -> Rules:
        """What holds for the turn."""
        from ..agent import Rules

        sampling = Sampling(
            temperature=settings.temperature, seed=self.seed, max_tokens=settings.max_tokens
        )
        return Rules(
            self.choice,
            self.parallel,
            settings.max_steps,
            sampling,
            settings.turn_seconds,
            settings.turn_tokens,
            settings.strict_context,
        )

    def engine(self, settings: config.Config) -> Engine:
        """The model, loaded; how far it is and what is given up for it are on stderr."""
        from ..opening import opening
        from . import logs

        folders = config.folders()
        logs.start(folders.state)
        engine = _shown(opening(self.model, settings, folders))
        click.get_current_context().call_on_close(engine.close)
        return engine

    def load_tools(self) -> tuple[Tool, ...]:
        """The tools of all the files named, as schemas: nothing runs them."""
        from . import offering

        return offering.schemas(self.tools, self.trust)


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("-m", "--model", help="The model: a name as in `models list`, or a GGUF file."),
    click.option(
        "--tools",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A file of tools: Python, TOML or JSON. May be given several times.",
    ),
    click.option("--trust", is_flag=True, help="Let the files of --tools run what is in them."),
    click.option("--no-parallel", is_flag=True, help="At most one call in a reply."),
    click.option("--seed", type=click.IntRange(0), default=0, help="For a temperature above 0."),
    click.option("--context", type=click.IntRange(64), help="Tokens of context."),
    click.option("--max-tokens", type=click.IntRange(1), help="The most tokens in one reply."),
    click.option("--temperature", type=click.FloatRange(0, 5), help="0 takes the likeliest token."),
    click.option("--threads", type=click.IntRange(1), help="Threads that compute."),
    click.option("--gpu-layers", type=click.IntRange(0), help="Layers on the GPU."),
    click.option("--kv", type=click.Choice(list(KV_BYTES)), help="Type of the KV cache."),
    click.option(
        "--no-fallback",
        "fallback",
        flag_value=False,
        default=None,
        help="End with code 4 where the model does not fit as wished.",
    ),
    click.option(
        "--strict-context",
        is_flag=True,
        default=None,
        help="End with an error where the conversation does not fit the context.",
    ),
    click.option(
        "--no-prefix-cache",
        "prefix_cache",
        flag_value=0,
        default=None,
        type=int,
        help="Keep nothing of the prompt on disk, and read nothing from there.",
    ),
)
SETTINGS = (
    "context",
    "max_tokens",
    "temperature",
    "threads",
    "gpu_layers",
    "kv",
    "fallback",
    "strict_context",
    "prefix_cache",
)


def choice_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --tool-choice with the command's own default."""
    return click.option(
        "--tool-choice",
        default=default,
        show_default=True,
        help="For the first reply: auto, required, none, or the name of a tool.",
    )


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options, as one value called `wanted`."""

    @wraps(command)
    def gathered(**options: Any) -> Any:
        said = {name: value for name in SETTINGS if (value := options.pop(name)) is not None}
        wanted = Wanted(
            model=options.pop("model"),
            tools=options.pop("tools"),
            trust=options.pop("trust"),
            choice=options.pop("tool_choice"),
            parallel=not options.pop("no_parallel"),
            seed=options.pop("seed"),
            said=said,
        )
        return command(wanted=wanted, **options)

    with_options: Callable[..., Any] = gathered
    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def _shown(steps: Generator[Loading | Note, None, EngineProcess]) -> EngineProcess:
    """Run the opening of a model to its end, and show it."""
    watched = sys.stderr.isatty()
    while True:
        try:
            match next(steps):
                case Note(text):
                    click.echo(printable(text), err=True)
                case Loading(done) if watched:
                    click.echo(f"\rLoading the model: {done:.0%}", nl=False, err=True)
        except StopIteration as end:
            engine: EngineProcess = end.value
            return engine
        finally:
            if watched:
                click.echo("\r\x1b[K", nl=False, err=True)


def warn_of_refusals(report: Iterable[Entry]) -> None:
    """Say which tools are not offered, and why."""
    for entry in report:
        if entry.status == "refused":
            told = f"Tool {entry.tool!r} is not offered: {entry.why} ({entry.pointer or '/'})"
            click.echo(printable(told), err=True)


def read_text(words: Sequence[str]) -> str:
    """What the user says: the words given, or all of stdin where there are none."""
    if words and words != ("-",):
        return " ".join(words)
    if sys.stdin.isatty():
        raise click.UsageError("Say what you want, or send it to stdin.")
    if text := sys.stdin.buffer.read().decode("utf-8", "replace").strip():
        return text
    raise click.UsageError("There is nothing to ask: stdin is empty.")
