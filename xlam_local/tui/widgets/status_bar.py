"""The status bar below the prompt, and the statistics panel at the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Sparkline, Static

from ...terminal_text import escape_control
from ...types import ContextUsage, Tool, Usage
from ..rendering.renderer import cut_middle
from ..state.turn_stats import TurnStats

if TYPE_CHECKING:
    from ..state.system_stats import SystemStats

MIN_MODEL_COLUMNS = 8
CONTEXT_BAR_COLUMNS = 10
CONTEXT_PARTS = (("system", "▓"), ("tools", "▒"), ("history", "█"), ("free", "░"))
"""The fields of ContextUsage, and their shades in the bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSnapshot:
    """The values that the status bar and the panel show."""

    model: str
    model_state: str
    """What happens to the model outside a turn; empty if nothing."""
    stats: TurnStats
    remote_host: str = ""
    """The other machine that reads the conversation; empty if there is none."""
    queued: int = 0
    """The number of messages in the queue."""
    downloads: str = ""
    """The progress of the downloads."""
    system_stats: SystemStats | None = None
    device: str = ""
    """The devices that the model computes on."""
    tools: Sequence[Tool] = ()
    """The tools that the model is offered."""


class StatusBar(Static):
    """One line with the model, its activity, the context and the speed."""

    def show_status(self, status: StatusSnapshot) -> None:
        """Show as many parts as fit; the name of the model is cut so that the activity fits."""
        columns = (self.size.width or self.app.size.width) - 2
        self.update(
            Text(status_line(status, columns), no_wrap=True, overflow="ellipsis"), layout=False
        )


def status_line(status: StatusSnapshot, columns: int) -> str:
    """Return as many parts of the status as fit into one line."""
    model, activity, *others = map(escape_control, status_parts(status))
    if status.remote_host:
        activity = f"on {escape_control(status.remote_host)} · {activity}"
    room = max(MIN_MODEL_COLUMNS, columns - cell_len(f" · {activity}"))
    line = f"{cut_middle(model, room)} · {activity}" if model else activity
    for part in filter(None, others):
        if cell_len(longer := f"{line} · {part}") <= columns:
            line = longer
    return line


def status_parts(status: StatusSnapshot) -> Iterator[str]:
    """Yield the parts of the status bar, the most important first."""
    stats = status.stats
    yield status.model
    yield status.model_state or stats.activity or "Ready"
    if status.queued:
        yield f"{status.queued} queued"
    yield status.downloads
    if stats.context_usage is not None:
        percent = context_percent(stats.context_usage)
        yield f"{context_bar(stats.context_usage)} {percent:.0f} %"
    if stats.tokens_per_s:
        about = "" if stats.done is not None else "about "
        yield f"{about}{stats.tokens_per_s:.0f} tokens/s"
    if stats.accepted_percent is not None:
        yield f"{stats.accepted_percent:.0f} % of drafts accepted"
    if stats.first_token_s is not None:
        yield f"first token {stats.first_token_s:.1f} s"
    yield status.device
    if status.system_stats is not None:
        yield from status.system_stats.status_parts()


def context_percent(usage: ContextUsage) -> float:
    """Return how much of the context is used."""
    return 100 - 100 * usage.free / max(1, _context_size(usage))


def context_bar(usage: ContextUsage) -> str:
    """Return the context as a bar with a shade for each part."""
    size, bar, tokens = max(1, _context_size(usage)), "", 0
    for name, shade in CONTEXT_PARTS:
        tokens += getattr(usage, name)
        bar += shade * (round(CONTEXT_BAR_COLUMNS * tokens / size) - len(bar))
    return bar


def _context_size(usage: ContextUsage) -> int:
    return usage.system + usage.tools + usage.history + usage.free


class StatsPanel(Vertical):
    """Statistics of the turn, the context and the machine."""

    def compose(self) -> ComposeResult:
        """Create the sparkline and the text."""
        yield Static("Tokens/s in the last minute", classes="title")
        yield Sparkline([0.0], id="speeds")
        yield Static("", id="numbers", markup=False)

    def show_status(self, status: StatusSnapshot) -> None:
        """Show the statistics."""
        self.query_one("#speeds", Sparkline).data = list(status.stats.bars)
        text = escape_control("\n".join(panel_lines(status)))
        self.query_one("#numbers", Static).update(text)


def panel_lines(status: StatusSnapshot) -> Iterator[str]:
    """Yield the lines of the panel."""
    stats = status.stats
    yield f"Model           {status.model}"
    if status.device:
        yield f"Device          {status.device}"
    if (usage := stats.context_usage) is not None:
        yield f"Context         {_context_size(usage):,} tokens"
        for name, shade in CONTEXT_PARTS:
            yield f"  {shade} {name:<12}{getattr(usage, name):>8,}"
    if stats.first_token_s is not None:
        yield f"First token     {stats.first_token_s:.2f} s"
    if stats.done is not None:
        yield from _usage_lines(stats.done.usage, stats.accepted_percent)
    if status.system_stats is not None:
        yield from status.system_stats.panel_lines()
    if status.tools:
        yield ""
        yield f"Tools offered   {len(status.tools)}, F3 changes them"
    for tool in status.tools:
        yield f"  {tool.effect.value:<8} {tool.name}"


def _usage_lines(usage: Usage, accepted_percent: float | None) -> Iterator[str]:
    yield f"Prompt          {usage.prompt_tokens:,} tokens"
    yield f"  cached        {usage.cached_tokens:,}"
    yield f"  processed in  {usage.prefill_seconds:.2f} s"
    yield f"Reply           {usage.reply_tokens:,} tokens"
    yield f"  written in    {usage.decode_seconds:.2f} s"
    yield f"  tokens/s      {usage.decode_speed:.1f}"
    if accepted_percent is not None:
        yield f"  drafted       {usage.drafted_tokens:,} tokens, {accepted_percent:.0f} % accepted"
