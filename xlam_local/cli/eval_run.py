"""`eval bfcl` and `eval own`: measure the accuracy of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from .. import __version__, config, model_loading, prompt
from ..checkpoint import Checkpoint
from ..engine.subprocess_engine import SubprocessEngine
from ..errors import UsageError
from ..evaluation import bfcl as leaderboard
from ..evaluation import own_cases
from ..evaluation.bfcl import MAX_TOKENS, TEMPERATURE, ModelFile, RunSettings
from ..evaluation.categories import expand
from ..evaluation.packages import BFCL
from ..evaluation.reports import report_json
from ..evaluation.results import read_runs, run_path
from ..evaluation.run import EvalCase, Judges, RunModel, remove_changed, run_cases
from ..grammar import compile_tools
from ..model_loading import find_remote
from ..models.file_hash import file_sha256
from ..models.store import split_parts
from ..models.verify import read_language_model
from ..remote.remote_engine import RemoteEngine
from ..types import Sampling
from .completion import complete_model
from .eval_report import print_tables
from .models_store import user_store
from .options import ModelOptions, loading_options, warn_of_refusals
from .progress_line import ProgressLine
from .streams import echo_json

DEFAULT_FOLDER = Path("eval-results")
NOT_KNOWN = "not known (on a server)"
LoadedEngine = SubprocessEngine | RemoteEngine
VARIANTS = {"on": (True,), "off": (False,), "both": (False, True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalOptions:
    """The options of all evaluations."""

    models: tuple[str, ...]
    grammar: str
    seed: int
    sequences: int
    max_tokens: int
    out: Path
    as_json: bool


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """A model that is measured, with one setting of the grammar, or with both."""

    options: ModelOptions
    settings: config.Config
    engine: LoadedEngine
    grammar: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured."""

    name: str
    """The beginning of the names of its files of results."""
    identity: Mapping[str, Any]
    """The benchmark, its checker, and what else changes verdicts."""
    cases: Sequence[EvalCase]
    judges: Callable[[MeasuredModel], AbstractContextManager[Judges]]
    """Returns what judges the cases of one model, while the context is open."""
    sampling: Sampling = Sampling(temperature=TEMPERATURE)
    unit: str = "cases"
    alternates: bool = True
    """Whether each case runs with all settings of the grammar, so that its prompt is read once."""


def evaluation_options(
    *, seed: int = 0, max_tokens: int = MAX_TOKENS, package: str = BFCL.name
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of all evaluations, with a command's defaults."""
    options = (
        click.option(
            "-m",
            "--model",
            "models",
            multiple=True,
            help="Model name as in `models list`, or a GGUF file. Can be given several times.",
            shell_complete=complete_model,
        ),
        click.option(
            "--grammar",
            type=click.Choice(list(VARIANTS)),
            default="both",
            show_default=True,
            help="Whether calls are constrained by the grammar.",
        ),
        click.option(
            "--seed", type=click.IntRange(0), default=seed, show_default=True, help="Seed."
        ),
        click.option(
            "--sequences",
            type=click.IntRange(1, 64),
            default=1,
            show_default=True,
            help="Cases that run at once; 1 repeats replies byte for byte.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(1),
            default=max_tokens,
            show_default=True,
            help="The longest reply.",
        ),
        *_output_options(package),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _output_options(package: str) -> tuple[Callable[..., Any], ...]:
    return (
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            default=DEFAULT_FOLDER,
            show_default=True,
            help="Folder for the results. Results that are there are not measured again.",
        ),
        click.option(
            "--checker",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help=f"Folder with the package {package}, if pip cannot fetch it.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    )


@click.command()
@click.option(
    "--category",
    "names",
    multiple=True,
    metavar="NAME",
    help="A category or a group: all, single_turn (default), multi_turn, live, non_live. Can be "
    "given several times.",
)
@click.option("--count", type=click.IntRange(1), help="Cases of each category; all by default.")
@loading_options
@evaluation_options()
def bfcl(
    model: ModelOptions,
    names: tuple[str, ...],
    count: int | None,
    checker: Path | None,
    **values: Any,
) -> None:
    """Measure models on the Berkeley Function-Calling Leaderboard's cases.

    The original checker judges the replies, in an isolated process. It is fetched by pip, pinned by
    its hash. Each result is saved at once: run the same command again to resume, or with more
    categories, a higher --count or more models to extend the results.
    """
    categories = expand(names)
    options = EvalOptions(**values)
    folders = leaderboard.checker_folders(categories, config.folders().cache / "eval", checker)
    cases = leaderboard.load_cases(folders, categories, count)
    identity = {"benchmark": "bfcl", "checker": leaderboard.BFCL_CHECKER}
    judges = leaderboard.judges(folders)
    measure(model, options, Benchmark("bfcl", identity, cases, lambda _: nullcontext(judges)))


@click.command()
@click.argument("cases", type=click.Path(path_type=Path))
@click.option(
    "--tools",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Tool file: Python, TOML or JSON. Can be given several times.",
)
@click.option("--trust", is_flag=True, help="Trust the code in the --tools files.")
@loading_options
@evaluation_options()
def own(model: ModelOptions, cases: Path, checker: Path | None, **values: Any) -> None:
    """Measure models on your own cases in CASES.

    Each line of CASES is a JSON object with a request and the calls that are right, as
    docs/evaluation.md describes.
    """
    tools = model.load_tools()
    warn_of_refusals(compile_tools(tools).report)
    loaded = own_cases.load_cases(cases, tools)
    folders = leaderboard.checker_folders((), config.folders().cache / "eval", checker)
    identity, judges = {"benchmark": "own", **loaded.identity()}, loaded.judges(folders)
    benchmark = Benchmark("own", identity, loaded.cases, lambda _: nullcontext(judges))
    measure(model, EvalOptions(**values), benchmark)


def measure(model: ModelOptions, options: EvalOptions, benchmark: Benchmark) -> None:
    """Run all cases with each model and each setting of the grammar, and print the tables."""
    settings = evaluation_settings(model)
    paths: list[Path] = []
    for name in options.models or (None,):
        paths += _measure_model(replace(model, name=name), settings, options, benchmark)
    runs = read_runs(paths)
    if options.as_json:
        echo_json(report_json(runs))
    else:
        print_tables(runs)


def evaluation_settings(model: ModelOptions) -> config.Config:
    """Return the settings of models that are measured."""
    # A smaller context, after a downgrade, would change results.
    return replace(model.settings(), auto_downgrade=False)


def _measure_model(
    model: ModelOptions, settings: config.Config, options: EvalOptions, benchmark: Benchmark
) -> list[Path]:
    """Run the cases that are missing with one model; return the files of results."""
    _make_folder(options.out)
    paths: list[Path] = []
    variants = VARIANTS[options.grammar]
    with ExitStack() as stack:
        engine: LoadedEngine | None = None
        if find_remote(model.name, settings, user_store()) is not None:
            engine = stack.enter_context(closing(model.load(settings, options.sequences)))
        file = model_file(model, settings, engine)
        context = engine.context_size if file.server and engine else settings.context
        facts = RunSettings(
            seed=options.seed,
            max_tokens=options.max_tokens,
            context=context,
            kv_cache_type=settings.kv_cache_type,
        )
        groups = [variants] if benchmark.alternates else [(grammar,) for grammar in variants]
        for together in groups:
            with ExitStack() as opened:
                results = {
                    grammar: opened.enter_context(
                        _open_results(options.out, benchmark, file, facts, grammar)
                    )
                    for grammar in together
                }
                paths += [checkpoint.path for checkpoint in results.values()]
                if not any(_has_missing(checkpoint, benchmark) for checkpoint in results.values()):
                    continue
                if engine is None:
                    engine = stack.enter_context(closing(model.load(settings, options.sequences)))
                _run(MeasuredModel(model, settings, engine, together), facts, benchmark, results)
    return paths


@contextmanager
def _open_results(
    folder: Path, benchmark: Benchmark, file: ModelFile, facts: RunSettings, grammar: bool
) -> Iterator[Checkpoint]:
    """Open a file of results, without those of cases that have changed since."""
    path = run_path(folder, benchmark.name, file.name, "grammar" if grammar else "free")
    identity = {
        **leaderboard.fingerprint(file, facts, grammar, __version__),
        **benchmark.identity,
    }
    with Checkpoint.open(path, identity) as checkpoint:
        remove_changed(benchmark.cases, checkpoint)
        yield checkpoint


def _has_missing(checkpoint: Checkpoint, benchmark: Benchmark) -> bool:
    return any(case.id not in checkpoint.done for case in benchmark.cases)


def _run(
    measured: MeasuredModel,
    facts: RunSettings,
    benchmark: Benchmark,
    results: Mapping[bool, Checkpoint],
) -> None:
    """Run the cases that are missing in the files of results."""
    sampling = replace(benchmark.sampling, seed=facts.seed, max_tokens=facts.max_tokens)
    runs = [
        RunModel(measured.engine, grammar, sampling, checkpoint)
        for grammar, checkpoint in results.items()
    ]
    done = {
        grammar: sum(case.id in checkpoint.done for case in benchmark.cases)
        for grammar, checkpoint in results.items()
    }
    right, total = dict.fromkeys(results, 0), len(benchmark.cases)
    progress = ProgressLine(measured.options.quiet)
    try:
        with benchmark.judges(measured) as judges:
            for run, row in run_cases(benchmark.cases, runs, judges):
                done[run.grammar] += 1
                right[run.grammar] += bool(row["valid"])
                progress.show(
                    f"{run.checkpoint.path.stem}: {done[run.grammar]} of {total} "
                    f"{benchmark.unit}, {right[run.grammar]} right in this run"
                )
    finally:
        progress.clear()


def _make_folder(folder: Path) -> None:
    """Create the folder for results."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be created: {error.strerror}.") from error


def model_file(
    model: ModelOptions, settings: config.Config, engine: LoadedEngine | None
) -> ModelFile:
    """Return what identifies a model: its file and adapters, or the server that runs it."""
    if isinstance(engine, RemoteEngine):
        server = f"{engine.server.kind.title} {engine.server.version}".strip()
        if not engine.server.enforces_grammar:
            server += f", enforces {engine.server.enforces}"
        is_xlam = isinstance(engine.prompt_format, prompt.Family)
        return ModelFile(engine.name, NOT_KNOWN, NOT_KNOWN, server=server, is_xlam=is_xlam)
    store = user_store()
    path = model_loading.find_model(model.name, settings, store)
    parts = list(split_parts(path))
    header = read_language_model(parts)
    hashes = " ".join(file_sha256(part, store) for part in parts)
    applied = model_loading.find_adapters(model.name or settings.model or "", path, store)
    adapters = [f"{one.name}:{one.scale:g} {one.sha256}" for one in applied]
    return ModelFile(
        path.name,
        hashes,
        leaderboard.quantization(header),
        ", ".join(adapters),
        is_xlam=prompt.xlam_family(header.metadata) is not None,
    )
