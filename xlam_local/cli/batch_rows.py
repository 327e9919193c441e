"""Run the rows of the `batch` command."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from .. import __version__, prompt
from ..batch import Batch, BatchResult, read_rows
from ..batch.batch_file import ID_KEY, failed, remaining_rows
from ..checkpoint import Checkpoint
from ..config import Config
from ..engine.prompt_cache import fingerprint
from ..engine.subprocess_engine import SubprocessEngine
from ..grammar import compile_tools
from ..model_loading import find_adapters, find_model
from ..remote.remote_engine import RemoteEngine
from ..session_setup import turn_options
from .models_store import user_store
from .options import ModelOptions, warn_of_refusals
from .progress_line import ProgressLine, duration

HASH_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """The options of the command."""

    sequences: int | None
    """Rows that a local model runs at once; None for as many as pay."""
    retry_errors: bool
    max_errors: int | None
    order: bool


def run_batch(
    model: ModelOptions,
    names: tuple[str, ...],
    input_path: Path,
    output_path: Path,
    options: BatchOptions,
) -> None:
    """Run the rows without a result, and show the progress; `names` are the models."""
    settings = model.settings()
    compiled = compile_tools(model.load_tools())
    warn_of_refusals(compiled.report)
    rows = read_rows(input_path, compiled.tools)
    sampling = turn_options(settings).sampling
    chosen = names or (None,)
    engines = [replace(model, name=name).load(settings, options.sequences) for name in chosen]
    identities = [
        _identity(name, engine, settings) for name, engine in zip(chosen, engines, strict=True)
    ]
    run_fingerprint = {
        "program": __version__,
        "models": sorted(set(identities)),
        "prompts": sorted({_format_hash(engine) for engine in engines}),
        "sampling": asdict(sampling),
        "context": min(engine.context_size for engine in engines),
    }
    with Checkpoint.open(output_path, run_fingerprint, key=ID_KEY) as checkpoint:
        if options.retry_errors:
            checkpoint.remove(failed)
        left = remaining_rows(rows, checkpoint)
        progress = _Progress(len(rows), len(rows) - len(left), ProgressLine(model.quiet))
        progress.report_start()
        run = Batch(engines, sampling).run(left)
        with closing(run):
            for result in run:
                checkpoint.append(result.to_json())
                progress.add(result)
                if progress.errors == options.max_errors:
                    break
        if options.order and len(checkpoint.done) == len(rows):
            checkpoint.sort(row.id for row in rows)
        errors = sum(map(failed, checkpoint.rows()))
    progress.report_end(len(rows) - progress.done, errors)
    if errors or progress.done < len(rows):
        raise click.exceptions.Exit(1)


def _identity(name: str | None, engine: SubprocessEngine | RemoteEngine, settings: Config) -> str:
    """Return what tells a model from others: hashes of its files, or the server's kind and id."""
    if isinstance(engine, RemoteEngine):
        server = engine.server
        limit = "" if server.enforces_grammar else f", enforces {server.enforces}"
        return f"{engine.name} on {server.kind.title}{limit}"
    store = user_store()
    path = find_model(name, settings, store)
    adapters = find_adapters(name or settings.model or "", path, store)
    files = [path, *(adapter.path for adapter in adapters)]
    return " + ".join(fingerprint(file)[:HASH_DIGITS] for file in files)


def _format_hash(engine: SubprocessEngine | RemoteEngine) -> str:
    written = json.dumps(prompt.format_to_json(engine.prompt_format), sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:HASH_DIGITS]


@dataclass
class _Progress:
    """Counts rows, and shows the rate and the time left."""

    total: int
    done: int
    line: ProgressLine
    errors: int = 0

    def report_start(self) -> None:
        self.started, self.first = time.monotonic(), self.done
        if self.done:
            click.echo(f"{self.done} of {self.total} rows have a result.", err=True)

    def add(self, result: BatchResult) -> None:
        self.done += 1
        self.errors += bool(result.error)
        rate = (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)
        left = (self.total - self.done) / rate
        errors = f", {self.errors} errors" if self.errors else ""
        self.line.show(
            f"{self.done} of {self.total} rows{errors}, {rate:.2g} rows/s, {duration(left)} left"
        )

    def report_end(self, left: int, errors: int) -> None:
        self.line.clear()
        parts = [f"{self.done} of {self.total} rows done"]
        parts += [f"{errors} with an error"] if errors else []
        parts += [f"{left} left"] if left else []
        click.echo(f"{', '.join(parts)}.", err=True)
