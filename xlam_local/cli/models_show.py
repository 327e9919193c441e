"""`models show`: print the description of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .. import config
from ..engine.subprocess_engine import SubprocessEngine
from ..model_loading import find_remote, load_model
from ..models import format_bytes
from ..models.chat_template_check import TemplateComparison
from ..models.describe import (
    CatalogDescription,
    FileDescription,
    ModelDescription,
    PublishedVariants,
    describe_model,
)
from ..terminal_text import escape_control
from . import remote_consent
from .models_store import user_store
from .streams import echo_json

if TYPE_CHECKING:
    from ..remote.remote_engine import RemoteEngine

HUB_TIMEOUT_S = 5.0
"""The catalog has the same facts, so a slow Hub is not worth a long wait."""
LABEL_WIDTH = 13


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show a model's published files, its license, and the metadata of its installed file.

    For a remote model (a URL), show what kind of server it is and how busy it is.
    """
    folders = config.folders()
    settings = config.load(folders.config / "config.toml")
    if find_remote(name, settings, user_store()) is not None:
        settings = remote_consent.ask(name, settings, folders)
        engine = load_model(name, settings, folders)
        found = server_json(engine)
        if as_json:
            echo_json(found, indent=2)
        else:
            click.echo(escape_control("\n".join(_labeled(**found))))
        return
    from ..models.hub import HubClient  # It imports huggingface_hub, which is slow.

    hub = HubClient.from_environment(HUB_TIMEOUT_S)
    description = describe_model(name, user_store(), hub)
    if as_json:
        echo_json(description_to_json(description), indent=2)
    else:
        click.echo(escape_control("\n".join(description_lines(description))))


def server_json(engine: SubprocessEngine | RemoteEngine) -> dict[str, Any]:
    """Return what is known about the server of an engine."""
    assert not isinstance(engine, SubprocessEngine)
    server, load = engine.server, engine.load
    return {
        "server": f"{engine.device}",
        "version": server.version,
        "model": server.model,
        "context": server.context_size,
        "at once": server.sequences,
        "enforces": server.enforces,
        "running": load.running,
        "waiting": load.waiting,
    }


def description_to_json(description: ModelDescription) -> dict[str, Any]:
    """Return a description as one flat JSON object; keys of unknown parts are left out."""
    found: dict[str, Any] = {"name": description.name}
    if (catalog := description.catalog) is not None:
        parameters = catalog.billion_parameters
        found |= {
            "title": catalog.title,
            "parameters": f"{parameters:g} billion" if parameters else None,
            "repository": catalog.repo,
            "package": catalog.package,
            "licenses": catalog.licenses,
            "note": catalog.note or None,
        }
    if (published := description.published) is not None:
        found |= {
            "files": [asdict(variant) for variant in published.variants],
            "files_from": published.source,
        }
    if (file := description.file) is not None:
        found |= {
            "path": str(file.model.path),
            "size": file.model.size,
            "architecture": file.architecture,
            "name_in_file": file.name,
            "context": file.trained_context,
            "layers": file.layers,
            "template": file.template and asdict(file.template),
        }
    return found


def description_lines(description: ModelDescription) -> Iterator[str]:
    """Yield the lines of a description."""
    if description.catalog is not None:
        yield from _catalog_lines(description.catalog)
    if description.published is not None:
        yield from _variant_lines(description.published)
    if description.file is not None:
        yield from _file_lines(description.file)


def _catalog_lines(catalog: CatalogDescription) -> Iterator[str]:
    parameters = f"{catalog.billion_parameters:g} billion" if catalog.billion_parameters else ""
    yield from _labeled(
        title=catalog.title,
        parameters=parameters,
        repository=catalog.repo,
        package=catalog.package,
        note=catalog.note,
    )
    for key, accepted in catalog.licenses.items():
        yield from _labeled(license=key if accepted else f"{key}, not accepted yet")


def _variant_lines(published: PublishedVariants) -> Iterator[str]:
    for variant in published.variants:
        size = "size unknown" if variant.size is None else format_bytes(variant.size)
        mark = "installed" if variant.installed else ""
        yield f"  {variant.name:<22} {size:>12}  {mark}".rstrip()
    yield f"{'files from':<{LABEL_WIDTH}} {published.source}"


def _file_lines(file: FileDescription) -> Iterator[str]:
    yield from _labeled(
        path=file.model.path,
        architecture=file.architecture,
        name=file.name,
        context=file.trained_context,
        layers=file.layers,
    )
    if file.template is not None:
        yield from _template_lines(file.template)


def _template_lines(template: TemplateComparison) -> Iterator[str]:
    prompt = f"{'prompt':<{LABEL_WIDTH}} xLAM's format for {template.family}"
    if template.matches:
        yield f"{prompt}; the file's template writes the same prompt"
    else:
        yield f"{prompt}; the file's template differs:"
        yield template.difference


def _labeled(**values: object) -> Iterator[str]:
    """Yield a line for each value that is known."""
    for label, value in values.items():
        if value or (value == 0 and label in ("running", "waiting")):
            yield f"{label:<{LABEL_WIDTH}} {value}"
