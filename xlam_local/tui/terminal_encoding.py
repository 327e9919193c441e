"""Terminals that do not know UTF-8: what they are shown, and what is typed in them."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from io import TextIOWrapper

from rich.cells import cell_len

DRAWN = {
    "|": "│┃▎▏▕▌▐▍▋▊▉┆┊║",
    "-": "─━▔╌┄═\N{EN DASH}\N{EM DASH}·",
    "_": "▁▂▃",
    "=": "▄▅",
    "#": "█▇▆▓",
    "%": "▒",
    ".": "░…",
    "+": "┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛╔╗╚╝✓",
    "*": "●•★",
    "o": "◌○",
    "x": "✗\N{MULTIPLICATION SIGN}",
    "<": "←◀",
    ">": "→▶",
    "^": "↑▲",
    "v": "↓▼",
    '"': "“”„",
    "'": "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}",
}
"""What lines, marks and bars are drawn with instead."""
LIKE = {letter: plain for plain, letters in DRAWN.items() for letter in letters}
COERCED = "C.UTF-8"
"""What Python puts in the place of the locale C before it starts."""


def charset(environment: Mapping[str, str]) -> str:
    """What the user's locale says that the terminal shows, where that is not UTF-8."""
    kind, other = environment.get("LC_CTYPE", ""), environment.get("LANG", "")
    if kind == COERCED and other:
        kind = ""
    told = environment.get("LC_ALL") or kind or other
    return "" if "utf8" in told.casefold().replace("-", "") else told


def drawn(error: UnicodeError) -> tuple[str, int]:
    """ASCII as wide as what cannot be written."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(map(_like, letters)), error.end


def _like(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[:1]
    width = cell_len(letter)
    return LIKE.get(letter) or (base if base.isascii() and width == 1 else "?" * width)


def settle(environment: Mapping[str, str] = os.environ) -> str:
    """Be ready for a terminal without UTF-8; a sentence for the user where this is one."""
    from textual.drivers import linux_driver

    # Textual reads keys strictly, and a byte that is no UTF-8 would end the app.
    linux_driver.getincrementaldecoder = _lenient  # type: ignore[assignment, attr-defined]
    if not (told := charset(environment)) or not isinstance(sys.__stderr__, TextIOWrapper):
        return ""
    codecs.register_error("drawn", drawn)
    # This is where Textual writes.
    sys.__stderr__.reconfigure(encoding="ascii", errors="drawn")
    return (
        f"The locale ({told}) has no UTF-8, so all but ASCII is shown by what is like it; "
        "where the terminal shows UTF-8, LC_ALL=C.UTF-8 tells so."
    )


def _lenient(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(encoding), "replace")
