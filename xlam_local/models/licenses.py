"""Licenses of model weights: the user accepts each once, before the first download."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import atomic_file, user_file
from ..errors import XlamError
from . import model_names
from .catalog import XLAM, CatalogModel
from .disk import write_errors
from .model_names import HubFile, catalog_entry_for
from .types import Store


class LicenseNotAccepted(XlamError):
    """The user has not accepted a license of the model."""


@dataclass(frozen=True, slots=True)
class License:
    """A license of model weights, as shown to the user."""

    key: str
    """The Hub's identifier: https://huggingface.co/docs/hub/repositories-licenses"""
    title: str
    url: str
    summary: str


LICENSES = {
    license_.key: license_
    for license_ in (
        License(
            "cc-by-nc-4.0",
            "Creative Commons Attribution-NonCommercial 4.0",
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "You may use, share and adapt these weights with attribution, but not for commercial "
            'purposes. The authors release them "for research purposes only".',
        ),
        License(
            "llama3",
            "Meta Llama 3 Community License",
            "https://www.llama.com/llama3/license/",
            "The weights derive from Meta Llama 3. Its community license and acceptable use policy "
            'also apply, and products must display "Built with Meta Llama 3".',
        ),
    )
}
PERMISSIVE = ("apache-2.0", "mit")
"""Licenses that need no acceptance to run a model."""


def pending(model: CatalogModel, store: Store) -> list[License]:
    """Return the licenses of a model that the user has not accepted."""
    accepted = _read_accepted(store)
    return [
        LICENSES.get(key) or License(key, key, "", "")
        for key in model.licenses
        if key not in PERMISSIVE and key not in accepted
    ]


def accept(licenses: Iterable[License], store: Store) -> None:
    """Record that the user accepts licenses."""
    path = _accepted_file(store)
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    with write_errors(path), atomic_file.exclusive(path) as replace:
        accepted = {**_read_accepted(store), **{license_.key: now for license_ in licenses}}
        replace(json.dumps(accepted, indent=1))


def require_accepted(model: CatalogModel, store: Store) -> None:
    """Check that the user has accepted the licenses of a model.

    Raises:
        LicenseNotAccepted: one of them is not accepted.
    """
    if missing := pending(model, store):
        titles = " and ".join(
            f"{license_.title} ({license_.url})" if license_.url else license_.title
            for license_ in missing
        )
        raise LicenseNotAccepted(
            f"The license of {model.title} is {titles}. To accept it, run "
            f"`xlam-local models pull {model.name} --accept-license`."
        )


def license_holder(name: str, catalog: Iterable[CatalogModel]) -> CatalogModel | None:
    """Return the model of the catalog whose licenses apply to what a name downloads.

    The license of an xLAM model applies to everybody's conversions of it.
    """
    if (model := catalog_entry_for(name, catalog)) is not None:
        return model if model.repo else None
    match model_names.parse(name, catalog):
        case HubFile(repo):
            return next((model for model in XLAM if model.name in repo.casefold()), None)
    return None


def _accepted_file(store: Store) -> Path:
    return store.data / "licenses.json"


def _read_accepted(store: Store) -> dict[str, str]:
    accepted = user_file.read_own_json(_accepted_file(store))
    return accepted if isinstance(accepted, dict) else {}
