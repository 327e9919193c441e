"""Markdown with headings at the left edge, code without a frame, and links as text."""

from __future__ import annotations

from typing import ClassVar

from rich import markdown
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.syntax import Syntax


class LeftAlignedHeading(markdown.Heading):
    """A heading at the left edge."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class PlainCodeBlock(markdown.CodeBlock):
    """Highlighted code, indented by two columns."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the code."""
        yield Syntax(
            str(self.text).rstrip("\n"),
            self.lexer_name,
            theme=self.theme,
            word_wrap=True,
            padding=(0, 2),
            background_color="default",
        )


class SafeMarkdown(markdown.Markdown):
    """Markdown whose links show their address and cannot be clicked."""

    elements: ClassVar[dict[str, type[markdown.MarkdownElement]]] = {
        **markdown.Markdown.elements,
        "heading_open": LeftAlignedHeading,
        "fence": PlainCodeBlock,
        "code_block": PlainCodeBlock,
    }

    def __init__(self, source: str, code_theme: str) -> None:
        super().__init__(source, code_theme=code_theme, hyperlinks=False)
