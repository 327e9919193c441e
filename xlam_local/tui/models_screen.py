"""The screen of the models: what is here, what fits, and fetching more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from ..errors import XlamError
from . import blocks
from .pen import clean
from .sheet import Sheet

if TYPE_CHECKING:
    from ..fit import Machine
    from ..models.licences import Licence
    from .app import XlamApp
    from .download import Download
    from .shelf import Row

COLOURS = {"fits on GPU": "green", "fits": "green", "tight": "yellow", "no": "red"}
LOOKS = 4
"""Times a second that the downloads are looked at."""
HINT = "Enter goes on with a model that is installed (●), and fetches others."


class ModelsScreen(Screen[str | None]):
    """A list of models, and all about the one that is chosen beside it."""

    app: XlamApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", priority=True),
        Binding("enter", "take", "Use or fetch"),
        Binding("d", "fetch_demo", "Fetch the demo"),
        Binding("p,space", "pause", "Pause, go on"),
        Binding("x", "cancel", "Cancel"),
        Binding("y", "accept", "Accept", show=False),
        Binding("n", "decline", "Decline", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.machine: Machine | None = None
        self.asked: tuple[Row, list[Licence]] | None = None
        """The model whose licences are to be accepted."""
        self._fetched: set[str] = set()
        self._here: bool | None = None
        """Whether any model is installed, once that is known."""

    def compose(self) -> ComposeResult:
        """Lay out the list and the details."""
        yield Static("Models", classes="head")
        with Horizontal(classes="halves"):
            yield OptionList(id="list")
            yield Sheet(id="details")
        yield Static(id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is; what fits is told once the machine is measured."""
        self.run_worker(self._gather, thread=True)
        self.query_one("#list").focus()
        self.set_interval(1 / LOOKS, self.look)

    def _gather(self) -> None:
        from . import shelf

        desk = self.app.desk
        try:
            if self.machine is None:
                found = shelf.rows(desk.store, None, desk.settings.context)
                self.app.call_from_thread(self.fill, found)
            self.machine = desk.machine()
            found = shelf.rows(desk.store, self.machine, desk.settings.context)
            self.app.call_from_thread(self.fill, found)
        except XlamError as error:
            self.app.call_from_thread(self.tell, str(error))

    def fill(self, rows: list[Row]) -> None:
        """Put the models in the list; the chosen one stays chosen."""
        listed = self.query_one("#list", OptionList)
        before = self.chosen
        first_time = not any(row.plan for row in self.rows)
        self.rows = rows
        listed.clear_options()
        listed.add_options([Option(self._line(row)) for row in rows])
        wanted = before.name if before is not None else ""
        names = [row.name for row in rows]
        best = next((n for n, row in enumerate(rows) if row.recommended), 0)
        if rows:
            if first_time:
                listed.highlighted = 0 if any(row.here for row in rows) else best
            else:
                listed.highlighted = names.index(wanted) if wanted in names else 0
        here = any(row.here for row in rows)
        if self.machine is not None and here is not self._here:
            self._here = here
            self.tell(HINT if here else self._welcome(rows))

    def _welcome(self, rows: list[Row]) -> str:
        best = next((row.name for row in rows if row.recommended), "")
        told = "No model is installed yet. "
        told += f"For this machine: {best}; Enter fetches it. " if best else ""
        return f"{told}d fetches the demo model (98 MB), which is too small to be of use."

    def _line(self, row: Row) -> Text:
        from ..models import amount

        mark = "●" if row.here is not None else "★" if row.recommended else " "
        text = Text(f"{mark} {clean(row.name):<17}", no_wrap=True, overflow="ellipsis")
        text.append(f"{amount(row.size) if row.size else '':>7} ", "dim")
        text.append(clean(row.fits), COLOURS.get(row.fits, "dim"))
        if (download := self._download(row)) is not None:
            text.append(f"  {clean(download.told.removeprefix(row.name).strip())}", "bold")
        return text

    def _download(self, row: Row) -> Download | None:
        return next((one for one in self.app.downloads if one.name == row.name), None)

    @property
    def chosen(self) -> Row | None:
        """The model that is chosen."""
        place = self.query_one("#list", OptionList).highlighted
        return self.rows[place] if place is not None and place < len(self.rows) else None

    @on(OptionList.OptionHighlighted)
    def highlighted(self) -> None:
        """Show all about the model, read beside the screen."""
        self.asked = None
        if (row := self.chosen) is not None:
            self.run_worker(lambda: self._read(row), thread=True, exclusive=True, group="details")

    def _read(self, row: Row) -> None:
        from . import shelf

        text = "\n".join(shelf.details(row, self.app.desk.store, self.machine))
        self.app.call_from_thread(self._show, row, text)

    def _show(self, row: Row, text: str) -> None:
        if self.is_mounted and row is self.chosen and self.asked is None:
            self.query_one("#details", Sheet).turn_to(blocks.of_text(text))

    def look(self) -> None:
        """Bring the downloads up to date."""
        listed = self.query_one("#list", OptionList)
        names = {one.name for one in self.app.downloads}
        for place, row in enumerate(self.rows):
            if row.name in names:
                listed.replace_option_prompt_at_index(place, self._line(row))
        if self._fetched != names:
            self._fetched = names
            self.run_worker(self._gather, thread=True)

    def tell(self, text: str) -> None:
        """Say something under the list."""
        if self.is_mounted:
            self.query_one("#told", Static).update(clean(text))

    # What the keys do.

    def action_close(self) -> None:
        """Go back; downloads go on."""
        self.dismiss(None)

    @on(OptionList.OptionSelected)
    def action_take(self) -> None:
        """Use the model, or fetch it first."""
        row = self.chosen
        if row is None:
            return
        if row.here is not None:
            self.dismiss(row.name)
        else:
            self.fetch(row)

    def action_fetch_demo(self) -> None:
        """Fetch the demo model."""
        for row in self.rows:
            if row.name == "demo":
                if row.here is not None:
                    self.dismiss(row.name)
                else:
                    self.fetch(row)

    def fetch(self, row: Row) -> None:
        """Fetch a model, once its licences are accepted."""
        from ..models import licences

        if row.model is None or row.model.repo is None:
            self.tell(f"{row.name} cannot be fetched by name.")
        elif missing := licences.pending(row.model, self.app.desk.store):
            self.asked = row, missing
            told = [f"{row.model.title} comes under:"]
            told += [f"\n{one.title}\n{one.url}\n{one.summary}" for one in missing]
            told.append("\nDo you accept this? y accepts and fetches it, n does not.")
            self.query_one("#details", Sheet).turn_to(blocks.of_text("\n".join(told)))
            self.tell("y accepts the licence, n does not.")
        else:
            self.app.download(row.name)
            self.tell(f"{row.name} is on its way; you can go back and chat meanwhile.")

    def action_accept(self) -> None:
        """Accept the licences, and fetch the model."""
        from ..models import licences

        if self.asked is not None:
            row, missing = self.asked
            self.asked = None
            licences.accept(missing, self.app.desk.store)
            self.fetch(row)

    def action_decline(self) -> None:
        """Leave the model where it is."""
        if self.asked is not None:
            self.asked = None
            self.tell("It was not fetched.")
            self.highlighted()

    def action_pause(self) -> None:
        """Let a download rest, or go on."""
        if (row := self.chosen) is None or (download := self._download(row)) is None:
            return
        if download.paused:
            self.app.download(row.name)
        else:
            download.pause()

    def action_cancel(self) -> None:
        """Stop a download."""
        if (row := self.chosen) is not None and (download := self._download(row)) is not None:
            download.cancel()
            self.app.watch_jobs()
            self.tell(f"{row.name} was stopped; fetching it again goes on where it stopped.")
