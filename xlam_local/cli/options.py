"""The options that commands with a model share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config
from ..sanitize import printable
from ..types import Sampling, Tool

if TYPE_CHECKING:
    from ..agent import Engine, Rules
    from ..grammar import Entry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    model: str | None
    tools: tuple[Path, ...]
    choice: str
    parallel: bool
    context: int | None
    max_tokens: int | None
    temperature: float | None
    seed: int
    threads: int | None

    def settings(self) -> config.Config:
        """The user's settings, with what the command line says instead."""
        settings = config.load(config.folders().config / "config.toml")
        said: dict[str, Any] = {
            "context": self.context,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "threads": self.threads,
        }
        return replace(settings, **{key: value for key, value in said.items() if value is not None})

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
        )

    def engine(self, settings: config.Config) -> Engine:
        """The model, loaded."""
        from ..session import open_engine
        from . import logs

        folders = config.folders()
        logs.start(folders.state)
        return open_engine(self.model, settings, folders)

    def load_tools(self) -> tuple[Tool, ...]:
        """The tools of all the files named."""
        from .. import tools

        return tuple(tool for path in self.tools for tool in tools.load(path))


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    click.option("-m", "--model", help="The model: a name as in `models list`, or a GGUF file."),
    click.option(
        "--tools",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A JSON file of tools. May be given several times.",
    ),
    click.option("--no-parallel", is_flag=True, help="At most one call in a reply."),
    click.option("--context", type=click.IntRange(64), help="Tokens of context."),
    click.option("--max-tokens", type=click.IntRange(1), help="The most tokens in one reply."),
    click.option("--temperature", type=click.FloatRange(0, 5), help="0 takes the likeliest token."),
    click.option("--seed", type=click.IntRange(0), default=0, help="For a temperature above 0."),
    click.option("--threads", type=click.IntRange(1), help="Threads that compute."),
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
        wanted = Wanted(
            model=options.pop("model"),
            tools=options.pop("tools"),
            choice=options.pop("tool_choice"),
            parallel=not options.pop("no_parallel"),
            context=options.pop("context"),
            max_tokens=options.pop("max_tokens"),
            temperature=options.pop("temperature"),
            seed=options.pop("seed"),
            threads=options.pop("threads"),
        )
        return command(wanted=wanted, **options)

    with_options: Callable[..., Any] = gathered
    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


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
