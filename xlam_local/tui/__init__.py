"""The terminal app."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Config, Folders

if TYPE_CHECKING:
    from ..fit import Machine
    from ..tools import Toolbox
    from ..types import Loading, Note
    from .loaded import Loaded


def run(
    model: str | None,
    settings: Config,
    folders: Folders,
    ephemeral: bool = False,
    notes: tuple[str, ...] = (),
) -> None:
    """Open the app and stay in it until the user leaves."""
    from . import utf8
    from .app import XlamApp
    from .desk import Desk
    from .toolset import Toolset

    folder = Path.cwd()
    if told := utf8.settle():
        notes = (*notes, told)

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        from ..opening import opening as opened

        # What leaves no trace leaves no KV cache of it either.
        kept = replace(desk.settings, prefix_cache=0) if ephemeral else desk.settings
        return (yield from opened(name, kept, folders))

    def toolbox() -> Toolbox:
        from ..tools import Places, Toolbox

        return Toolbox.open(Places(folders.config, folders.data, folders.state, folder))

    def measured() -> Machine:
        from .. import machine

        return machine.here()

    tools = Toolset(open=toolbox)
    desk = Desk(folders, settings, folder, opening, tools, measured, model, ephemeral, notes)
    XlamApp(desk).run()
