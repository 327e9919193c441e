"""Distinguish texts from the special tokens that a chat template writes.

A template returns one string, in which text of a user could pass for special tokens. So each
special token in a text, and each end of a text that a neighbor could complete to one, gets a marker
before the template is rendered. In the result, special tokens without a marker are those that the
template wrote.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from ..types import PromptPart

MARK = "\ufdd0"
"""The marker. Unicode defines U+FDD0 and U+FDD1 as noncharacters; a text with them keeps them."""
LITERAL_MARK = "\ufdd1"
"""Follows a marker that a text contains itself."""
MARKS = re.compile(f"{MARK}{LITERAL_MARK}?")
MAX_TREE_DEPTH = 4
MAX_TOKEN_CHARACTERS = 256
"""The ends of longer tokens are not looked for at the ends of texts."""

Tokens = tuple[str, ...]


def is_markup(token: str) -> bool:
    """Return whether a token looks like a mark of a template: neither a word nor white space."""
    symbols = (not (letter.isalnum() or letter.isspace() or letter == "▁") for letter in token)
    return len(token) > 1 and any(symbols)


def mark(text: str, tokens: Tokens) -> str:
    """Put a marker after the first character of each special token in a text, and at its ends."""
    text = text.replace(MARK, MARK + LITERAL_MARK)
    if not tokens:
        return text
    starts, ends, longest = _partial_tokens(tokens)
    lengths = range(1, min(len(text), longest) + 1)
    before = MARK if any(text[:length] in ends for length in lengths) else ""
    after = MARK if any(text[-length:] in starts for length in lengths) else ""
    return before + _first_characters(tokens).sub(rf"\g<0>{MARK}", text) + after


def unmark(text: str) -> str:
    """Remove the markers that `mark` added."""
    return MARKS.sub(lambda found: "" if found[0] == MARK else MARK, text)


def written(rendered: str, tokens: Tokens) -> set[str]:
    """Return the tokens that a template itself wrote."""
    return set(_whole(tokens).findall(rendered)) if tokens else set()


def split(rendered: str, tokens: Tokens) -> Iterator[PromptPart]:
    """Split a rendered prompt at the special tokens that its template wrote."""
    if not tokens:
        yield PromptPart(unmark(rendered))
        return
    position = 0
    for found in _whole(tokens).finditer(rendered):
        yield from plain_parts(unmark(rendered[position : found.start()]), tokens)
        yield PromptPart(found[0], special=True)
        position = found.end()
    yield from plain_parts(unmark(rendered[position:]), tokens)


def plain_parts(text: str, tokens: Tokens) -> Iterator[PromptPart]:
    """Split a text that contains special tokens after the first character of each.

    The parts must be tokenized separately: llama.cpp reads user-defined tokens in any text.
    """
    position = 0
    for found in _first_characters(tokens).finditer(text):
        yield PromptPart(text[position : found.end()])
        position = found.end()
    if position < len(text):
        yield PromptPart(text[position:])


@lru_cache(maxsize=8)
def _partial_tokens(tokens: Tokens) -> tuple[frozenset[str], frozenset[str], int]:
    """Return the proper beginnings and endings of tokens, and the length of the longest one."""
    short = [token for token in tokens if len(token) <= MAX_TOKEN_CHARACTERS]
    starts = {token[:length] for token in short for length in range(1, len(token))}
    ends = {token[-length:] for token in short for length in range(1, len(token))}
    return frozenset(starts), frozenset(ends), max(map(len, short), default=0)


@lru_cache(maxsize=8)
def _whole(tokens: Tokens) -> re.Pattern[str]:
    """Return a pattern of the tokens; where several match, the longest one does."""
    return re.compile(_tree(tokens, MAX_TREE_DEPTH))


@lru_cache(maxsize=8)
def _first_characters(tokens: Tokens) -> re.Pattern[str]:
    """Return a pattern of the first characters of tokens, also of tokens that overlap."""
    groups = _by_first_character(tokens).items()
    options = (f"{re.escape(first)}(?={_tree(rest, MAX_TREE_DEPTH)})" for first, rest in groups)
    return re.compile("|".join(options))


def _tree(words: Collection[str], depth: int) -> str:
    """Return a regular expression that matches the longest of many words, as a prefix tree.

    Vocabularies can have thousands of special tokens that begin with the same character.
    """
    if depth == 0 or len(words) == 1:
        return f"(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})"
    groups = _by_first_character(words).items()
    options = "|".join(re.escape(first) + _tree(rest, depth - 1) for first, rest in groups)
    return f"(?:{options}){'?' if '' in words else ''}"


def _by_first_character(words: Collection[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for word in words:
        if word:
            groups.setdefault(word[0], []).append(word[1:])
    return groups
