"""Render text, Markdown, code and diffs as lines of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme
from textual.strip import Strip

from ...terminal_text import escape_control

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = ("base", "muted", "strong", "accent", "primary", "success", "warning", "error", "code")
MARKDOWN_STYLES = {
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
DIFF_STYLES = {"+": "success", "-": "error", "@": "accent"}
"""The style of a line of a diff by its first character."""
GUTTER_COLUMNS = 2
"""Columns of the bar at the left of an entry."""
BOLD = Style(bold=True)
MAX_COLUMNS = 400
"""Columns of a table or a line of code, also in a wider terminal."""


def safe_text(text: str) -> str:
    """Escape control characters and expand tabs, so that each character has its known width."""
    return escape_control(text).expandtabs(4)


def cut_middle(text: str, columns: int) -> str:
    """Return text for a number of columns; what does not fit is cut out of its middle."""
    text = safe_text(text)
    if cell_len(text) <= columns:
        return text
    tail = columns // 2
    while cell_len(text[-tail:]) > columns // 2:
        tail -= 1
    end = text[-tail:] if tail else ""
    return f"{set_cell_size(text, columns - 1 - cell_len(end))}…{end}"


def preload_markdown() -> None:
    """Import what renders Markdown; takes 0.1 s that the first answer would wait for."""
    from . import markdown_theme  # noqa: F401


class LineRenderer:
    """Renders in the colors of a theme."""

    def __init__(self, styles: Mapping[str, Style], code_theme: str) -> None:
        self.styles = styles
        """A style for each name of STYLES."""
        self.code_theme = code_theme
        """The Pygments style of highlighted code."""
        self._bars: dict[tuple[str, bool], Strip] = {}

    @cached_property
    def console(self) -> Console:
        """The Rich console that lays out text."""
        bold = {f"markdown.h{n}": BOLD for n in range(1, 7)}
        styles = {
            f"markdown.{name}": self._without_background(style)
            + bold.get(f"markdown.{name}", Style())
            for name, style in MARKDOWN_STYLES.items()
        }
        return Console(
            theme=Theme(styles),
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
        """The left margin of lines without a bar."""
        return Strip.blank(GUTTER_COLUMNS, self.styles["base"])

    def bar(self, color: str, selected: bool) -> Strip:
        """Return the bar at the left of an entry."""
        if (color, selected) not in self._bars:
            bar = Segment("█ " if selected else "▎ ", self.styles[color])
            self._bars[color, selected] = Strip([bar], GUTTER_COLUMNS)
        return self._bars[color, selected]

    def plain(self, text: str, width: int, style: str = "base") -> list[Strip]:
        """Render text, wrapped at the right edge."""
        return self.render(Text(safe_text(text), self.styles[style], overflow="fold"), width)

    def markdown(self, source: str, width: int) -> list[Strip]:
        """Render Markdown with highlighted code, without empty lines around it."""
        # The start of the app does not need the Markdown parser and Pygments (0.1 s).
        from .markdown_theme import SafeMarkdown

        lines = self.render(SafeMarkdown(safe_text(source), self.code_theme), width)
        while lines and not lines[0].text.strip():
            del lines[0]
        while lines and not lines[-1].text.strip():
            lines.pop()
        return lines

    def code(self, text: str, language: str, width: int) -> list[Strip]:
        """Render highlighted code."""
        from rich.syntax import Syntax

        syntax = Syntax(
            safe_text(text),
            language,
            theme=self.code_theme,
            word_wrap=True,
            background_color="default",
        )
        return self.render(syntax, width)

    def diff(self, text: str, width: int) -> list[Strip]:
        """Render a diff with colored lines."""
        lines = [
            Text(line, self.styles[DIFF_STYLES.get(line[:1], "base")], overflow="fold")
            for line in safe_text(text).split("\n")
        ]
        return [strip for line in lines for strip in self.render(line, width)]

    def render(self, renderable: RenderableType, width: int) -> list[Strip]:
        """Render anything that Rich can lay out, without control characters."""
        options = self.console.options.update(width=max(1, min(width, MAX_COLUMNS)), height=None)
        base = self.styles["base"]
        lines = self.console.render_lines(renderable, options, style=base, pad=False)
        return [Strip([_safe_segment(segment, base) for segment in line]) for line in lines]

    def _without_background(self, name: str) -> Style:
        style = self.styles[name]
        return Style(color=style.color, bold=style.bold, italic=style.italic, dim=style.dim)


def _safe_segment(segment: Segment, base: Style) -> Segment:
    """Return the segment on the base style's background, without control codes.

    HTML entities in Markdown become control characters only after `safe_text`.
    """
    text, style, _ = segment
    if not text.isprintable():
        text = escape_control(text).replace("\n", " ").replace("\t", " ")
    if style is not None and (style.bgcolor is None or style.bgcolor.is_default):
        style = style + Style(bgcolor=base.bgcolor)
    return Segment(text, style)
