"""The line that tells how the model does, and the panel that tells more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Sparkline, Static

from ..sanitize import printable
from .figures import Figures

if TYPE_CHECKING:
    from ..types import Meter
    from .vitals import Vitals

METER = 10
"""Columns of the context meter."""
PARTS = (("system", "▓"), ("tools", "▒"), ("history", "█"), ("free", "░"))


@dataclass(frozen=True, slots=True)
class Told:
    """All that the status tells."""

    model: str
    state: str
    """What is going on beside the turn."""
    figures: Figures
    queued: int = 0
    """How many messages wait to be sent."""
    download: str = ""
    vitals: Vitals | None = None
    where: str = ""
    """Where the model computes."""


class Status(Static):
    """One line: the model, what it does, the context, the speed."""

    def tell(self, told: Told) -> None:
        """Show the line, as much of it as has room."""
        room = (self.size.width or self.app.size.width) - 2
        line = ""
        for part in filter(None, map(printable, parts(told))):
            longer = f"{line} · {part}" if line else part
            if not line or cell_len(longer) <= room:
                line = longer
        self.update(Text(line, no_wrap=True, overflow="ellipsis"), layout=False)


def parts(told: Told) -> Iterator[str]:
    """What stands in the line, the most wanted first."""
    figures = told.figures
    yield told.model
    yield told.state or figures.doing or "Ready"
    if told.queued:
        yield f"{told.queued} waiting"
    yield told.download
    if figures.meter is not None:
        yield f"{meter(figures.meter)} {used(figures.meter):.0f} %"
    if figures.speed:
        about = "" if figures.done is not None else "about "
        yield f"{about}{figures.speed:.0f} tokens/s"
    if figures.right is not None:
        yield f"{figures.right:.0f} % of guesses right"
    if figures.first is not None:
        yield f"first after {figures.first:.1f} s"
    yield told.where
    if told.vitals is not None:
        yield from told.vitals.words()


def used(meter: Meter) -> float:
    """How much of the context is used, in percent."""
    return 100 - 100 * meter.free / max(1, _whole(meter))


def meter(meter: Meter) -> str:
    """The context as a bar, a kind of shade for each part."""
    whole, drawn, so_far = max(1, _whole(meter)), "", 0
    for name, shade in PARTS:
        so_far += getattr(meter, name)
        drawn += shade * (round(METER * so_far / whole) - len(drawn))
    return drawn


def _whole(meter: Meter) -> int:
    return meter.system + meter.tools + meter.history + meter.free


class Panel(Vertical):
    """More about the model at work."""

    def compose(self) -> ComposeResult:
        """Lay out the numbers and the sparkline."""
        yield Static("Tokens a second, the last minute", classes="title")
        yield Sparkline([0.0], id="speeds")
        yield Static("", id="numbers", markup=False)

    def tell(self, told: Told) -> None:
        """Show the numbers."""
        self.query_one("#speeds", Sparkline).data = list(told.figures.speeds)
        text = printable("\n".join(lines(told)))
        self.query_one("#numbers", Static).update(text)


def lines(told: Told) -> Iterator[str]:
    """What stands in the panel."""
    figures = told.figures
    yield f"Model           {told.model}"
    if told.where:
        yield f"Computes        {told.where}"
    if (filled := figures.meter) is not None:
        yield f"Context         {_whole(filled):,} tokens"
        for name, shade in PARTS:
            yield f"  {shade} {name:<12}{getattr(filled, name):>8,}"
    if figures.first is not None:
        yield f"First token     {figures.first:.2f} s"
    if figures.done is not None:
        use = figures.done.usage
        yield f"Prompt          {use.prompt_tokens:,} tokens"
        yield f"  from a prefix {use.cached_tokens:,}"
        yield f"  read in       {use.prefill_seconds:.2f} s"
        yield f"Reply           {use.reply_tokens:,} tokens"
        yield f"  written in    {use.decode_seconds:.2f} s"
        yield f"  a second      {use.decode_speed:.1f}"
        if figures.right is not None:
            yield f"  guessed       {use.drafted_tokens:,} tokens, {figures.right:.0f} % right"
    if told.vitals is not None:
        yield from told.vitals.lines()
