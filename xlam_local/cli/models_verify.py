"""`models verify`: verify the checksums of installed models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from ..errors import IntegrityError
from ..models import InstalledModel, Progress, Store, get_installed, list_installed
from ..models.verify import CheckResult
from ..models.verify import verify as check_files
from ..terminal_text import escape_control
from .models_store import user_store
from .progress import show_progress
from .streams import echo_json


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Verify the checksums of the models NAMES, or of all installed models."""
    store = user_store()
    models = [get_installed(name, store) for name in names] or list_installed(store)
    results = [result for model in models for result in check_with_progress(model, store)]
    if as_json:
        document = [{**asdict(result), "file": str(result.file)} for result in results]
        echo_json(document, indent=2)
    else:
        for result in results:
            line = f"ok       {result.file.name}" if result.ok else f"damaged  {result.problem}"
            click.echo(escape_control(line))
    if damaged := [result.file.name for result in results if not result.ok]:
        raise IntegrityError(f"Damaged: {', '.join(damaged)}. Pull the model again.")


def check_with_progress(model: InstalledModel, store: Store) -> list[CheckResult]:
    """Verify a model and show the progress; return a result for each file."""
    results: list[CheckResult] = []

    def steps() -> Iterator[Progress]:
        for step in check_files(model, store):
            if isinstance(step, CheckResult):
                results.append(step)
            else:
                yield step

    for _ in show_progress(steps()):
        pass
    return results
