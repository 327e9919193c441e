"""How Markdown looks here: headings to the left, code without a frame."""

from __future__ import annotations

from typing import ClassVar

from rich import markdown
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.syntax import Syntax


class Head(markdown.Heading):
    """A heading at the left edge."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class Code(markdown.CodeBlock):
    """Highlighted code, a little to the right."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the code."""
        yield Syntax(
            str(self.text).rstrip("\n"),
            self.lexer_name,
            theme=self.theme,
            word_wrap=True,
            padding=(0, 2),
            background_color="default",
        )


class Said(markdown.Markdown):
    """Markdown whose links show where they lead and cannot be clicked."""

    elements: ClassVar[dict[str, type[markdown.MarkdownElement]]] = {
        **markdown.Markdown.elements,
        "heading_open": Head,
        "fence": Code,
        "code_block": Code,
    }

    def __init__(self, source: str, code_theme: str) -> None:
        super().__init__(source, code_theme=code_theme, hyperlinks=False)
