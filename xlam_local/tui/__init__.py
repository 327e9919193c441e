"""The terminal app."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..config import Config, Folders
from ..permissions.credential_files import working_folder_warning

if TYPE_CHECKING:
    from ..hardware import Machine
    from ..tools import Toolbox
    from .state.controller import ChatController, LoadSteps


def run(
    model: str | None,
    settings: Config,
    folders: Folders,
    ephemeral: bool = False,
    notices: tuple[str, ...] = (),
) -> None:
    """Run the app until the user quits."""
    # Loading Textual takes 0.4 s, which other commands do not need.
    from . import terminal_encoding, terminal_hangup
    from .app import XlamApp
    from .state.controller import ChatController
    from .state.tool_catalog import ToolCatalog

    cwd, temporary = Path.cwd(), ExitStack()
    # Tools and servers may log what an ephemeral conversation says.
    private_logs = Path(temporary.enter_context(TemporaryDirectory())) if ephemeral else None
    if notice := terminal_encoding.configure_terminal():
        notices = (*notices, notice)
    if warning := working_folder_warning(cwd, Path.home().resolve()):
        notices = (*notices, warning)

    def open_toolbox() -> Toolbox:
        from ..tools import Toolbox, ToolPaths

        paths = ToolPaths(folders.config, folders.data, folders.state, cwd, private_logs)
        return Toolbox.open(paths)

    def detect_machine() -> Machine:
        from .. import hardware

        return hardware.detect()

    controller = ChatController(
        folders=folders,
        settings=settings,
        cwd=cwd,
        load_engine=lambda name: _load_engine(name, controller),
        tools=ToolCatalog(open_toolbox=open_toolbox),
        detect_machine=detect_machine,
        model=model,
        ephemeral=ephemeral,
        notices=notices,
    )

    def clean_up() -> None:
        controller.abandon()
        temporary.close()

    terminal_hangup.watch(sys.stdin.fileno(), clean_up)
    with temporary:
        XlamApp(controller).run()
    if error := controller.conversation.close_error:
        print(error, file=sys.stderr)


def _load_engine(name: str | None, controller: ChatController) -> LoadSteps:
    from ..model_loading import loading_steps, model_identity

    # The prompt cache on disk would keep an ephemeral conversation.
    cache = 0 if controller.ephemeral else controller.settings.prompt_cache_mib
    used = replace(controller.settings, prompt_cache_mib=cache)
    engine = yield from loading_steps(name, used, controller.folders)
    conversation = controller.conversation
    conversation.model_sha256, conversation.adapters = model_identity(name, used, controller.store)
    return engine
