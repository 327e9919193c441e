"""From text, Markdown and diffs to lines on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme
from textual.strip import Strip

from ..sanitize import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.markdown import Markdown

STYLES = ("base", "muted", "strong", "accent", "primary", "success", "warning", "error", "code")
MARKDOWN = {
    "h1": "primary",
    "h2": "primary",
    "h3": "primary",
    "h4": "accent",
    "h5": "accent",
    "h6": "accent",
    "code": "code",
    "code_block": "code",
    "link": "accent",
    "link_url": "accent",
    "item.bullet": "accent",
    "item.number": "accent",
    "block_quote": "muted",
    "hr": "muted",
    "table.border": "muted",
    "table.header": "strong",
}
GUTTER = 2
"""Columns of the bar at the left of an entry."""
BOLD = Style(bold=True)
WIDEST = 400
"""Columns in a table or a line of code, however wide the terminal is."""


def clean(text: str) -> str:
    """Text that cannot command the terminal, each character as wide as it is taken to be."""
    return printable(text).expandtabs(4)


class Pen:
    """Draws with the colours of a theme."""

    def __init__(self, styles: Mapping[str, Style], code_theme: str) -> None:
        self.styles = styles
        """A style for each name in STYLES."""
        self.code_theme = code_theme
        self._bars: dict[tuple[str, bool], Strip] = {}

    @cached_property
    def console(self) -> Console:
        """What Rich lays out with."""
        heads = {f"markdown.h{n}": BOLD for n in range(1, 7)}
        told = {
            f"markdown.{name}": self._over(style) + heads.get(f"markdown.{name}", Style())
            for name, style in MARKDOWN.items()
        }
        return Console(
            theme=Theme(told),
            color_system="truecolor",
            force_terminal=True,
            legacy_windows=False,
            width=80,
            highlight=False,
            emoji=False,
            _environ={},
        )

    @cached_property
    def margin(self) -> Strip:
        """What stands at the left where there is no bar."""
        return Strip.blank(GUTTER, self.styles["base"])

    def bar(self, colour: str, selected: bool) -> Strip:
        """The bar at the left of an entry."""
        if (colour, selected) not in self._bars:
            bar = Segment("█ " if selected else "▎ ", self.styles[colour])
            self._bars[colour, selected] = Strip([bar], GUTTER)
        return self._bars[colour, selected]

    def plain(self, text: str, width: int, style: str = "base") -> list[Strip]:
        """Text as it is, folded at the edge."""
        return self.draw(Text(clean(text), self.styles[style], overflow="fold"), width)

    def markdown(self, source: str, width: int) -> list[Strip]:
        """Markdown, with code highlighted."""
        lines = self.draw(self._markdown(clean(source)), width)
        while lines and not lines[0].text.strip():
            del lines[0]
        while lines and not lines[-1].text.strip():
            lines.pop()
        return lines

    def code(self, text: str, language: str, width: int) -> list[Strip]:
        """Code in a language, highlighted."""
        from rich.syntax import Syntax

        syntax = Syntax(
            clean(text),
            language,
            theme=self.code_theme,
            word_wrap=True,
            background_color="default",
        )
        return self.draw(syntax, width)

    def diff(self, text: str, width: int) -> list[Strip]:
        """A diff, or any other text, with added and removed lines in their colours."""
        lines = []
        for line in clean(text).split("\n"):
            name = {"+": "success", "-": "error", "@": "accent"}.get(line[:1], "base")
            lines.append(Text(line, self.styles[name], overflow="fold"))
        return [strip for line in lines for strip in self.draw(line, width)]

    def draw(self, renderable: RenderableType, width: int) -> list[Strip]:
        """Anything that Rich can lay out; nothing in it commands the terminal."""
        options = self.console.options.update(width=max(1, min(width, WIDEST)), height=None)
        base = self.styles["base"]
        lines = self.console.render_lines(renderable, options, style=base, pad=False)
        return [Strip([_safe(segment, base) for segment in line]) for line in lines]

    def _over(self, name: str) -> Style:
        """A style without its background, so that it can stand on any."""
        style = self.styles[name]
        return Style(color=style.color, bold=style.bold, italic=style.italic, dim=style.dim)

    def _markdown(self, source: str) -> Markdown:
        from .markdown import Said

        return Said(source, self.code_theme)


def _safe(segment: Segment, base: Style) -> Segment:
    """The segment without what an entity or a library has slipped in, on our background."""
    text, style, _ = segment
    if not text.isprintable():
        text = printable(text).replace("\n", " ").replace("\t", " ")
    if style is not None and (style.bgcolor is None or style.bgcolor.is_default):
        style = style + Style(bgcolor=base.bgcolor)
    return Segment(text, style)
