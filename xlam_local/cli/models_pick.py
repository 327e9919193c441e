"""`models pick`: recommend a model for a machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .. import config
from ..ggml_devices import list_devices
from ..hardware import Machine, load_machine, measure
from ..memory_plan import Plan, device_name, format_gib
from ..models.pick import Recommendation, recommend
from ..models.user_catalog import load_catalog
from .streams import echo_json


@click.command()
@click.option(
    "--machine",
    "file",
    type=click.Path(path_type=Path),
    help="A JSON file that describes another machine, written by `doctor --json`.",
)
@click.option("--explain", is_flag=True, help="Show the memory needed, and the skipped models.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pick(file: Path | None, explain: bool, as_json: bool) -> None:
    """Recommend a model, a quantization and a context size for this machine."""
    catalog = load_catalog(config.folders().config)
    machine = load_machine(file) if file else measure(list_devices())
    found = recommend([model for model in catalog if model.package is None], machine)
    if as_json:
        echo_json(recommendation_to_json(found, machine), indent=2)
        return
    click.echo(found.best.name)
    click.echo("\n".join(summary_lines(found, machine)), err=not explain)
    if explain:
        click.echo("\n".join(memory_lines(found.best.plan, machine)))
        for rejected in found.rejected:
            click.echo(f"Skipped {rejected.name}: {rejected.reason}.")


def summary_lines(found: Recommendation, machine: Machine) -> Iterator[str]:
    """Yield the recommended configuration, and the command that downloads the model."""
    plan = found.best.plan
    yield (
        f"{machine.name}: {plan.context} tokens of context, KV cache in {plan.kv_cache_type}, "
        f"{device_name(plan, machine)}, estimated {found.best.tokens_per_s:.0f} tokens/s."
    )
    yield f"xlam-local models pull {found.best.name}"


def memory_lines(plan: Plan, machine: Machine) -> Iterator[str]:
    """Yield a table of the memory that a plan needs and the machine has."""
    yield f"{'':<32} {'memory':>10} {'GPU':>10}"
    rows = [(item.name, item.memory, item.gpu_memory) for item in plan.items]
    rows.append(("needed", plan.memory, plan.gpu_memory))
    rows.append(("available", machine.usable_memory, machine.usable_gpu_memory))
    for name, memory, gpu_memory in rows:
        yield f"{name:<32} {format_gib(memory):>10} {format_gib(gpu_memory):>10}"
    shared = "; the GPU uses the same memory" if machine.shares_memory else ""
    yield f"{format_gib(machine.reserve)} of memory are reserved for other programs{shared}."


def recommendation_to_json(found: Recommendation, machine: Machine) -> dict[str, Any]:
    """Return a recommendation as a JSON object; sizes are in bytes."""
    plan = found.best.plan
    return {
        "model": found.best.name,
        "context": plan.context,
        "kv_cache_type": plan.kv_cache_type,
        "gpu_layers": plan.gpu_layers,
        "threads": plan.threads,
        "tokens_per_second": round(found.best.tokens_per_s, 1),
        "memory": plan.memory,
        "gpu_memory": plan.gpu_memory,
        "items": [asdict(item) for item in plan.items],
        "available": {
            "memory": machine.usable_memory,
            "gpu_memory": machine.usable_gpu_memory,
            "shared": machine.shares_memory,
        },
        "rejected": [asdict(rejected) for rejected in found.rejected],
        "machine": asdict(machine),
    }
