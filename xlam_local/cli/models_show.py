"""The command that tells all about a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .. import config
from ..errors import ModelMissing
from ..models import Store, amount, get
from ..sanitize import printable

if TYPE_CHECKING:
    from ..models.catalog import Model
    from ..models.details import Inside, Offer


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Tell all about a model: its files, its licence, what its file says of itself."""
    folders = config.folders()
    found = gathered(name, Store.under(folders.config, folders.data))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo(printable("\n".join(lines(found))))


def gathered(name: str, store: Store) -> dict[str, Any]:
    """What the catalog, the Hub and the installed file say, in one object."""
    from ..models import catalog, details, sources
    from ..models.hub import Hub

    model = sources.belonging(name, catalog.load(store.config))
    found: dict[str, Any] = {"name": name}
    if model is not None:
        found |= of_model(model, store) | of_offer(details.offer(model, store, Hub.here(5.0)))
    try:
        here = get(name, store)
    except ModelMissing:
        if model is None:
            raise
        return found
    return found | {"path": str(here.path), "size": here.size} | of_file(details.inside(here))


def of_model(model: Model, store: Store) -> dict[str, Any]:
    """What the catalog says."""
    from ..models import licences

    missing = {licence.key for licence in licences.pending(model, store)}
    package = model.package
    return {
        "title": model.title,
        "parameters": f"{model.parameters:g} billion" if model.parameters else None,
        "repository": None if package else model.repo,
        "package": package.requirement if package else None,
        "licences": {key: key not in missing for key in model.licences},
        "note": model.note or None,
    }


def of_offer(offer: Offer) -> dict[str, Any]:
    """Which files there are, and who says so."""
    return {"files": [asdict(one) for one in offer.variants], "files_from": offer.source}


def of_file(inside: Inside) -> dict[str, Any]:
    """What the installed file says of itself."""
    header = inside.header
    return {
        "architecture": header.architecture,
        "called": header.metadata.get("general.name"),
        "context": header.number("context_length"),
        "layers": header.number("block_count"),
        "template": None if inside.comparison is None else asdict(inside.comparison),
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The object, for people."""
    for key in ("title", "parameters", "repository", "package", "note"):
        if found.get(key):
            yield f"{key:<13} {found[key]}"
    for key, accepted in found.get("licences", {}).items():
        yield f"{'licence':<13} {key}{'' if accepted else ', still to be accepted'}"
    for file in found.get("files", ()):
        size = "size unknown" if file["size"] is None else amount(file["size"])
        mark = "installed" if file["installed"] else ""
        yield f"  {file['name']:<22} {size:>12}  {mark}".rstrip()
    if "files_from" in found:
        yield f"{'files from':<13} {found['files_from']}"
    for key in ("path", "architecture", "called", "context", "layers"):
        if found.get(key):
            yield f"{key:<13} {found[key]}"
    if template := found.get("template"):
        yield from _template(template)


def _template(template: Mapping[str, Any]) -> Iterator[str]:
    prompt = f"{'prompt':<13} xLAM's own, in the {template['family']} form"
    if template["same"]:
        yield f"{prompt}; the file's template writes the same"
    else:
        yield f"{prompt}; the file's template is not the same:"
        yield template["difference"]
