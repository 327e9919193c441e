"""The app: screens around one conversation, and the work that goes on behind them."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType

from ..errors import ModelMissing, XlamError
from ..sanitize import printable
from ..types import Loading, Note, Tool
from . import clipboard, doings, vitals
from .chat import SMALLEST, ChatScreen
from .commands import COMMANDS
from .desk import Desk
from .job import Job
from .keys import keymap
from .status import Panel

if TYPE_CHECKING:
    from textual.screen import Screen

    from .download import Download
    from .turn import Turn

LOOKS = 10
"""How often a second the app looks for what its jobs have done."""
TWICE = 2.0
"""Seconds in which a second Ctrl+C leaves."""
MEASURES = 2.0
"""Seconds between two looks at memory and temperature."""
FAREWELL = 3.0
"""Seconds that a turn has to end in when the user leaves."""


class XlamApp(App[None]):
    """A chat with a model that calls tools under the user's eyes."""

    TITLE = "xlam-local"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", "Stop", show=False, priority=True, id="app.interrupt"),
        Binding("ctrl+q", "leave", "Quit", priority=True, id="app.quit"),
        *(
            Binding(
                one.key, f"command('{one.name}')", one.told, show=False, priority=True, id=one.name
            )
            for one in COMMANDS
            if one.key and one.name != "quit"
        ),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.chat = ChatScreen()
        self.state = "Loading the model"
        """What goes on beside the turn; nothing when the model is ready."""
        self.loading: Job[Loading | Note] | None = None
        self.downloads: list[Download] = []
        self.vitals: vitals.Vitals | None = None
        self.leaving = False
        self.opened = ""
        """The command that was done last; it may have opened a screen."""
        self._interrupted = 0.0
        self._measured = 0.0

    # The beginning and the end.

    def on_mount(self) -> None:
        """Show the conversation, and load the model behind it."""
        self.animation_level = "none"
        self.theme = doings.known_theme(self, self.desk.settings.theme)
        self._read_keys()
        self.push_screen(self.chat)
        self._timer = self.set_interval(1 / LOOKS, self.look, pause=True)
        self.call_after_refresh(self.begin)

    def begin(self) -> None:
        """Open the history and load the model, once the screen is there."""
        # A full collection goes through all that was imported, for a tenth of a second.
        gc.freeze()
        self.run_worker(self._open_history, thread=True)
        self.load(self.desk.model)

    def _open_history(self) -> None:
        notes = self.desk.open_history()
        said = self.desk.said_before()
        self.call_from_thread(self._opened, notes, said)

    def _opened(self, notes: list[str], said: list[str]) -> None:
        self.desk.keep()
        for note in (*self.desk.notes, *notes):
            self.chat.note(note, "warning")
        self.chat.prompt.remember(said)
        self.chat.next()

    def _read_keys(self) -> None:
        try:
            self.set_keymap(keymap(self.desk.folders.config / "keys.toml", doings.bindings(self)))
        except XlamError as error:
            self.notify(printable(str(error)), severity="error", markup=False, timeout=15)

    async def action_leave(self) -> None:
        """Leave; what goes on is stopped and written down first."""
        if self.leaving:
            return
        self.leaving = True
        turn = self.chat.turn
        self.chat.cancel()
        for job in (self.loading, *self.downloads):
            if job is not None:
                job.cancel()
        if turn is not None:
            self.run_worker(partial(self._farewell, turn), thread=True)
        else:
            self.exit()

    def _farewell(self, turn: Turn) -> None:
        turn.wait(FAREWELL)
        self.call_from_thread(self.exit)

    def on_unmount(self) -> None:
        """Let go of the model and the history."""
        self.desk.close()

    def action_interrupt(self) -> None:
        """Copy what is marked, else stop what goes on; leave the second time."""
        if marked := self.screen.get_selected_text() or self.chat.prompt.selected_text:
            self.copy(marked)
            self.screen.clear_selection()
            return
        now = time.monotonic()
        if now - self._interrupted < TWICE:
            self.call_later(self.action_leave)
            return
        self._interrupted = now
        if self.chat.cancel() or self.cancel_load():
            return
        self.chat.prompt.clear()
        self.notify("Ctrl+C again leaves.", timeout=TWICE)

    # The work behind the screen.

    def watch_jobs(self) -> None:
        """Look regularly at what the jobs have done."""
        self._timer.resume()

    def look(self) -> None:
        """Take in what the jobs have done; rest when there are none."""
        if not self.is_running:
            return  # It is being taken down, and the screen is gone in part.
        self.chat.poll()
        self._look_at_loading()
        for download in list(self.downloads):
            if download.look() and download.done:
                self.downloads.remove(download)
                self._downloaded(download)
        if self.chat.turn is None and self.loading is None and not self.downloads:
            self._timer.pause()
        elif time.monotonic() - self._measured > MEASURES:
            self._measured = time.monotonic()
            self.run_worker(self._measure, thread=True, exclusive=True, group="vitals")

    def _measure(self) -> None:
        self.vitals = vitals.measure()

    def load(self, name: str | None) -> None:
        """Load a model; the conversation stays."""
        if self.chat.turn is not None:
            self.notify("The model is busy; Escape stops it.")
            return
        self.cancel_load()
        self.state = "Loading the model"
        self.loading = Job(lambda: self.desk.load(name))
        self.watch_jobs()
        if self.chat.is_mounted:
            self.chat.tell()

    def cancel_load(self) -> bool:
        """Stop loading a model; whether one was."""
        if self.loading is None:
            return False
        self.loading.cancel()
        return True

    def _look_at_loading(self) -> None:
        job = self.loading
        if job is None:
            return
        ended = job.finished
        for item in job.take():
            if isinstance(item, Loading):
                self.state = f"Loading the model, {100 * item.done:.0f} %"
            else:
                self.chat.note(item.text)
        if ended:
            self.loading = None
            self._loaded(job)
        self.chat.tell()

    def _loaded(self, job: Job[Loading | Note]) -> None:
        self.state = "" if self.desk.session is not None else "No model"
        self.desk.keep()
        self._tell_waiting()
        missing = isinstance(job.error, ModelMissing) and self.desk.session is None
        self.chat.welcome(str(job.error) if missing else "")
        if missing:
            self.run_command("models")
        elif job.error is not None:
            self.chat.note(str(job.error), "error", "(/models chooses another)")
        self.noticed()
        self.chat.next()

    def _tell_waiting(self) -> None:
        """Say which files of tools wait for the user's agreement."""
        waiting = [one.name for one in self.desk.tools.sources() if one.state == "not agreed"]
        if waiting and self.desk.session is not None:
            self.chat.note(f"Not agreed to yet: {', '.join(waiting)}. F3 shows what is in there.")

    def download(self, name: str) -> Download:
        """Fetch a model in the background."""
        from .download import Download

        for one in self.downloads:
            if one.name == name:
                one.resume()
                self.watch_jobs()
                return one
        download = Download(name, self.desk.store)
        self.downloads.append(download)
        self.watch_jobs()
        return download

    def _downloaded(self, download: Download) -> None:
        if download.error is not None:
            self.notify(printable(str(download.error)), severity="error", markup=False, timeout=15)
        elif not download.cancelled:
            self.notify(f"{printable(download.name)} is installed.", markup=False)
            if self.desk.session is None and self.loading is None:
                self.load(download.name)

    # What screens ask for.

    @property
    def ready(self) -> bool:
        """Whether something can be said to the model now."""
        return self.desk.session is not None and self.loading is None and self.desk.opened

    @property
    def model_name(self) -> str:
        """The model that speaks."""
        engine = self.desk.engine
        return printable(engine.name) if engine is not None else ""

    @property
    def where(self) -> str:
        """Where the model computes."""
        engine = self.desk.engine
        return printable(engine.where) if engine is not None else ""

    @property
    def download_told(self) -> str:
        """How far the downloads are."""
        return ", ".join(download.told for download in self.downloads)

    def tool(self, name: str) -> Tool | None:
        """The tool of that name, if it is offered."""
        tools = self.desk.session.tools if self.desk.session is not None else ()
        return next((tool for tool in tools if tool.name == name), None)

    def noticed(self) -> None:
        """Something has changed that the window's title tells."""
        if self.desk.copied():
            self.chat.note("Another window went on with this conversation; this is a copy now.")
        self.set_window_title(self.desk.title())

    def set_window_title(self, title: str) -> None:
        """Name the terminal's window."""
        if self.is_headless or self._driver is None or self.no_color:
            return
        told = f"{title} - xlam-local" if title else "xlam-local"
        self._driver.write(f"\x1b]2;{printable(told)}\x07")

    def copy(self, text: str) -> None:
        """Copy a text, and say where it went."""

        def done() -> None:
            told = clipboard.copy(text, through_terminal, self.desk.folders.state)
            self.call_from_thread(self.notify, printable(told), markup=False)

        def through_terminal(copied: str) -> None:
            self.call_from_thread(self.copy_to_clipboard, copied)

        self.run_worker(done, thread=True)

    def action_command(self, name: str) -> None:
        """Do what a key stands for; what it has opened, it closes."""
        if name == self.opened and self.screen is not self.chat:
            self.put_away()
        else:
            self.run_command(name)

    def run_command(self, name: str, argument: str = "") -> None:
        """Do what is said after a slash; other screens are put away first."""
        self.put_away()
        if self.too_small and name != "quit":
            return
        self.opened = name
        try:
            doings.DOINGS[name](self, argument)
        except XlamError as error:
            self.notify(printable(str(error)), severity="error", markup=False, timeout=10)

    @property
    def too_small(self) -> bool:
        """Whether the terminal has no room for more than a word about that."""
        return self.size.width < SMALLEST[0] or self.size.height < SMALLEST[1]

    def put_away(self) -> None:
        """Close what stands over the conversation."""
        while self.screen is not self.chat and len(self.screen_stack) > 2:
            self.pop_screen()

    def on_resize(self, event: events.Resize) -> None:
        """Lay nothing out in a terminal without room, where lists of no width break."""
        if event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]:
            self.put_away()

    def action_command_palette(self) -> None:
        """Offer all commands."""
        if not self.too_small:
            super().action_command_palette()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        for one in COMMANDS:
            if not one.argument:
                yield SystemCommand(
                    one.name.capitalize(), one.told, partial(self.run_command, one.name)
                )
        for theme in sorted(self.available_themes):
            told = "Change the colours, and keep them"
            yield SystemCommand(f"Theme: {theme}", told, partial(self.run_command, "theme", theme))

    def change_setting(self, key: str, value: object) -> None:
        """Change a setting for good."""
        if key == "theme" and value is not None:
            doings.theme(self, str(value))
        else:
            self.desk.settle(key, value)

    def toggle_panel(self) -> None:
        """Show or hide the panel of numbers."""
        panel = self.chat.query_one(Panel)
        panel.display = not panel.display
        self.run_worker(self._measure, thread=True, exclusive=True, group="vitals")
        self.chat.tell()
