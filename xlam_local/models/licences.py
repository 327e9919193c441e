"""Licences of weights: shown before a first download, accepted once, and noted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import XlamError
from . import cache
from .catalog import Model
from .types import Store


class NotAccepted(XlamError):
    """A licence has to be accepted first."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What a user of some weights agrees to."""

    key: str
    title: str
    url: str
    summary: str


LICENCES = {
    licence.key: licence
    for licence in (
        Licence(
            "cc-by-nc-4.0",
            "Creative Commons Attribution-NonCommercial 4.0",
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "You may use, share and change these weights with attribution, and not for commercial "
            'purposes. Their authors add that they are released "for research purposes only".',
        ),
        Licence(
            "llama3",
            "Meta Llama 3 Community License",
            "https://www.llama.com/llama3/license/",
            "The weights come from Meta's Llama: its community licence and its acceptable use "
            "policy hold too, and what is built with them says so.",
        ),
    )
}
FREE = ("apache-2.0", "mit")
"""Licences that ask nothing of who runs a model."""


def pending(model: Model, store: Store) -> list[Licence]:
    """The licences of a model that were not accepted yet."""
    done = _accepted(store)
    return [
        LICENCES.get(key) or Licence(key, key, "", "")
        for key in model.licences
        if key not in FREE and key not in done
    ]


def accept(licences: Iterable[Licence], store: Store) -> None:
    """Note that the user accepts these licences."""
    path = store.data / "licences.json"
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    with cache.writing(path):
        accepted = {**_accepted(store), **{licence.key: now for licence in licences}}
        cache.write(path, json.dumps(accepted, indent=1))


def require(model: Model, store: Store) -> None:
    """Refuse a model whose licences were not accepted."""
    if missing := pending(model, store):
        listed = " and ".join(f"{one.title} ({one.url})" for one in missing)
        raise NotAccepted(
            f"{model.title} comes under {listed}. Read and accept: "
            f"`xlam-local models pull {model.name} --accept-license`."
        )


def _accepted(store: Store) -> dict[str, str]:
    try:
        noted = json.loads((store.data / "licences.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
