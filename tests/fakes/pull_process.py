"""A process that pulls a model, for tests that kill it."""

from __future__ import annotations

from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from xlam_local.models import Store
from xlam_local.models.hub import HubClient
from xlam_local.models.pull_model import pull

# A fork of a process that has imported everything starts in milliseconds. The process of the test
# is not forked itself, because it has threads.
context = get_context("forkserver")
context.set_forkserver_preload([__name__])


def start_pull(endpoint: str, name: str, store: Store) -> BaseProcess:
    """Start a process that pulls a model from the Hub at `endpoint`."""
    arguments = (endpoint, name, store.hub_cache, store.data, store.config)
    process = context.Process(target=_pull, args=arguments)
    process.start()
    return process


def _pull(endpoint: str, name: str, hub_cache: Path, data: Path, config: Path) -> None:
    for _ in pull(name, Store(hub_cache, data, config), HubClient(endpoint)):
        pass
