"""The tools screen: sources, tools, their costs, policy and schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ...errors import XlamError
from ...types import Tool
from ..rendering import blocks
from ..rendering.blocks import Block
from ..rendering.renderer import cut_middle, safe_text
from ..state import tool_catalog
from ..state.tool_catalog import ToolCatalog
from ..widgets.key_bar import KeyBar
from ..widgets.text_viewer import TextViewer

if TYPE_CHECKING:
    from ...tools.sources import Source

CHECK_INTERVAL_S = 1.0
FIGURES_COLUMNS = 14
"""Columns for a tool's effect and its tokens."""
LABEL_COLUMNS = 11
MIN_NAME_COLUMNS = 8
SOURCE_MARKS = {"ready": "●", "starting": "◌", "off": "○", "failed": "!", "untrusted": "?"}


class ToolsScreen(Screen[None]):
    """A list of sources and their tools, with the details of the selected one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", priority=True),
        Binding("space,enter", "toggle_enabled", "On, off"),
        Binding("a", "trust", "Trust a file"),
        Binding("g", "grammar", "Grammar of all"),
    ]

    def __init__(
        self,
        tools: ToolCatalog,
        refresh: Callable[[], None],
        count_tokens: Callable[[], dict[str, int]],
        policy_text: Callable[[Tool], str],
    ) -> None:
        super().__init__()
        self.tools = tools
        self.refresh_tools = refresh
        """Reads the files of the tools, if they have changed; takes a moment."""
        self.count_tokens = count_tokens
        """Returns each tool's prompt tokens, or nothing without a model; takes a moment."""
        self.policy_text = policy_text
        self._sources: tuple[Source, ...] = ()
        self.rows: list[tuple[Source, Tool | None]] = []
        """The listed sources (without a tool) and tools."""
        self.costs: dict[str, int] = {}
        self.refused: frozenset[str] = frozenset()
        """The names of enabled tools that are not offered, because of their schemas."""

    def compose(self) -> ComposeResult:
        """Create the list and the details."""
        yield Static("Tools, with their tokens in each prompt", classes="title-bar")
        with Horizontal(classes="columns"):
            yield OptionList(id="list")
            yield TextViewer(id="details")
        yield Static(id="message", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """List the tools; their files are read and their tokens are counted in a thread."""
        self.fill()
        self.query_one("#list").focus()
        self.run_worker(self._read, thread=True)
        self.set_interval(CHECK_INTERVAL_S, self.fill_if_changed)

    def fill_if_changed(self) -> None:
        """List the tools again if a file or a server has changed."""
        if self.tools.sources() != self._sources:
            self.fill()

    def _read(self) -> None:
        try:
            self.refresh_tools()
            self.app.call_from_thread(self.fill)
            costs = self.count_tokens()
        except XlamError as error:
            self.app.call_from_thread(self.show_message, str(error))
            return
        self.app.call_from_thread(self._set_costs, costs)

    def _set_costs(self, costs: dict[str, int]) -> None:
        self.costs = costs
        self.fill()

    def fill(self) -> None:
        """List the sources and their tools."""
        options = self.query_one("#list", OptionList)
        highlighted = options.highlighted
        self._sources = self.tools.sources()
        self.rows = [
            row
            for source in self._sources
            for row in ((source, None), *((source, tool) for tool in source.tools))
        ]
        self.refused = tool_catalog.refusals(self.tools.current())
        options.clear_options()
        options.add_options([Option(self._option_text(*row)) for row in self.rows])
        if self.rows:
            options.highlighted = min(highlighted or 0, len(self.rows) - 1)
        enabled = self.tools.current()
        tokens = sum(self.costs.get(tool.name, 0) for tool in enabled)
        noun = "tool" if len(enabled) == 1 else "tools"
        text = f"{len(enabled)} {noun} enabled"
        cost = f"{tokens:,} prompt tokens in total" if tokens else "their tokens are not known now"
        self.show_message(f"{text}, {cost}" if enabled else text)

    def _option_text(self, source: Source, tool: Tool | None) -> Text:
        if tool is None:
            mark = SOURCE_MARKS[source.state]
            text = Text(f"{mark} {safe_text(source.name)}", "bold")
            text.append(f"  {source.kind}, {source.state}", "dim")
            return text
        mark = "●" if self._is_enabled(tool) else "○"
        room = max(MIN_NAME_COLUMNS, self.query_one("#list").size.width - FIGURES_COLUMNS - 7)
        longest = max((cell_len(tool.name) for _, tool in self.rows if tool), default=0)
        columns = min(room, longest)
        name = cut_middle(tool.name, columns)
        text = Text(f"   {mark} {name}{' ' * (columns - cell_len(name))} ")
        text.append(f"{tool.effect.value:<8}", "dim")
        if tool.name in self.refused and self._is_enabled(tool):
            return text.append(" refused", "bold")
        if cost := self.costs.get(tool.name):
            text.append(f"{cost:>6,}", "dim")
        return text

    def on_resize(self) -> None:
        """Cut the names at the new width."""
        self.call_after_refresh(self.fill)

    def _is_enabled(self, tool: Tool) -> bool:
        return tool.name in {enabled.name for enabled in self.tools.current()}

    @property
    def selected(self) -> tuple[Source, Tool | None] | None:
        """The highlighted source or tool."""
        index = self.query_one("#list", OptionList).highlighted
        return self.rows[index] if index is not None and index < len(self.rows) else None

    @on(OptionList.OptionHighlighted)
    def show_details(self) -> None:
        """Show the details of the highlighted source or tool."""
        if (row := self.selected) is not None:
            source, tool = row
            details = self._tool_details(source, tool) if tool else self._source_details(source)
            self.query_one("#details", TextViewer).show_blocks(list(details))

    def _source_details(self, source: Source) -> Iterator[Block]:
        yield from blocks.text_blocks(f"{source.name}: {source.kind}, {source.state}", "strong")
        yield from blocks.text_blocks(source.detail)
        for line in (*source.left_out, *source.notices, f"{len(source.tools)} tools"):
            yield from blocks.text_blocks(line)

    def _tool_details(self, source: Source, tool: Tool) -> Iterator[Block]:
        yield from blocks.text_blocks(tool.name, "strong")
        yield from blocks.text_blocks(tool.description)
        yield blocks.Gap()
        rows = {
            "Effect": tool.effect.value,
            "Sandbox": tool.sandbox.value,
            "Source": source.name,
            "Policy": self.policy_text(tool),
        }
        if cost := self.costs.get(tool.name):
            rows["Cost"] = f"{cost} tokens in each prompt"
        for label, text in rows.items():
            yield blocks.labeled_block(label, text, LABEL_COLUMNS)
        yield from _section("Keywords of the schema")
        for status, text in tool_catalog.schema_report(tool):
            yield blocks.labeled_block(status, text, LABEL_COLUMNS)
        yield from _section("Parameters")
        yield from blocks.text_blocks(json.dumps(tool.parameters, indent=2, ensure_ascii=False))
        yield from _section("Grammar (GBNF)")
        yield from blocks.text_blocks(tool_catalog.grammar_text([tool]))

    def show_message(self, text: str) -> None:
        """Show a text under the list."""
        self.query_one("#message", Static).update(safe_text(text))

    # The keys.

    @on(OptionList.OptionSelected)
    def action_toggle_enabled(self) -> None:
        """Enable or disable the source or the tool."""
        if (row := self.selected) is None:
            return
        source, tool = row
        name = source.name if tool is None else tool.name
        enable = source.state == "off" if tool is None else not self._is_enabled(tool)
        try:
            self.tools.set_enabled(name, enable)
        except XlamError as error:
            self.show_message(str(error))
            return
        self.fill()

    def action_trust(self) -> None:
        """Trust the tool file as it is now."""
        if (row := self.selected) is not None:
            self.show_message("Reading the file …")
            self.run_worker(lambda: self._trust(row[0]), thread=True)

    def _trust(self, source: Source) -> None:
        try:
            self.tools.trust(source)
        except XlamError as error:
            self.app.call_from_thread(self.show_message, str(error))
            return
        self.app.call_from_thread(self.fill)

    def action_grammar(self) -> None:
        """Show the grammar of a reply that may call all tools."""
        text = tool_catalog.grammar_text(self.tools.current())
        self.query_one("#details", TextViewer).show_blocks(blocks.text_blocks(text))


def _section(title: str) -> Iterator[Block]:
    yield blocks.Gap()
    yield from blocks.text_blocks(title, "strong")
