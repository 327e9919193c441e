"""Warn about hosts that can look like others, such as those with letters of several scripts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from ..ip_addresses import parse_address
from ..types import ToolCall
from .hosts import MAX_HOST_CHARACTERS, host_target
from .targets import strings_in

SINGLE_SCRIPTS = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "LATIN"}),
    frozenset({"CJK", "HANGUL", "LATIN"}),
    frozenset({"CJK", "BOPOMOFO", "LATIN"}),
)
"""Scripts that one language mixes (Unicode Technical Standard 39, "highly restrictive")."""
LIKE_LATIN = {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET"}
"""Scripts with whole words that look like words in Latin letters."""


def host_warnings(call: ToolCall) -> Iterator[str]:
    """Yield a sentence for each host in a call that is not what it looks like.

    Every text without spaces is looked at, so email addresses are, too.
    """
    for text in dict.fromkeys(strings_in(call.arguments)):
        host = host_target(text) if _is_one_word(text) else None
        if host is None:
            continue
        if warning := host_warning(host.name):
            yield warning
        elif not host.certain and any(map(parse_address, host.readings)):
            yield f"{text!r} is a notation of {', '.join(sorted(host.readings))}."


def _is_one_word(text: str) -> bool:
    return "." in text and len(text) <= MAX_HOST_CHARACTERS and not any(map(str.isspace, text))


def host_warning(name: str) -> str:
    """Return what a host in ASCII reads as, with a warning if it can look like another host.

    The warning is empty for a host without letters outside ASCII.
    """
    labels = [_decode(label) for label in name.split(".")]
    shown = ".".join(labels)
    if shown == name:
        return ""
    sentence = f"The host {shown!r} is {name}."
    mixed = [found for label in labels if (found := _scripts(label)) and not _is_single(found)]
    if mixed:
        *first, last = sorted(script.capitalize() for script in mixed[0])
        names = f"{', '.join(first)} and {last}"
        return f"{sentence} It mixes {names} letters, so it can look like another host."
    scripts = frozenset[str]().union(*map(_scripts, labels))
    if like := sorted(scripts & LIKE_LATIN):
        return f"{sentence} {like[0].capitalize()} letters can look like Latin ones."
    return sentence


def _decode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode().decode("punycode")
    except UnicodeError:
        return label


def _scripts(label: str) -> frozenset[str]:
    """Return the scripts of the letters of a label, by the first words of their names."""
    names = (unicodedata.name(char, "UNKNOWN") for char in label if char.isalpha())
    return frozenset(name.split()[0] for name in names)


def _is_single(scripts: frozenset[str]) -> bool:
    return len(scripts) == 1 or any(scripts <= allowed for allowed in SINGLE_SCRIPTS)
