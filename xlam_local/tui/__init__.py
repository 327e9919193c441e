"""The terminal app."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..config import Config, Folders
from ..session import Session


def run(model: str | None, settings: Config, folders: Folders) -> None:
    """Open the app and stay in it until the user leaves."""
    from .app import XlamApp

    XlamApp(partial(_open, model, settings, folders), Path.cwd()).run()


def _open(model: str | None, settings: Config, folders: Folders) -> Session:
    """The session that the app talks to; loading the model takes a while."""
    from ..agent import Rules
    from ..opening import open_engine
    from ..tools import builtin
    from ..types import Sampling

    sampling = Sampling(temperature=settings.temperature, max_tokens=settings.max_tokens)
    rules = Rules(
        max_steps=settings.max_steps,
        sampling=sampling,
        seconds=settings.turn_seconds,
        tokens=settings.turn_tokens,
    )
    return Session(open_engine(model, settings, folders), builtin(Path.cwd()), rules=rules)
