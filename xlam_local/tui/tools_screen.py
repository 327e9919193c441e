"""The screen of the tools: where they come from, what each can do, costs and obeys."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from . import blocks, toolset
from .pen import clean
from .sheet import Sheet

if TYPE_CHECKING:
    from ..tools.types import Source
    from ..types import Tool
    from .app import XlamApp

MARKS = {"ready": "●", "starting": "◌", "off": "○", "failed": "!", "not agreed": "?"}


class ToolsScreen(Screen[None]):
    """A list of sources and their tools, and all about the one that is chosen."""

    app: XlamApp
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", priority=True),
        Binding("space,enter", "switch", "On, off"),
        Binding("a", "agree", "Agree to a file"),
        Binding("g", "grammar", "Grammar of all"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[Source, Tool | None]] = []
        self.costs: dict[str, int] = {}

    def compose(self) -> ComposeResult:
        """Lay out the list and the details."""
        yield Static("Tools", classes="head")
        with Horizontal(classes="halves"):
            yield OptionList(id="list")
            yield Sheet(id="details")
        yield Static(id="told", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is; what each costs is counted beside the screen."""
        self.fill()
        self.query_one("#list").focus()
        self.run_worker(self._count, thread=True)

    def _count(self) -> None:
        desk = self.app.desk
        try:
            # The model counts, and does one thing at a time.
            idle = self.app.chat.turn is None
            costs = toolset.costs(desk.tools.now(), desk.talk) if idle else {}
        except XlamError as error:
            self.app.call_from_thread(self.tell, str(error))
            return
        self.app.call_from_thread(self._counted, costs)

    def _counted(self, costs: dict[str, int]) -> None:
        self.costs = costs
        if self.is_mounted:
            self.fill()

    def fill(self) -> None:
        """Put sources and tools in the list."""
        listed = self.query_one("#list", OptionList)
        place = listed.highlighted
        self.rows = [
            row
            for source in self.app.desk.tools.sources()
            for row in ((source, None), *((source, tool) for tool in source.tools))
        ]
        listed.clear_options()
        listed.add_options([Option(self._line(*row)) for row in self.rows])
        if self.rows:
            listed.highlighted = min(place or 0, len(self.rows) - 1)
        offered = self.app.desk.tools.now()
        costs = sum(self.costs.get(tool.name, 0) for tool in offered)
        told = f"{len(offered)} tools are offered"
        self.tell(f"{told}, {costs:,} tokens together" if costs else told)

    def _line(self, source: Source, tool: Tool | None) -> Text:
        if tool is None:
            text = Text(f"{MARKS[source.state]} {clean(source.name)}", "bold", no_wrap=True)
            text.append(f"  {source.kind}, {source.state}", "dim")
            return text
        on = any(tool is one or tool.name == one.name for one in self.app.desk.tools.now())
        text = Text(f"   {'●' if on else '○'} {clean(tool.name):<18} ", no_wrap=True)
        text.append(f"{tool.effect.value:<8}", "dim")
        if cost := self.costs.get(tool.name):
            text.append(f"{cost:>5} tokens", "dim")
        return text

    @property
    def chosen(self) -> tuple[Source, Tool | None] | None:
        """The row that is chosen."""
        place = self.query_one("#list", OptionList).highlighted
        return self.rows[place] if place is not None and place < len(self.rows) else None

    @on(OptionList.OptionHighlighted)
    def highlighted(self) -> None:
        """Show all about the row."""
        if (row := self.chosen) is not None:
            lines = self._about(*row)
            self.query_one("#details", Sheet).turn_to(blocks.of_text("\n".join(lines)))

    def _about(self, source: Source, tool: Tool | None) -> Iterator[str]:
        if tool is None:
            yield f"{source.name}: {source.kind}, {source.state}"
            yield source.detail
            yield f"{len(source.tools)} tools"
            return
        yield f"{tool.name}\n{tool.description}\n"
        yield f"Effect     {tool.effect.value}"
        yield f"Sandbox    {tool.sandbox.value}"
        yield f"Source     {source.name}"
        yield f"Policy     {toolset.policy_for(tool, self.app.desk.talk)}"
        if cost := self.costs.get(tool.name):
            yield f"Costs      {cost} tokens in each prompt"
        yield "\nEach keyword of its schema:"
        yield from toolset.report(tool)
        yield f"\nParameters\n{json.dumps(tool.parameters, indent=2, ensure_ascii=False)}"
        yield f"\nGrammar (GBNF)\n{toolset.gbnf([tool])}"

    def tell(self, text: str) -> None:
        """Say something under the list."""
        if self.is_mounted:
            self.query_one("#told", Static).update(clean(text))

    # What the keys do.

    @on(OptionList.OptionSelected)
    def action_switch(self) -> None:
        """Offer the source or the tool, or no longer."""
        if (row := self.chosen) is None:
            return
        source, tool = row
        name = source.name if tool is None else tool.name
        offered = {one.name for one in self.app.desk.tools.now()}
        on = source.state == "off" if tool is None else tool.name not in offered
        try:
            self.app.desk.tools.switch(name, on)
        except XlamError as error:
            self.tell(str(error))
            return
        self.fill()

    def action_agree(self) -> None:
        """Agree to what is in a file of tools."""
        if (row := self.chosen) is not None:
            self.tell("Reading the file …")
            self.run_worker(lambda: self._agree(row[0]), thread=True)

    def _agree(self, source: Source) -> None:
        try:
            self.app.desk.tools.agree(source)
        except XlamError as error:
            self.app.call_from_thread(self.tell, str(error))
            return
        self.app.call_from_thread(self.fill)

    def action_grammar(self) -> None:
        """Show the grammar of a reply with all tools."""
        text = toolset.gbnf(self.app.desk.tools.now())
        self.query_one("#details", Sheet).turn_to(blocks.of_text(text))
