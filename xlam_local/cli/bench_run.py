"""Run the `bench` command; apart from it, because it loads llama.cpp."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from .. import __version__, config, hardware, memory_plan, model_loading, models, user_file
from ..bench import BenchCase, run, run_remote
from ..bench.report import Report, medians, to_json, to_svg
from ..config import Config, Folders
from ..errors import UsageError
from ..generators import drain
from ..remote.remote_engine import RemoteEngine
from ..terminal_text import escape_control
from ..types import LoadProgress, Notice
from . import remote_consent
from .streams import echo_json

BENCH_CONTEXT = 4096
PACKAGES = ("llama-cpp-python", "llguidance", "numpy")


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of the command."""

    model: str | None
    rounds: int
    threads: int | None
    server_url: str | None
    allow_remote: tuple[str, ...]
    compare: Path | None
    picture: Path | None
    as_json: bool


def run_bench(options: BenchOptions) -> None:
    """Measure, and print or write the report."""
    earlier = _load_medians(options.compare) if options.compare else {}
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")
    store = models.Store.from_folders(folders.config, folders.data)
    if model_loading.find_remote(options.model, settings, store) is not None:
        report = _measure_server(options, settings, folders)
    else:
        case = _prepare(options, settings, folders, store)
        _show_progress(run(case, options.rounds))
        report = case.report
    if options.as_json:
        echo_json(to_json(report))
    else:
        _show(report, earlier)
    if options.picture:
        try:
            options.picture.write_text(to_svg(report), encoding="utf-8")
        except OSError as error:
            message = f"{options.picture} cannot be written: {error.strerror}."
            raise UsageError(message) from error


def _measure_server(options: BenchOptions, settings: Config, folders: Folders) -> Report:
    """Measure a model on a server.

    Raises:
        UsageError: an option is for models on this machine only.
    """
    for name, value in (("--threads", options.threads), ("--server-url", options.server_url)):
        if value is not None:
            raise UsageError(f"{name} is for models on this machine, and this one is on a server.")
    hosts = (*settings.allow_remote, *options.allow_remote)
    settings = replace(settings, allow_remote=hosts, context=BENCH_CONTEXT)
    settings = remote_consent.ask(options.model, settings, folders)
    engine = drain(model_loading.loading_steps(options.model, settings, folders), _show_notice)
    assert isinstance(engine, RemoteEngine)
    server = engine.server
    report = Report(
        engine.name,
        engine.device,
        {"xlam-local": __version__, server.kind.title: server.version or "unknown"},
        {"context_size": engine.context_size, "sequences": engine.sequences},
    )
    _show_progress(run_remote(report, engine, server.enforces_grammar, options.rounds))
    return report


def _show_notice(step: LoadProgress | Notice) -> None:
    if isinstance(step, Notice):
        click.echo(escape_control(step.text), err=True)


def _prepare(
    options: BenchOptions, settings: Config, folders: Folders, store: models.Store
) -> BenchCase:
    """Plan how the model is loaded."""
    threads = options.threads or settings.threads
    settings = replace(settings, threads=threads, context=BENCH_CONTEXT)
    path = model_loading.find_model(options.model, settings, store)
    adapters = model_loading.find_adapters(options.model or settings.model or "", path, store)
    adapter_bytes = sum(adapter.path.stat().st_size for adapter in adapters)
    machine = hardware.detect()
    request = replace(model_loading.load_request(settings), adapter_bytes=adapter_bytes)
    plan = memory_plan.choose(model_loading.model_weights(path), machine, request)
    load_options = model_loading.load_options(plan, settings, folders)
    load_options = replace(load_options, adapters=adapters)
    names = [str(adapter) for adapter in adapters]
    shown = {**load_options.to_json(), "adapters": names}
    del shown["prompt_cache_folder"]
    report = Report(
        "+".join([path.name, *names]),
        f"{machine.name}, {machine.cores} cores, {plan.gpu_layers} layers on the GPU",
        {"xlam-local": __version__, **{name: version(name) for name in PACKAGES}},
        shown,
    )
    return BenchCase(path, load_options, plan, report, options.server_url)


def _load_medians(path: Path) -> Mapping[str, float]:
    return medians(user_file.read_json(path), str(path))


def _show_progress(steps: Iterator[str]) -> None:
    """Run all steps; on a terminal, show which one is measured."""
    for step in steps:
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[KMeasuring: {step} …", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _show(report: Report, earlier: Mapping[str, float]) -> None:
    console = Console()
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    console.print(escape_control(f"{report.model} on {report.machine}; {versions}"), markup=False)
    table = Table("figure", "median", "unit", "spread", *(["earlier"] if earlier else []))
    for figure in report.figures.values():
        median = earlier.get(figure.name)
        other = [f"{median:.4g}" if median is not None else ""] if earlier else []
        spread = f"±{figure.spread / 2:.0%}" if len(figure.values) > 1 else ""
        table.add_row(figure.name, f"{figure.median:.4g}", figure.unit, spread, *other)
    console.print(table)
    ratios = Table("ratio", "")
    for name, ratio in report.ratios.items():
        ratios.add_row(name, f"{ratio:.3f}")
    console.print(ratios)
    if report.curve:
        costs = ", ".join(f"{size}: {time:.0f}" for size, time in report.curve.items())
        console.print(f"Milliseconds per batch, by its tokens: {costs}", markup=False)
