"""The command that recommends a model for a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config
from ..fit import Machine, Plan, gib, where

if TYPE_CHECKING:
    from ..models.pick import Pick


@click.command()
@click.option(
    "--machine",
    "file",
    type=click.Path(path_type=Path),
    help="A JSON file that describes another machine, as `doctor --json` writes it.",
)
@click.option("--explain", is_flag=True, help="Show the arithmetic, and what was passed over.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def pick(file: Path | None, explain: bool, as_json: bool) -> None:
    """Recommend a model, a quantization and a context for this machine."""
    from .. import machine
    from ..models import catalog
    from ..models.pick import pick as choose

    known = catalog.load(config.folders().config)
    here = machine.described(file) if file else machine.measure(machine.backends())
    family = [model for model in known if model.package is None]
    found = choose(family, here)
    if as_json:
        click.echo(json.dumps(as_object(found, here), indent=2))
        return
    click.echo(found.best.name)
    click.echo("\n".join(summary(found, here)), err=not explain)
    if explain:
        click.echo("\n".join(arithmetic(found.best.plan, here)))
        for passed in found.passed:
            click.echo(f"Not {passed.name}: {passed.why}.")


def summary(found: Pick, here: Machine) -> Iterator[str]:
    """The recommendation in words."""
    plan = found.best.plan
    yield (
        f"{here.name}: {plan.context} tokens of context, KV cache in {plan.kv}, "
        f"{where(plan, here)}, about {found.best.speed:.0f} tokens a second."
    )
    yield f"xlam-local models pull {found.best.name}"


def arithmetic(plan: Plan, here: Machine) -> Iterator[str]:
    """What is needed and what there is, line by line."""
    yield f"{'':<32} {'memory':>10} {'GPU':>10}"
    for part in plan.parts:
        yield f"{part.what:<32} {gib(part.memory):>10} {gib(part.gpu):>10}"
    yield f"{'needed':<32} {gib(plan.memory):>10} {gib(plan.gpu):>10}"
    yield f"{'can be had':<32} {gib(here.room):>10} {gib(here.gpu_room):>10}"
    kept = f"{gib(here.reserve)} of memory are left to everything else"
    yield f"{kept}, and both come from one memory." if here.shared else f"{kept}."


def as_object(found: Pick, here: Machine) -> dict[str, Any]:
    """The recommendation as JSON has it."""
    plan = found.best.plan
    return {
        "model": found.best.name,
        "context": plan.context,
        "kv": plan.kv,
        "gpu_layers": plan.gpu_layers,
        "threads": plan.threads,
        "tokens_a_second": round(found.best.speed, 1),
        "memory": plan.memory,
        "gpu_memory": plan.gpu,
        "parts": [asdict(part) for part in plan.parts],
        "room": {"memory": here.room, "gpu": here.gpu_room, "shared": here.shared},
        "passed_over": [asdict(passed) for passed in found.passed],
        "machine": asdict(here),
    }
