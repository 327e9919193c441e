"""Replace the part of a page between two HTML comments."""

from __future__ import annotations


def with_block(page: str, start: str, text: str, end: str) -> str:
    """Return the page with `text` between the lines `start` and `end`."""
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}{text}{end}{after}"
