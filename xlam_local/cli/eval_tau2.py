"""`eval tau2`: measure models as agents, on the tasks of τ²."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from .. import __version__, config, server
from ..agent import Engine
from ..checkpoint import Checkpoint
from ..engine.subprocess_engine import SubprocessEngine
from ..errors import UsageError
from ..evaluation import tau2 as benchmark
from ..evaluation.bfcl import RunSettings
from ..evaluation.free_engine import FreeEngine
from ..evaluation.packages import TAU2
from ..evaluation.results import run_path
from ..evaluation.run import RunModel, run_cases
from ..evaluation.tau2 import DOMAINS, SOLO_DOMAINS, Tau2Options, Trial
from ..evaluation.tau2_process import Endpoint, Tau2Settings
from ..evaluation.tau2_scores import NO_USER
from ..model_loading import find_remote
from ..remote.remote_engine import RemoteEngine
from ..types import Sampling
from .completion import complete_model
from .eval_run import (
    VARIANTS,
    EvalOptions,
    evaluation_options,
    make_folder,
    model_file,
    print_results,
)
from .models_store import user_store
from .options import ModelOptions, loading_options
from .progress_line import ProgressLine

MAX_TOKENS = 1024
LoadedEngine = SubprocessEngine | RemoteEngine


@dataclass(frozen=True, slots=True)
class User:
    """The model that plays the user."""

    model: ModelOptions
    identity: str


@dataclass(frozen=True, slots=True)
class Tau2Run:
    """What all models play."""

    folders: Sequence[Path]
    options: Tau2Options
    trials: Sequence[Trial]
    user: User | None


@click.command()
@click.option("--domain", type=click.Choice(DOMAINS), required=True, help="The domain of τ².")
@click.option(
    "--solo",
    is_flag=True,
    help=f"Without a user: the agent works on a ticket. Domains: {', '.join(SOLO_DOMAINS)}.",
)
@click.option(
    "--user-model",
    metavar="MODEL",
    help="The model that plays the user; required without --solo.",
    shell_complete=complete_model,
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Trials of each task; pass^k is computed up to this k.",
)
@click.option("--split", default=benchmark.SPLIT, show_default=True, help="The split of the tasks.")
@click.option("--count", type=click.IntRange(1), help="Tasks of the split; all by default.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 2),
    default=benchmark.MODEL_SAMPLING.temperature,
    show_default=True,
    help="Temperature of the agent, with top_p 0.8 and top_k 20; at 0 all trials are alike.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(1),
    default=benchmark.MAX_STEPS,
    show_default=True,
    help="The longest trial; a reply and its results are two steps.",
)
@loading_options
@evaluation_options(seed=benchmark.DEFAULT_SEED, max_tokens=MAX_TOKENS, package=TAU2.name)
def tau2(model: ModelOptions, user_model: str | None, checker: Path | None, **values: Any) -> None:
    """Measure models as agents, on the tasks of τ².

    The original package plays and judges the tasks, in an isolated process, against a server of
    this program. It is fetched by pip, pinned by its hash. Each trial is saved at once: run the
    same command again to resume, or with more trials or models to extend the results.
    """
    names = ("domain", "solo", "split", "max_steps")
    tasks = {name: values.pop(name) for name in names}
    trials, count, temperature = (values.pop(name) for name in ("trials", "count", "temperature"))
    options = EvalOptions(**values)
    sampling = replace(
        benchmark.MODEL_SAMPLING, temperature=temperature, max_tokens=options.max_tokens
    )
    played = Tau2Options(**tasks, seed=options.seed, sampling=sampling)
    _check_mode(played, user_model)
    # A smaller context, after a downgrade, would change results.
    settings = replace(model.settings(), auto_downgrade=False)
    user = None
    if user_model is not None:
        plays_user = replace(model, name=user_model)
        user = User(plays_user, _user_identity(plays_user, settings))
    folders = benchmark.checker_folders(config.folders().cache / "eval", checker)
    chosen = benchmark.load_trials(folders, played, trials, count)
    make_folder(options.out)
    run = Tau2Run(folders, played, chosen, user)
    paths: list[Path] = []
    for name in options.models or (None,):
        paths += _measure_model(replace(model, name=name), settings, options, run)
    print_results(paths, options.as_json)


def _check_mode(options: Tau2Options, user_model: str | None) -> None:
    """Check that somebody plays the user, or that the tasks need none."""
    if options.solo == (user_model is not None):
        raise UsageError("Give either --solo, or a model that plays the user with --user-model.")
    if options.solo and options.domain not in SOLO_DOMAINS:
        known = ", ".join(SOLO_DOMAINS)
        raise UsageError(f"{options.domain} has no solo mode. Domains with one: {known}.")


def _user_identity(user: ModelOptions, settings: config.Config) -> str:
    """Return the name of the user's model, and the hash of its file."""
    if find_remote(user.name, settings, user_store()) is not None:
        return f"{user.name} (a server)"
    file = model_file(user, settings, None)
    return f"{file.name} {file.sha256}"


def _measure_model(
    model: ModelOptions, settings: config.Config, options: EvalOptions, run: Tau2Run
) -> list[Path]:
    """Play the trials that are missing with one model; return the files of results."""
    paths: list[Path] = []
    cases = benchmark.cases(run.trials, run.options.domain)
    with ExitStack() as stack:
        engine: LoadedEngine | None = None
        if find_remote(model.name, settings, user_store()) is not None:
            engine = stack.enter_context(closing(model.load(settings, options.sequences)))
        file = model_file(model, settings, engine)
        for grammar in VARIANTS[options.grammar]:
            facts = RunSettings(
                grammar=grammar,
                seed=options.seed,
                max_tokens=options.max_tokens,
                context=engine.context_size if file.server and engine else settings.context,
                kv_cache_type=settings.kv_cache_type,
            )
            user = run.user.identity if run.user else NO_USER
            identity = benchmark.fingerprint(file, facts, run.options, user, __version__)
            variant = "grammar" if grammar else "free"
            paths.append(run_path(options.out, run.options.name, file.name, variant))
            with Checkpoint.open(paths[-1], identity) as checkpoint:
                if all(case.id in checkpoint.done for case in cases):
                    continue
                if engine is None:
                    engine = stack.enter_context(closing(model.load(settings, options.sequences)))
                _play(model, settings, engine, grammar, run, checkpoint)
    return paths


def _play(
    model: ModelOptions,
    settings: config.Config,
    engine: LoadedEngine,
    grammar: bool,
    run: Tau2Run,
    checkpoint: Checkpoint,
) -> None:
    """Serve the models, and play the trials that are missing in a file of results."""
    cases = benchmark.cases(run.trials, run.options.domain)
    done, passed, progress = len(checkpoint.done), 0, ProgressLine(model.quiet)
    with ExitStack() as stack:
        served = engine if grammar else FreeEngine(engine)
        agent = stack.enter_context(_serving(model, settings, engine, served, run.options.sampling))
        user: Endpoint | None = None
        if run.user:
            plays = stack.enter_context(closing(run.user.model.load(settings, engine.sequences)))
            user = stack.enter_context(_serving(run.user.model, settings, plays, plays, Sampling()))
        played = Tau2Settings(
            domain=run.options.domain, agent=agent, user=user, max_steps=run.options.max_steps
        )
        judges = benchmark.judges(run.folders, run.options, played, run.trials)
        stack.callback(progress.clear)
        running = RunModel(engine, grammar, run.options.sampling)
        for row in run_cases(cases, running, judges, checkpoint):
            done, passed = done + 1, passed + bool(row["valid"])
            text = f"{done} of {len(cases)} trials, {passed} passed in this run"
            progress.show(f"{checkpoint.path.stem}: {text}")


@contextmanager
def _serving(
    model: ModelOptions,
    settings: config.Config,
    engine: LoadedEngine,
    served: Engine,
    sampling: Sampling,
) -> Iterator[Endpoint]:
    """Serve an engine on a free port of this machine, with a token of its own."""
    token = secrets.token_urlsafe()
    with server.open_socket("127.0.0.1", 0) as bound:
        tokenizer = model.tokenizer(settings, engine)
        state = server.ServerState(
            server.EngineQueue(served, max_waiting=engine.sequences), tokenizer, sampling
        )
        with server.serve_in_thread(state, server.AccessRules(token=token), bound) as url:
            yield Endpoint(f"{url}/v1", token, state.model)
