"""Support terminals without UTF-8: ASCII output, and input that is not valid UTF-8."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from io import TextIOWrapper

from rich.cells import cell_len
from textual.drivers import linux_driver

ASCII_SUBSTITUTES = {
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
"""The ASCII characters that replace box drawing characters, marks and quotes."""
ASCII_FOR = {letter: plain for plain, letters in ASCII_SUBSTITUTES.items() for letter in letters}
COERCED_LOCALE = "C.UTF-8"
"""Python sets LC_CTYPE to this locale if the user's locale is C (PEP 538)."""
FALLBACK_HANDLER = "xlam-local-ascii"
"""The name of `ascii_fallback` among Python's encoding error handlers."""


def non_utf8_locale(environment: Mapping[str, str]) -> str:
    """Return the user's locale for characters if it is not UTF-8, else an empty text."""
    ctype, lang = environment.get("LC_CTYPE", ""), environment.get("LANG", "")
    if ctype == COERCED_LOCALE and lang:
        ctype = ""
    locale = environment.get("LC_ALL") or ctype or lang
    return "" if "utf8" in locale.casefold().replace("-", "") else locale


def ascii_fallback(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that cannot be encoded by ASCII of the same width."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(map(_ascii_for, letters)), error.end


def _ascii_for(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[:1]
    width = cell_len(letter)
    return ASCII_FOR.get(letter) or (base if base.isascii() and width == 1 else "?" * width)


def configure_terminal(environment: Mapping[str, str] = os.environ) -> str:
    """Prepare input and output for the terminal's encoding; return a notice if it is not UTF-8."""
    # Textual decodes keys strictly, and a byte that is not UTF-8 would end the app.
    linux_driver.getincrementaldecoder = _replacing_decoder  # type: ignore[assignment, attr-defined]
    locale = non_utf8_locale(environment)
    if not locale or not isinstance(sys.__stderr__, TextIOWrapper):
        return ""
    codecs.register_error(FALLBACK_HANDLER, ascii_fallback)
    # Textual writes to this stream.
    sys.__stderr__.reconfigure(encoding="ascii", errors=FALLBACK_HANDLER)
    return (
        f"Locale {locale} is not UTF-8; using ASCII fallbacks. "
        "Set LC_ALL=C.UTF-8 if your terminal supports UTF-8."
    )


def _replacing_decoder(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(codecs.getincrementaldecoder(encoding), "replace")
