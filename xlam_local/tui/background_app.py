"""The part of the app that runs jobs in the background: loading models, downloads, copying."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import App
from textual.message import Message

from ..errors import ModelMissing, XlamError
from ..remote.errors import RemoteNotAllowed
from ..terminal_text import escape_control
from ..types import LoadProgress, Notice
from . import clipboard
from .rendering.renderer import preload_markdown
from .screens.chat import ChatScreen
from .screens.remote_host import RemoteHostScreen
from .screens.turns import TitleChanged, TurnStarted
from .state.background import BackgroundJob
from .state.controller import ChatController
from .widgets.transcript import CopyRequested

if TYPE_CHECKING:
    from .screens.models import DownloadRequested
    from .state.download import Download

POLL_HZ = 10
"""How often a second the app polls its jobs."""
SYSTEM_STATS_INTERVAL_S = 2.0
ERROR_TIMEOUT_S = 15.0
"""How long an error notification is shown."""
TOOL_FILES_INTERVAL_S = 2.0
LOADING = "Loading the model"
CHANGING_ADAPTERS = "Changing the adapters"
MISSING_MODEL_HELP = (
    "Here in the app, F2 shows the models: Enter downloads the recommended one, d the demo. "
    "Meanwhile you can look at the tools (F3), the settings (F4) and the history (Ctrl+R)."
)


@dataclass
class ModelNeeded(Message):
    """No model is installed, so the user has to choose one."""


class BackgroundApp(App[None]):
    """Polls the jobs of the conversation on the chat screen, and shows what they have done."""

    def __init__(self, controller: ChatController) -> None:
        super().__init__()
        self.controller = controller
        self.chat = ChatScreen(controller)
        self._wanted_model: str | None = None
        """The name of the model that was loaded last."""
        self._checking_tools = False
        """Whether a thread reads the files of the tools."""
        self._tools_error = ""
        """Why the tools could not be read at the last check; an error that stays is said once."""
        self._measured = 0.0
        """When the system statistics were last measured."""

    def on_mount(self) -> None:
        """Create the timers that poll the jobs and the files of the tools."""
        self._timer = self.set_interval(1 / POLL_HZ, self.poll, pause=True)
        self.set_interval(TOOL_FILES_INTERVAL_S, self.check_tools)

    # The files of the tools.

    def check_tools(self) -> None:
        """Notice new, changed and removed tool files and servers, in a thread."""
        if not self._checking_tools and self.controller.loading is None:
            self._checking_tools = True
            self.run_worker(self._check_tools, thread=True)

    def _check_tools(self) -> None:
        try:
            self.controller.refresh_tools()
            news, self._tools_error = self.controller.tools.news(), ""
        except XlamError as error:
            news = [str(error)] if str(error) != self._tools_error else []
            self._tools_error = str(error)
        self.call_from_thread(self._tools_checked, news)

    def _tools_checked(self, news: list[str]) -> None:
        self._checking_tools = False
        for text in news:
            self.chat.add_notice(text)

    def notify_error(self, error: XlamError) -> None:
        """Show an error in a notification."""
        text = escape_control(str(error))
        self.notify(text, severity="error", markup=False, timeout=ERROR_TIMEOUT_S)

    @on(TurnStarted)
    def start_polling(self) -> None:
        """Poll the jobs regularly until all have ended."""
        self._timer.resume()

    def poll(self) -> None:
        """Show what the jobs have done; pause when there are none."""
        if not self.is_running:
            return  # The app is exiting, and some widgets are gone.
        self.chat.poll()
        self._poll_loading()
        for download in self.controller.downloads.poll():
            self._download_ended(download)
        if not self.controller.has_jobs:
            self._timer.pause()
        elif time.monotonic() - self._measured > SYSTEM_STATS_INTERVAL_S:
            self._measured = time.monotonic()
            self.measure_system()
            self.chat.update_status()

    def measure_system(self) -> None:
        """Measure memory and temperature in a thread."""
        self.run_worker(self._measure_system, thread=True, exclusive=True, group="system")

    def _measure_system(self) -> None:
        # Importing psutil takes 20 ms, which the start of the app does not need.
        from .state import system_stats

        self.controller.system_stats = system_stats.measure()

    def load_model(self, name: str | None) -> None:
        """Load a model in the background; the conversation continues with it."""
        if self.controller.turn is not None:
            self.notify("The model is busy. Press Escape to stop it.")
            return
        self.chat.model_state = LOADING
        self._wanted_model = name
        self.controller.start_loading(name)
        self.start_polling()
        if self.chat.is_mounted:
            self.chat.update_status()

    def command_adapter(self, argument: str) -> None:
        """Apply LoRA adapters or take them off; without an argument, list them."""
        if overview := self.controller.change_adapters(argument):
            self.chat.add_notice(overview)
            return
        self.chat.model_state = CHANGING_ADAPTERS
        self.start_polling()
        self.chat.update_status()

    def _poll_loading(self) -> None:
        job = self.controller.loading
        if job is None:
            return
        finished = job.finished
        for item in job.drain():
            match item:
                case LoadProgress(done):
                    self.chat.model_state = f"{LOADING}, {100 * done:.0f} %"
                case Notice(text):
                    self.chat.add_notice(text)
        if finished:
            self.controller.loading = None
            self._loading_ended(job)
        self.chat.update_status()

    def _loading_ended(self, job: BackgroundJob[LoadProgress | Notice]) -> None:
        has_model = self.controller.conversation.session is not None
        self.chat.model_state = "" if has_model else "No model: press F2"
        self.controller.conversation.start_recording()
        self.check_tools()
        is_missing = isinstance(job.error, ModelMissing) and not has_model
        self.chat.show_missing_model(f"{job.error}\n{MISSING_MODEL_HELP}" if is_missing else "")
        if is_missing:
            self.post_message(ModelNeeded())
        elif isinstance(job.error, RemoteNotAllowed):
            self._ask_about_host(job.error.host)
        elif job.error is not None:
            self.chat.add_notice(str(job.error), "error", "(/models chooses another model)")
        else:
            self.run_worker(preload_markdown, thread=True)
        self.refresh_title()
        self.chat.send_next()

    def _ask_about_host(self, host: str) -> None:
        """Ask whether conversations may be sent to a host; if so, load the model again."""

        def answered(allowed: bool | None) -> None:
            if not allowed:
                text = f"Nothing is sent to {host}, because you have not allowed it."
                self.chat.add_notice(text, "warning", "(/model asks again)")
                return
            try:
                self.controller.allow_host(host)
            except XlamError as error:
                self.notify_error(error)
            else:
                self.load_model(self._wanted_model)

        self.push_screen(RemoteHostScreen(host), answered)

    def on_download_requested(self, requested: DownloadRequested) -> None:
        """Download a model in the background, or resume its download."""
        self.controller.downloads.start(requested.name)
        self.start_polling()

    def _download_ended(self, download: Download) -> None:
        if download.error is not None:
            text = f"The download of {download.name} failed: {download.error}"
            self.chat.add_notice(text, "error", "(F2 tries again)")
            self.chat.update_status()
        else:
            self.notify(f"{escape_control(download.name)} is installed.", markup=False)
            if self.controller.conversation.session is None and self.controller.loading is None:
                self.load_model(download.name)

    # The title and the clipboard.

    @on(TitleChanged)
    def refresh_title(self) -> None:
        """Show the conversation's title in the title of the terminal's window."""
        conversation = self.controller.conversation
        if conversation.was_forked():
            self.chat.add_notice(
                "Another window continued this conversation, so this one is now a copy."
            )
        self.set_window_title(conversation.title())

    def set_window_title(self, title: str) -> None:
        """Set the title of the terminal's window."""
        if self.is_headless or self._driver is None or self.no_color:
            return
        title = f"{title} - xlam-local" if title else "xlam-local"
        self._driver.write(f"\x1b]2;{escape_control(title)}\x07")

    @on(CopyRequested)
    def copy_requested(self, requested: CopyRequested) -> None:
        """Copy the text of an entry."""
        self.copy(requested.text)

    def copy(self, text: str) -> None:
        """Copy a text in a thread, and show where it was copied to."""

        def copy_in_thread() -> None:
            result = clipboard.copy(text, copy_through_terminal, self.controller.folders.state)
            self.call_from_thread(self.notify, escape_control(result), markup=False)

        def copy_through_terminal(copied: str) -> None:
            self.call_from_thread(self.copy_to_clipboard, copied)

        self.run_worker(copy_in_thread, thread=True)
