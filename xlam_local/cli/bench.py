"""Speed on this machine, as a table and a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config, machine
from ..errors import UsageError
from ..sanitize import printable

if TYPE_CHECKING:
    from ..bench import Case
    from ..bench.report import Report

BARS = (
    "calls, in its process",
    "calls, no forced text",
    "LlamaGrammar",
    "free, llama-cpp-python",
    "llama-server",
)


@click.command()
@click.option("-m", "--model", help="The model: a name as in `models list`, or a GGUF file.")
@click.option("--rounds", type=click.IntRange(1, 99), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Threads that compute.")
@click.option("--against", metavar="URL", help="A running llama-server with the same model.")
@click.option("--compare", type=click.Path(path_type=Path), help="What --json wrote before.")
@click.option("--picture", type=click.Path(path_type=Path), help="An SVG file to write.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def bench(model: str | None, rounds: int, as_json: bool, **how: Any) -> None:
    """Measure speed on this machine, beside llama-cpp-python's own way in the same run.

    Each round measures every subject once; medians and spreads are shown. Leave the machine alone
    meanwhile: whatever else it does is measured too.
    """
    from ..bench import run
    from ..bench.report import drawn, to_json

    before = _before(how["compare"]) if how["compare"] else {}
    case = _case(model, how["threads"], how["against"])
    _follow(run(case, rounds))
    if how["picture"]:
        how["picture"].write_text(drawn(case.report, BARS), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(to_json(case.report)))
    else:
        _show(case.report, before)


def _case(model: str | None, threads: int | None, server: str | None) -> Case:
    from .. import __version__, fit, models, opening
    from ..bench import Case
    from ..bench.report import Report

    folders = config.folders()
    settings = config.load(folders.config / "config.toml")
    settings = replace(settings, threads=threads or settings.threads, context=4096)
    path = opening.found(model, settings, models.Store.under(folders.config, folders.data))
    here = machine.here()
    plan = fit.choose(opening.weights_of(path), here, opening.wished(settings))
    loaded = opening.of_plan(plan, settings, folders)
    report = Report(
        path.name,
        f"{here.name}, {here.cores} cores, {plan.gpu_layers} layers on a GPU",
        {"xlam-local": __version__, **_versions()},
        {key: value for key, value in asdict(loaded).items() if key != "prefixes"},
    )
    return Case(path, loaded, plan, report, server)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("llama-cpp-python", "llguidance", "numpy")}


def _before(path: Path) -> Mapping[str, float]:
    from ..bench.report import medians

    try:
        return medians(json.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON.") from error


def _follow(steps: Iterator[str]) -> None:
    """Run to the end; on a terminal, say what is measured."""
    for step in steps:
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[KMeasuring: {step} …", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _show(report: Report, before: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.print(printable(f"{report.model} on {report.machine}; {versions}"), markup=False)
    table = Table("what", "median", "unit", "spread", *(["before"] if before else []))
    for figure in report.figures.values():
        old = before.get(figure.name)
        told = [f"{old:.4g}" if old is not None else ""] if before else []
        spread = f"±{figure.spread / 2:.0%}" if len(figure.values) > 1 else ""
        table.add_row(figure.name, f"{figure.median:.4g}", figure.unit, spread, *told)
    console.print(table)
    ratios = Table("ratio", "")
    for name, ratio in report.ratios.items():
        ratios.add_row(name, f"{ratio:.3f}")
    console.print(ratios)
    sizes = ", ".join(f"{size}: {time:.0f}" for size, time in report.curve.items())
    console.print(f"Milliseconds of a batch, by its tokens: {sizes}", markup=False)
