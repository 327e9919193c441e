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
from ..bench import BenchCase, run
from ..bench.report import Report, medians, to_json, to_svg
from ..errors import UsageError
from ..terminal_text import escape_control
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
    compare: Path | None
    picture: Path | None
    as_json: bool


def run_bench(options: BenchOptions) -> None:
    """Measure, and print or write the report."""
    earlier = _load_medians(options.compare) if options.compare else {}
    case = _prepare(options)
    _show_progress(run(case, options.rounds))
    if options.as_json:
        echo_json(to_json(case.report))
    else:
        _show(case.report, earlier)
    if options.picture:
        try:
            options.picture.write_text(to_svg(case.report), encoding="utf-8")
        except OSError as error:
            message = f"{options.picture} cannot be written: {error.strerror}."
            raise UsageError(message) from error


def _prepare(options: BenchOptions) -> BenchCase:
    """Plan how the model is loaded."""
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")
    threads = options.threads or settings.threads
    settings = replace(settings, threads=threads, context=BENCH_CONTEXT)
    store = models.Store.from_folders(folders.config, folders.data)
    path = model_loading.find_model(options.model, settings, store)
    machine = hardware.detect()
    request = model_loading.load_request(settings)
    plan = memory_plan.choose(model_loading.model_weights(path), machine, request)
    load_options = model_loading.load_options(plan, settings, folders)
    shown = {**load_options.to_json()}
    del shown["prompt_cache_folder"]
    report = Report(
        path.name,
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
    costs = ", ".join(f"{size}: {time:.0f}" for size, time in report.curve.items())
    console.print(f"Milliseconds per batch, by its tokens: {costs}", markup=False)
