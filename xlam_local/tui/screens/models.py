"""The models screen: installed models, models to download, and how they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...errors import XlamError
from ...models import format_bytes
from ...models.licenses import License
from ...models.overview import ModelRow
from ..rendering import blocks
from ..rendering.blocks import Block
from ..rendering.renderer import cut_middle, safe_text
from ..state.downloads import Downloads
from ..state.model_catalog import Detail, ModelCatalog
from ..widgets.key_bar import KeyBar
from ..widgets.text_viewer import TextViewer

if TYPE_CHECKING:
    from ..state.controller import ChatController
    from ..state.download import Download

FIT_COLORS = {"fits on GPU": "green", "fits": "green", "tight": "yellow", "no": "red"}
FIGURES_COLUMNS = 19
"""Columns for the size of a model and how it fits."""
MIN_NAME_COLUMNS = 8
POLL_HZ = 4
DEMO = "demo"
"""The model that the key d downloads."""
HINT = "Enter uses an installed model (●) or downloads another."


@dataclass
class DownloadRequested(Message):
    """The user wants to download a model, or to resume its download."""

    name: str


def models_screen(controller: ChatController) -> ModelsScreen:
    """Return the screen for the models of this machine."""
    context_size = controller.settings.context
    catalog = ModelCatalog(controller.store, controller.detect_machine, context_size)
    return ModelsScreen(catalog, controller.downloads)


class ModelsScreen(Screen[str | None]):
    """A list of models with the details of the selected one; returns the model to use."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", priority=True),
        Binding("enter", "choose", "Use or download", priority=True),
        Binding("p,space", "pause", "Pause, resume"),
        Binding("r", "retry", "Retry"),
        Binding("x", "cancel", "Cancel"),
        Binding("y", "accept", "Accept"),
        Binding("n", "decline", "Decline"),
        Binding("d", "download_demo", "Demo"),
    ]

    def __init__(self, catalog: ModelCatalog, downloads: Downloads) -> None:
        super().__init__()
        self.catalog = catalog
        self.downloads = downloads
        self.rows: list[ModelRow] = []
        self.pending: tuple[ModelRow, list[License]] | None = None
        """The model whose licenses the user is asked to accept."""
        self._reports: dict[str, str] = {}
        """The reports of the downloads by their names at the last poll."""
        self._any_installed: bool | None = None
        """None until the first list is complete."""

    def compose(self) -> ComposeResult:
        """Create the list and the details."""
        yield Static("Models", classes="title-bar")
        with Horizontal(classes="columns"):
            yield OptionList(id="list")
            yield TextViewer(id="details")
        yield Static(id="message", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """List the models; how they fit follows when the machine is detected."""
        self.run_worker(self._gather, thread=True)
        self.query_one("#list").focus()
        self.set_interval(1 / POLL_HZ, self.poll_downloads)

    def _gather(self) -> None:
        try:
            if self.catalog.machine is None:
                self.app.call_from_thread(self.fill, self.catalog.rows())
            self.catalog.detect_machine()
            self.app.call_from_thread(self.fill, self.catalog.rows())
        except XlamError as error:
            self.app.call_from_thread(self.show_message, str(error))

    # The list and the details.

    def fill(self, rows: list[ModelRow]) -> None:
        """List the models; the selected model stays selected."""
        options = self.query_one("#list", OptionList)
        selected, fit_was_known = self.selected, any(row.plan for row in self.rows)
        self.rows = rows
        options.clear_options()
        options.add_options([Option(self._option_text(row)) for row in rows])
        any_installed = any(row.installed for row in rows)
        if rows and fit_was_known:
            names = [row.name for row in rows]
            name = selected.name if selected is not None else ""
            options.highlighted = names.index(name) if name in names else 0
        elif rows:
            best = next((n for n, row in enumerate(rows) if row.recommended), 0)
            options.highlighted = 0 if any_installed else best
        if self.catalog.machine is not None and any_installed is not self._any_installed:
            self._any_installed = any_installed
            self.show_message(HINT if any_installed else self._welcome())

    def _welcome(self) -> str:
        best = next((row.name for row in self.rows if row.recommended), "")
        recommended = f" Recommended for this machine: {best}; Enter downloads it." if best else ""
        demo = "d downloads the demo model (98 MB), too small for real use."
        return f"No model is installed.{recommended} {demo}"

    def _option_text(self, row: ModelRow) -> Text:
        mark = "●" if row.installed is not None else "★" if row.recommended else " "
        download = self.downloads.find(row.name)
        figures = FIGURES_COLUMNS if download is None else cell_len(download.progress_text) + 1
        columns = max(MIN_NAME_COLUMNS, self.query_one("#list").size.width - figures - 4)
        longest = max((cell_len(other.name) for other in self.rows), default=0)
        name = cut_middle(row.name, min(columns, longest))
        text = Text(f"{mark} {name}{' ' * (min(columns, longest) - cell_len(name))} ")
        if download is not None:
            return text.append(safe_text(download.progress_text), "bold")
        text.append(f"{format_bytes(row.size) if row.size else '':>7} ", "dim")
        return text.append(safe_text(row.fits), FIT_COLORS.get(row.fits, "dim"))

    def on_resize(self) -> None:
        """Cut the names at the new width."""
        self.call_after_refresh(self._redraw_options)

    def _redraw_options(self) -> None:
        options = self.query_one("#list", OptionList)
        for index, row in enumerate(self.rows[: options.option_count]):
            options.replace_option_prompt_at_index(index, self._option_text(row))

    @property
    def selected(self) -> ModelRow | None:
        """The highlighted model."""
        options = self.query("#list").results(OptionList)  # None while the screen is created.
        index = next((found.highlighted for found in options), None)
        return self.rows[index] if index is not None and index < len(self.rows) else None

    @on(OptionList.OptionHighlighted)
    def show_details(self) -> None:
        """Read the details of the highlighted model in a thread, and show them."""
        self.pending = None
        self.refresh_bindings()
        if (row := self.selected) is not None:
            self.run_worker(lambda: self._read(row), thread=True, exclusive=True, group="details")

    def _read(self, row: ModelRow) -> None:
        details = list(self.catalog.details(row))
        self.app.call_from_thread(self._show_details_of, row, details)

    def _show_details_of(self, row: ModelRow, details: Sequence[Detail]) -> None:
        if row is self.selected and self.pending is None:
            shown = [block for detail in details for block in _detail_blocks(detail)]
            if (download := self.downloads.find(row.name)) is not None:
                style = "error" if download.error is not None else "accent"
                shown = [*blocks.text_blocks(download.report, style), blocks.Gap(), *shown]
            self.query_one("#details", TextViewer).show_blocks(shown)

    def _show_text(self, text: str) -> None:
        self.query_one("#details", TextViewer).show_blocks(blocks.text_blocks(text))

    def poll_downloads(self) -> None:
        """Update the progress of the downloads, and the list when one has started or ended."""
        options = self.query_one("#list", OptionList)
        reports = {download.name: download.report for download in self.downloads}
        for index, row in enumerate(self.rows):
            if row.name in reports:
                options.replace_option_prompt_at_index(index, self._option_text(row))
        before, self._reports = self._reports, reports
        if before.keys() != reports.keys():
            self.run_worker(self._gather, thread=True)
        if before != reports and self.pending is None:
            self.show_details()
        for download in self.downloads:
            if download.error is not None and before.get(download.name) != download.report:
                self.show_message(f"The download of {download.name} failed; r tries again.")

    def show_message(self, text: str) -> None:
        """Show a text under the list."""
        self.query_one("#message", Static).update(safe_text(text))

    # The keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action applies to the selected model now."""
        if action in ("accept", "decline"):
            return self.pending is not None
        if action not in ("retry", "pause", "cancel"):
            return True
        download = self._selected_download()
        if download is None:
            return False
        return action == "cancel" or (action == "retry") is (download.error is not None)

    def _selected_download(self) -> Download | None:
        row = self.selected
        return self.downloads.find(row.name) if row is not None else None

    def action_close(self) -> None:
        """Close the screen; downloads continue."""
        self.dismiss(None)

    @on(OptionList.OptionSelected)
    def action_choose(self) -> None:
        """Use the model if it is installed, otherwise download it."""
        if (row := self.selected) is not None:
            self._use_or_download(row)

    def action_download_demo(self) -> None:
        """Use or download the demo model."""
        for row in self.rows:
            if row.name == DEMO:
                self._use_or_download(row)

    def _use_or_download(self, row: ModelRow) -> None:
        if row.installed is not None:
            self.dismiss(row.name)
        else:
            self.download(row)

    def download(self, row: ModelRow) -> None:
        """Download a model once its licenses are accepted."""
        if row.model is None or row.model.repo is None:
            self.show_message(f"{row.name} cannot be downloaded by its name.")
        elif pending := self.catalog.pending_licenses(row.model):
            self.pending = row, pending
            self.refresh_bindings()
            self._show_text(_license_text(row.model.title, pending))
            self.show_message("Press y to accept the license, n to decline.")
        else:
            self.post_message(DownloadRequested(row.name))
            self.show_message(f"Downloading {row.name}. You can go back and chat meanwhile.")

    def action_accept(self) -> None:
        """Accept the licenses and download the model."""
        if self.pending is not None:
            row, accepted = self.pending
            self.pending = None
            self.catalog.accept_licenses(accepted)
            self.download(row)

    def action_decline(self) -> None:
        """Decline the licenses."""
        if self.pending is not None:
            self.pending = None
            self.show_message("Not downloaded: the license was declined.")
            self.show_details()

    def action_pause(self) -> None:
        """Pause or resume the download."""
        if (download := self._selected_download()) is None:
            return
        if download.paused:
            self.post_message(DownloadRequested(download.name))
        else:
            download.pause()

    def action_retry(self) -> None:
        """Try a failed download again."""
        if (download := self._selected_download()) is not None:
            self.post_message(DownloadRequested(download.name))
            self.show_message(f"Downloading {download.name} again.")

    def action_cancel(self) -> None:
        """Cancel the download."""
        if (download := self._selected_download()) is not None:
            self.downloads.cancel(download.name)
            name = download.name
            self.show_message(f"Cancelled. Downloading {name} again resumes where it stopped.")


def _detail_blocks(detail: Detail) -> list[Block]:
    match detail:
        case (label, figure):
            return [blocks.figure_block(label, figure)]
        case str():
            return blocks.text_blocks(detail) or [blocks.Gap()]


def _license_text(title: str, licenses: list[License]) -> str:
    parts = [f"{title} is licensed under:"]
    parts += [f"\n{license_.title}\n{license_.url}\n{license_.summary}" for license_ in licenses]
    return "\n".join([*parts, "\nDo you accept? y accepts and downloads, n declines."])
