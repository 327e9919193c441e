"""The project's Markdown pages, and what their code blocks contain."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page whose info string is exactly `language`.

    A block with more words after the language, as in "python no-run", is left out.
    """
    pattern = rf"^```{re.escape(language)}\n(.*?)^```$"
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def table_rows(page: Path, first_header: str) -> list[list[str]]:
    """Return the cells of the table on a page whose first header cell is `first_header`."""
    text = page.read_text(encoding="utf-8")
    (table,) = re.findall(
        rf"^\| {re.escape(first_header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def names_in(cell: str) -> list[str]:
    """Return the names in backticks of a table cell."""
    return re.findall(r"`(\w+)`", cell)
