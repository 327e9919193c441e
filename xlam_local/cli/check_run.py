"""Run the trials of the `check` command: trust its code, load the model, show the progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from .. import __version__, model_loading, session_setup
from ..agent import Engine
from ..checkpoint import Checkpoint
from ..config import Config
from ..errors import UsageError
from ..scenarios.check_run import Row, ordered_rows, remove_changed, run_trials
from ..scenarios.free_engine import FreeEngine
from ..scenarios.gold import ToolWorlds
from ..scenarios.model_user import ModelUser
from ..scenarios.scenario import FixtureFunction, Scenario
from ..scenarios.trial import CheckSetup, Trial
from ..scenarios.user import ScriptedUser, UserPlayer
from ..terminal_text import escape_blanks
from ..tools import Toolbox
from ..tools.trust import TrustStore, content_hash
from ..types import Tool
from .models_store import user_store
from .options import ModelOptions
from .progress_line import ProgressLine, duration
from .questions import confirm
from .toolbox_options import OpenMode, open_toolbox, tool_paths

NOT_KNOWN = "not known (on a server)"


def trusted_tools(model: ModelOptions) -> tuple[tuple[Tool, ...], list[str]]:
    """Return the tools of the tool files, which the user trusts, and the hashes of the files.

    Raises:
        UsageError: there are no tool files, or a file is invalid or not trusted.
    """
    if not model.tools:
        raise UsageError("--tools is required: name a tool file.")
    with open_toolbox(Path(), model.tools, model.trust, OpenMode(only_files=True)) as toolbox:
        tools = toolbox.tools
        hashes = [source.content_hash for source in toolbox.named_sources()]
    for tool in tools:
        if tool.run is None:
            raise UsageError(
                f"The tool {tool.name!r} of {tool.source} is only described; a check runs it."
            )
    return tools, hashes


def trust_fixtures(scenarios: Sequence[Scenario], trust: bool) -> None:
    """Check that the user trusts the Python files of scenarios, or ask.

    Raises:
        UsageError: a file is not trusted.
    """
    store = TrustStore(tool_paths(Path()).data / "trust.json")
    fixtures: dict[Path, FixtureFunction] = {}
    for scenario in scenarios:
        for one in (scenario.start.setup, scenario.expect):
            if one is not None:
                fixtures[one.path] = one
    for path, fixture in fixtures.items():
        key = content_hash(f"fixture\n{fixture.text}".encode())
        if not trust and key not in store:
            _ask_for_trust(path)
            store.trust(key, str(path.resolve()))


def _ask_for_trust(path: Path) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{path} is not trusted yet, and there is no terminal to ask on; add --trust to trust "
            "it."
        )
    click.echo(escape_blanks(f"The scenarios run functions of {path}."), err=True)
    if not confirm("Trust them to run on this machine?"):
        raise UsageError(f"{path} was not trusted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """What the options of the command say about runs."""

    grammar: bool
    allow: Sequence[str]
    tool_hashes: Sequence[str]
    user_model: str | None
    """The model that plays the user; None for the script."""


def finish_trials(
    trials: Sequence[Trial], model: ModelOptions, out: Path, chosen: TrialSettings
) -> tuple[list[Row], str]:
    """Run the trials that are missing in a file; return all rows, and the model's name."""
    # A smaller context, after a downgrade, would change results.
    settings = replace(model.settings(), auto_downgrade=False)
    options = replace(model.turn_options(settings), save_full_result=None)
    engine: Engine | None = None
    if model_loading.find_remote(model.name, settings, user_store()) is not None:
        engine = model.load(settings)
    name, facts = _identity(model, settings, engine)
    fingerprint = {
        "check": __version__,
        **facts,
        "grammar": "on" if chosen.grammar else "off",
        "context": settings.context,
        "sampling": asdict(options.sampling),
        "max_steps": options.max_steps,
        "tools": list(chosen.tool_hashes),
        "allow": sorted(chosen.allow),
        "user": chosen.user_model or "script",
    }
    with Checkpoint.open(out, fingerprint) as checkpoint:
        remove_changed([trial.scenario for trial in trials], checkpoint)
        if any(trial.id not in checkpoint.done for trial in trials):
            engine = engine or model.load(settings)
            setup = CheckSetup(
                engine=engine if chosen.grammar else FreeEngine(engine),
                options=options,
                worlds=ToolWorlds(
                    open_tools=tool_opener(model),
                    open_approver=session_setup.load_approver,
                    allow=chosen.allow,
                ),
                open_user=_user_opener(model, chosen.user_model, settings),
            )
            _run(trials, setup, checkpoint, ProgressLine(model.quiet))
        return ordered_rows(trials, checkpoint.rows()), name


def _user_opener(
    model: ModelOptions, name: str | None, settings: Config
) -> Callable[[Scenario, int], UserPlayer]:
    """Return what opens the user of a run: the script, or a model that is loaded once."""
    if name is None:
        return ScriptedUser
    engine = replace(model, name=name).load(settings)
    return lambda scenario, seed: ModelUser(scenario, engine, seed)


def _run(
    trials: Sequence[Trial], setup: CheckSetup, checkpoint: Checkpoint, progress: ProgressLine
) -> None:
    missing = sum(trial.id not in checkpoint.done for trial in trials)
    done = passed = 0
    started = time.monotonic()
    try:
        for row in run_trials(trials, setup, checkpoint):
            done, passed = done + 1, passed + bool(row["passed"])
            left = (missing - done) * (time.monotonic() - started) / done
            progress.show(f"{done} of {missing} runs, {passed} right, about {duration(left)} left")
    finally:
        progress.clear()


def tool_opener(
    model: ModelOptions,
) -> Callable[[Path], AbstractContextManager[Sequence[Tool]]]:
    """Return what opens the tools of the tool files in a world."""

    @contextmanager
    def open_tools(world: Path) -> Iterator[tuple[Tool, ...]]:
        paths = tool_paths(world)
        with Toolbox.open(paths, model.tools, model.trust, only_files=True) as toolbox:
            for source in toolbox.named_sources():
                if source.state != "ready":
                    raise UsageError(
                        f"The tools of {source.path} cannot be used in the world of a run "
                        f"({source.state}). {source.detail}"
                    )
            yield toolbox.tools

    return open_tools


def _identity(
    model: ModelOptions, settings: Config, engine: Engine | None
) -> tuple[str, Mapping[str, str]]:
    """Return the model's name, and what tells it from others."""
    if engine is not None:
        return engine.name, {"model": engine.name, "sha256": NOT_KNOWN, "adapters": ""}
    path = model_loading.find_model(model.name, settings, user_store())
    sha256, adapters = model.model_identity(settings)
    return path.name, {"model": path.name, "sha256": sha256, "adapters": adapters}
