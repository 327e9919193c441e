"""The commands that bring, show and remove models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import config
from .. import models as manager
from ..errors import IntegrityError, UsageError
from ..models import Installed, Progress, Store, amount
from ..sanitize import printable
from .models_pick import pick
from .models_show import show

if TYPE_CHECKING:
    from ..models.checks import Verdict

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")


@click.group()
def models() -> None:
    """Bring, show and remove models."""


models.add_command(pick)
models.add_command(show)


def here() -> Store:
    """The store of the user who runs this command."""
    folders = config.folders()
    return Store.under(folders.config, folders.data)


@models.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List the models that are installed, and name those that can be."""
    from ..models import catalog

    store = here()
    found = manager.installed(store)
    names = {model.name.partition(":")[0] for model in found}
    others = [model.name for model in catalog.load(store.config) if model.name not in names]
    if as_json:
        write_json({"installed": [described(model) for model in found], "catalog": others})
        return
    width = max((len(model.name) for model in found), default=0)
    for model in found:
        line = f"{model.name:<{width}} {amount(model.size):>9}  {used(model)}"
        click.echo(printable(line))
    click.echo(f"Not installed: {', '.join(others)}", err=True)


@models.command()
@click.argument("name")
@click.option("--accept-license", is_flag=True, help="Accept the licence of the weights.")
def pull(name: str, accept_license: bool) -> None:
    """Bring a model: NAME is as in `list`, or hf:owner/repo:file."""
    from .bars import fetched

    store = here()
    agree(name, store, accept_license)
    click.echo(fetched(manager.pull(name, store)))


def agree(name: str, store: Store, accepted: bool) -> None:
    """Show the licences that were not accepted yet, and note that they are now."""
    from ..models import catalog, licences, sources

    model = sources.licensed(name, catalog.load(store.config))
    if model is None or not (missing := licences.pending(model, store)):
        return
    for licence in missing:
        click.echo(f"{model.title} comes under: {licence.title}\n{licence.url}", err=True)
        click.echo(f"{licence.summary}\n", err=True)
    if accepted or (sys.stdin.isatty() and click.confirm("Do you accept this?", err=True)):
        licences.accept(missing, store)


@models.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it; its file name when not given.")
@click.option("--copy", is_flag=True, help="Copy the bytes instead of sharing them.")
def import_(file: Path, name: str | None, copy: bool) -> None:
    """Take a GGUF FILE of this machine into the store."""
    from ..models import imports
    from .bars import fetched

    take = imports.copy if copy else imports.link
    click.echo(fetched(take(file, here(), name)))


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print where an installed model's file is."""
    click.echo(manager.find(name, here()))


@models.command()
@click.argument("names", nargs=-1)
@AS_JSON
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Check every byte of installed models: of those NAMED, or of all."""
    store = here()
    chosen = [manager.get(name, store) for name in names] or manager.installed(store)
    verdicts = [verdict for model in chosen for verdict in checked(model, store)]
    if as_json:
        write_json([{**asdict(one), "file": str(one.file)} for one in verdicts])
    else:
        for one in verdicts:
            click.echo(printable(f"fine   {one.file.name}" if one.right else f"wrong  {one.why}"))
    if wrong := [one.file.name for one in verdicts if not one.right]:
        raise IntegrityError(f"Not what they should be: {', '.join(wrong)}. Pull them again.")


def checked(model: Installed, store: Store) -> Iterator[Verdict]:
    """Check a model, showing how far that is."""
    from ..models import checks
    from .bars import watched

    verdicts: list[Verdict] = []

    def steps() -> Iterator[Progress]:
        for step in checks.verify(model, store):
            if isinstance(step, Progress):
                yield step
            else:
                verdicts.append(step)

    for _ in watched(steps()):
        pass
    yield from verdicts


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Take a model out of the store."""
    from ..models import removal

    store = here()
    model = manager.get(name, store)
    if not model.repo:
        raise UsageError(f"{model.path} is not in the store; delete it as any other file.")
    question = f"Remove {model.name} ({amount(model.size)})?"
    if not yes and sys.stdin.isatty() and not click.confirm(question, err=True):
        return
    click.echo(f"{amount(removal.remove(model, store))} freed", err=True)


@models.command()
@click.option("--older", is_flag=True, help="Delete older revisions of models, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
def prune(older: bool, dry_run: bool) -> None:
    """Delete what broken fetches left behind, and older revisions with --older."""
    from ..models import removal

    store = here()
    replaced = removal.older(store)
    for one in [*removal.leftovers(store), *(replaced if older else ())]:
        click.echo(printable(f"{one.path} ({amount(one.size)}): {one.why}"))
    if not dry_run:
        click.echo(f"{amount(removal.prune(store, older))} freed", err=True)
    if replaced and not older:
        size = amount(sum(one.size for one in replaced))
        click.echo(f"{size} are in older revisions, which --older deletes.", err=True)


def described(model: Installed) -> dict[str, Any]:
    """An installed model as JSON has it."""
    files = [str(file) for file in model.files]
    return {**asdict(model), "path": str(model.path), "files": files}


def used(model: Installed) -> str:
    """When the model was last used, in words."""
    if not model.whole:
        return "parts are missing"
    if model.used is None:
        return "not used yet"
    return f"used {datetime.fromtimestamp(model.used):%Y-%m-%d %H:%M}"


def write_json(value: Any) -> None:
    """Write one JSON value to stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
