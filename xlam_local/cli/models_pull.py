"""`models pull` and `models import`: bring a model into the store."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..models import Store, import_gguf, licenses
from ..models.user_catalog import load_catalog
from .models_store import user_store
from .progress import download_with_progress
from .questions import confirm


@click.command()
@click.argument("name")
@click.option("--accept-license", is_flag=True, help="Accept the license of the weights.")
def pull(name: str, accept_license: bool) -> None:
    """Download a model. An interrupted download resumes.

    NAME is a name of the catalog such as xlam-2-3b or xlam-2-3b:Q5_K_M, or a file on the Hugging
    Face Hub as hf:owner/repo:file.
    """
    from ..models import pull_model  # It imports huggingface_hub, which is slow.

    store = user_store()
    confirm_license(name, store, accept_license)
    click.echo(download_with_progress(pull_model.pull(name, store)))


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The name of the model. [default: derived from the file name]")
@click.option("--copy", is_flag=True, help="Copy the file instead of linking to it.")
def import_(file: Path, name: str | None, copy: bool) -> None:
    """Import a GGUF FILE of this computer, without copying it."""
    import_file = import_gguf.copy if copy else import_gguf.link
    click.echo(download_with_progress(import_file(file, user_store(), name)))


def confirm_license(name: str, store: Store, accept_license: bool) -> None:
    """Show the licenses of a model that are not accepted, and ask the user to accept them."""
    model = licenses.license_holder(name, load_catalog(store.config))
    if model is None or not (missing := licenses.pending(model, store)):
        return
    for license_ in missing:
        click.echo(f"License of {model.title}: {license_.title}\n{license_.url}", err=True)
        click.echo(f"{license_.summary}\n", err=True)
    if accept_license or (sys.stdin.isatty() and confirm("Do you accept this license?")):
        licenses.accept(missing, store)
