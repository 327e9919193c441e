"""Ask before conversations are sent to a host for the first time."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from .. import config, models
from ..config import Config, Folders
from ..model_loading import find_remote
from ..terminal_text import escape_control
from . import questions


def ask(name: str | None, settings: Config, folders: Folders) -> Config:
    """Return settings that allow the host of the model `name`, if the user allows it.

    The answer is saved in config.toml. Without a terminal, nothing is asked, and loading the model
    fails.
    """
    store = models.Store.from_folders(folders.config, folders.data)
    address = find_remote(name, settings, store)
    if address is None or address.is_local or address.host in settings.allow_remote:
        return settings
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return settings
    host = escape_control(address.host)
    click.echo(
        f"The model runs on {host}. Conversations, with all that tools return, are sent there.",
        err=True,
    )
    if not questions.confirm(f"Allow {host} from now on?"):
        return settings
    hosts = (*settings.allow_remote, address.host)
    config.save(folders.config / "config.toml", "allow_remote", hosts)
    return replace(settings, allow_remote=hosts)
