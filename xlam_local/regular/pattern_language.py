"""The language of a pattern: the strings that contain a match, as a regular node.

Each part of a pattern is combined with the node of everything that may follow it (`rest`), so an
assertion becomes a condition on the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from .characters import ANY, Chars, intersect, negate
from .ecma_regex import (
    REGULAR_NODES,
    WORD,
    LookAhead,
    PatternError,
    Regex,
    RegexAlt,
    RegexRepeat,
    RegexSeq,
    TextEnd,
    TextStart,
    WordBoundary,
    parse_pattern,
)
from .nfa import matches
from .nodes import (
    ANYTHING,
    EMPTY,
    NOTHING,
    Alt,
    Literal,
    Node,
    Repeat,
    Seq,
    alt,
    complement,
    intersection,
    repeat,
    seq,
)

MAX_EXPANDED_CHARS = 20_000
"""Characters of a pattern after its repetitions are expanded."""

AT_START, AFTER_WORD, AFTER_OTHER, ANYWHERE = (
    "the start",
    "after a word character",
    "after another character",
    "anywhere",
)


@lru_cache(maxsize=1024)
def pattern_language(pattern: str) -> Node:
    """Return the node of all strings in which the pattern is found.

    Raises:
        PatternError: the pattern is not valid or cannot be enforced exactly.
    """
    tree = parse_pattern(pattern)
    if expanded_size(tree) > MAX_EXPANDED_CHARS:
        raise PatternError(f"Pattern {pattern!r} is too large to be enforced exactly.")
    choices = tree.choices if isinstance(tree, RegexAlt) else (tree,)
    simple = [each for each in choices if isinstance(each, REGULAR_NODES)]
    if any(matches(each, "") for each in simple):
        return ANYTHING
    found = [seq(ANYTHING, alt(*simple), ANYTHING)] if simple else []
    for each in choices:
        if not isinstance(each, REGULAR_NODES):
            found += _match_anywhere(each)
    return alt(*found)


def _match_anywhere(tree: Regex) -> list[Node]:
    """Return the texts in which the tree matches at any position."""
    if _is_anchored(tree):
        return [followed_by(tree, ANYTHING, AT_START)]
    if not _needs_context(tree):
        return [seq(ANYTHING, followed_by(tree, ANYTHING, ANYWHERE))]
    return [
        followed_by(tree, ANYTHING, AT_START),
        seq(ANYTHING, WORD, followed_by(tree, ANYTHING, AFTER_WORD)),
        seq(ANYTHING, negate(WORD), followed_by(tree, ANYTHING, AFTER_OTHER)),
    ]


def _is_anchored(tree: Regex) -> bool:
    """Return whether the tree matches only at the start of a text."""
    match tree:
        case TextStart():
            return True
        case RegexSeq(parts):
            return bool(parts) and _is_anchored(parts[0])
        case RegexAlt(choices):
            return all(map(_is_anchored, choices))
        case _:
            return False


def followed_by(tree: Regex, rest: Node, before: str) -> Node:
    """Return the tree followed by the rest; `before` describes the preceding character."""
    if isinstance(tree, REGULAR_NODES):
        return seq(tree, rest)
    return FOLLOWED_BY[type(tree)](tree, rest, before)


def _start(tree: TextStart, rest: Node, before: str) -> Node:
    if before == ANYWHERE:
        raise PatternError("Pattern: `^` is not supported here.")
    return rest if before == AT_START else NOTHING


def _end(tree: TextEnd, rest: Node, before: str) -> Node:
    return EMPTY if rest in (ANYTHING, EMPTY) else intersection(rest, EMPTY)


def _ahead(tree: LookAhead, rest: Node, before: str) -> Node:
    found = followed_by(tree.inner, ANYTHING, before)
    return intersection(rest, found if tree.positive else complement(found))


def _boundary(tree: WordBoundary, rest: Node, before: str) -> Node:
    if before == ANYWHERE:
        raise PatternError("Pattern: `\\b` is not supported here.")
    word = seq(WORD, ANYTHING)
    return intersection(rest, word if (before != AFTER_WORD) == tree.positive else complement(word))


def _chain(tree: RegexSeq, rest: Node, before: str) -> Node:
    if not tree.parts:
        return rest
    head, tail = tree.parts[0], RegexSeq(tree.parts[1:])
    if isinstance(head, REGULAR_NODES) and _needs_context(tail):
        return alt(
            *(
                seq(part, followed_by(tail, rest, after))
                for part, after in _split_by_last_char(head, before)
            )
        )
    after = _context_after(head, before)
    return followed_by(head, followed_by(tail, rest, after), before)


def _context_after(head: Regex, before: str) -> str:
    """Return what precedes the parts after the first one."""
    return before if isinstance(head, TextStart | TextEnd | WordBoundary | LookAhead) else ANYWHERE


def _split_by_last_char(head: Node, before: str) -> list[tuple[Node, str]]:
    """Split a node by whether its last character is a word character."""
    match head:
        case Literal(text):
            return [(head, AFTER_WORD if intersect(WORD, _last(text)).ranges else AFTER_OTHER)]
        case Chars():
            inside, outside = intersect(head, WORD), intersect(head, negate(WORD))
            parts = [(inside, AFTER_WORD), (outside, AFTER_OTHER)]
            return [(part, after) for part, after in parts if part.ranges]
        case Repeat(Chars() as inner, least, most):
            shorter = repeat(inner, max(least - 1, 0), None if most is None else most - 1)
            nothing = [(EMPTY, before)] if least == 0 else []
            return nothing + [
                (seq(shorter, part), after) for part, after in _split_by_last_char(inner, before)
            ]
        case Alt(choices):
            return [pair for choice in choices for pair in _split_by_last_char(choice, before)]
        case Seq(parts) if parts:
            return [
                (seq(*parts[:-1], part), after)
                for part, after in _split_by_last_char(parts[-1], ANYWHERE)
            ]
        case _:
            return [(head, ANYWHERE)]


def _last(text: str) -> Chars:
    return Chars(((ord(text[-1]), ord(text[-1])),))


def _needs_context(tree: Regex) -> bool:
    """Return whether a tree depends on the character before it."""
    match tree:
        case TextStart() | WordBoundary():
            return True
        case RegexSeq(parts) | RegexAlt(parts):
            return any(map(_needs_context, parts))
        case RegexRepeat(inner) | LookAhead(inner):
            return _needs_context(inner)
        case _:
            return False


def _choice(tree: RegexAlt, rest: Node, before: str) -> Node:
    return alt(*(followed_by(part, rest, before) for part in tree.choices))


def _loop(tree: RegexRepeat, rest: Node, before: str) -> Node:
    """Return a repetition with assertions: unrolled if it is short, or the form `((?!x).)*`."""
    if tree.maximum is not None and tree.maximum <= 4:
        return _unroll(tree, rest, before)
    match tree:
        case RegexRepeat(RegexSeq((LookAhead(inner, False), Chars() as each)), least, None) if (
            rest == EMPTY
        ):
            bad = intersection(followed_by(inner, ANYTHING, ANYWHERE), seq(ANY, ANYTHING))
            return intersection(repeat(each, least), complement(seq(ANYTHING, bad)))
    raise PatternError("Pattern: an assertion inside a repetition is not supported.")


def _unroll(tree: RegexRepeat, rest: Node, before: str) -> Node:
    """Return a repetition unrolled, built from the last iteration."""
    done, most = rest, tree.maximum or 0
    for number in range(most):
        again = followed_by(tree.inner, done, before if number == most - 1 else ANYWHERE)
        done = alt(again, rest) if number < most - tree.minimum else again
    return done


FOLLOWED_BY: dict[type, Callable[..., Node]] = {
    TextStart: _start,
    TextEnd: _end,
    LookAhead: _ahead,
    WordBoundary: _boundary,
    RegexSeq: _chain,
    RegexAlt: _choice,
    RegexRepeat: _loop,
}


def expanded_size(tree: Regex) -> int:
    """Return the number of characters in a tree with its repetitions expanded."""
    match tree:
        case Literal(text):
            return len(text)
        case Seq(parts) | Alt(parts) | RegexSeq(parts) | RegexAlt(parts):
            return sum(map(expanded_size, parts))
        case Repeat(inner, least, most) | RegexRepeat(inner, least, most):
            return expanded_size(inner) * max(least, most or 0, 1)
        case LookAhead(inner):
            return expanded_size(inner)
        case _:
            return 1
