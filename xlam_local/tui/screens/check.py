"""The screen of a check: how often each scenario was right, and why its other runs were wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...evaluation.table import percent
from ...scenarios.check_run import read_rows
from ...scenarios.rates import ScenarioRate, pass_rates, scenario_rates
from ...scenarios.report import (
    UNRELIABLE,
    first_failures,
    is_user_unreliable,
    variation_names,
)
from ..rendering import blocks
from ..rendering.blocks import Block
from ..rendering.renderer import cut_middle, safe_text
from ..widgets.key_bar import KeyBar
from ..widgets.text_viewer import TextViewer

BAR_COLUMNS = 10
FIGURES_COLUMNS = BAR_COLUMNS + 12
"""Columns for the bar and the number of right runs."""
MIN_NAME_COLUMNS = 8
LABEL_COLUMNS = 17


class CheckScreen(Screen[None]):
    """A list of scenarios with their rates, and the failures of the selected one.

    Raises:
        UsageError: the file does not exist, or has no rows.
        IntegrityError: a line is damaged.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", priority=True, key_display="esc"),
    ]

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows = read_rows(path)
        self.rates = scenario_rates(self.rows)

    def compose(self) -> ComposeResult:
        """Create the list and the details."""
        yield Static(safe_text(f"Check {self.path.name}"), classes="title-bar", markup=False)
        with Horizontal(classes="columns"):
            yield OptionList(id="list")
            yield TextViewer(id="details")
        yield KeyBar()

    def on_mount(self) -> None:
        """List the scenarios."""
        self.query_one("#list").focus()
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        """Cut the names again."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        options = self.query_one("#list", OptionList)
        highlighted = options.highlighted or 0
        room = max(MIN_NAME_COLUMNS, options.size.width - FIGURES_COLUMNS - 2)
        longest = max((cell_len(safe_text(rate.name)) for rate in self.rates), default=0)
        options.clear_options()
        options.add_options([Option(_line(rate, min(room, longest))) for rate in self.rates])
        if self.rates:
            options.highlighted = min(highlighted, len(self.rates) - 1)

    @on(OptionList.OptionHighlighted)
    def show_details(self, event: OptionList.OptionHighlighted) -> None:
        """Show the rates of the check, and the failures of the highlighted scenario."""
        details = self.query_one("#details", TextViewer)
        details.show_blocks(list(self._details(self.rates[event.option_index])))

    def _details(self, rate: ScenarioRate) -> Iterator[Block]:
        if is_user_unreliable(self.rows):
            yield from blocks.text_blocks(UNRELIABLE)
        else:
            for name in variation_names(self.rows):
                heading = f"{name or 'All scenarios'}, percent"
                yield from blocks.text_blocks(heading, "strong")
                for k, estimate in pass_rates(scenario_rates(self.rows, name)).items():
                    yield blocks.labeled_block(
                        f"pass^{k}" if k > 1 else "pass@1", percent(estimate), LABEL_COLUMNS
                    )
        yield blocks.Gap()
        yield from blocks.text_blocks(safe_text(rate.name), "strong")
        for cause, count in rate.causes.items():
            yield blocks.labeled_block(cause, str(count), LABEL_COLUMNS)
        own = [row for row in self.rows if row["scenario"] == rate.name]
        if failures := first_failures(own):
            yield blocks.Gap()
            yield from blocks.text_blocks(safe_text("\n".join(failures)))


def _line(rate: ScenarioRate, columns: int) -> Text:
    """Return a scenario's name, a bar, and the number of its right runs."""
    name = cut_middle(rate.name, columns)
    text = Text(name + " " * (columns - cell_len(name) + 1))
    filled = round(BAR_COLUMNS * rate.passed / rate.runs)
    text.append("█" * filled, "green")
    text.append("░" * (BAR_COLUMNS - filled), "dim")
    text.append(f" {rate.passed} of {rate.runs}")
    return text
