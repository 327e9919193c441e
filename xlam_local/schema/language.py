"""Which whole strings a pattern finds a match in, as a regular node.

A pattern is read against what may follow it: an assertion then is a condition on that rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..gbnf import (
    ANY,
    ANYTHING,
    EMPTY,
    NOTHING,
    Alt,
    Chars,
    Lit,
    Node,
    Repeat,
    Seq,
    alt,
    both,
    common,
    matches,
    negated,
    repeat,
    seq,
    without,
)
from .regex import (
    NODES,
    WORD,
    Ahead,
    Boundary,
    Chain,
    Choice,
    End,
    Loop,
    PatternError,
    Regex,
    Start,
    parse,
)

SIZE = 20_000
"""Characters that a pattern may spell out when its repetitions are written in full."""

BEGIN, IN_WORD, OUTSIDE, SOMEWHERE = (
    "the start",
    "after a word character",
    "after another",
    "somewhere",
)


@lru_cache(maxsize=1024)
def language(pattern: str) -> Node:
    """The strings in which the pattern is found."""
    tree = parse(pattern)
    if size(tree) > SIZE:
        raise PatternError(f"The pattern {pattern!r} is too large to be followed exactly.")
    choices = tree.choices if isinstance(tree, Choice) else (tree,)
    simple = [each for each in choices if isinstance(each, NODES)]
    if any(matches(each, "") for each in simple):
        return ANYTHING
    found = [seq(ANYTHING, alt(*simple), ANYTHING)] if simple else []
    for each in choices:
        if not isinstance(each, NODES):
            found += _anywhere(each)
    return alt(*found)


def _anywhere(tree: Regex) -> list[Node]:
    """Texts in which the tree matches at some place."""
    if _anchored(tree):
        return [followed(tree, ANYTHING, BEGIN)]
    if not _looks_back(tree):
        return [seq(ANYTHING, followed(tree, ANYTHING, SOMEWHERE))]
    return [
        followed(tree, ANYTHING, BEGIN),
        seq(ANYTHING, WORD, followed(tree, ANYTHING, IN_WORD)),
        seq(ANYTHING, negated(WORD), followed(tree, ANYTHING, OUTSIDE)),
    ]


def _anchored(tree: Regex) -> bool:
    """Whether the tree only matches at the start of a text."""
    match tree:
        case Start():
            return True
        case Chain(parts):
            return bool(parts) and _anchored(parts[0])
        case Choice(choices):
            return all(map(_anchored, choices))
        case _:
            return False


def followed(tree: Regex, rest: Node, before: str) -> Node:
    """The tree and then the rest, where `before` says what stands in front."""
    if isinstance(tree, NODES):
        return seq(tree, rest)
    return FOLLOWED[type(tree)](tree, rest, before)


def _start(tree: Start, rest: Node, before: str) -> Node:
    if before == SOMEWHERE:
        raise PatternError("The pattern asks for its start where it may have begun already.")
    return rest if before == BEGIN else NOTHING


def _end(tree: End, rest: Node, before: str) -> Node:
    return EMPTY if rest in (ANYTHING, EMPTY) else both(rest, EMPTY)


def _ahead(tree: Ahead, rest: Node, before: str) -> Node:
    found = followed(tree.inner, ANYTHING, before)
    return both(rest, found if tree.wanted else without(found))


def _boundary(tree: Boundary, rest: Node, before: str) -> Node:
    if before == SOMEWHERE:
        raise PatternError("The pattern asks for a word's edge where it cannot be known.")
    word = seq(WORD, ANYTHING)
    return both(rest, word if (before != IN_WORD) == tree.wanted else without(word))


def _chain(tree: Chain, rest: Node, before: str) -> Node:
    if not tree.parts:
        return rest
    head, tail = tree.parts[0], Chain(tree.parts[1:])
    if isinstance(head, NODES) and _looks_back(tail):
        return alt(
            *(seq(part, followed(tail, rest, after)) for part, after in _split(head, before))
        )
    after = _after(head, before)
    return followed(head, followed(tail, rest, after), before)


def _after(head: Regex, before: str) -> str:
    """What stands in front of whatever comes after the tree's first part."""
    return before if isinstance(head, Start | End | Boundary | Ahead) else SOMEWHERE


def _split(head: Node, before: str) -> list[tuple[Node, str]]:
    """A node by the kind of its last character."""
    match head:
        case Lit(text):
            return [(head, IN_WORD if common(WORD, _last(text)).ranges else OUTSIDE)]
        case Chars():
            inside, outside = common(head, WORD), common(head, negated(WORD))
            parts = [(inside, IN_WORD), (outside, OUTSIDE)]
            return [(part, after) for part, after in parts if part.ranges]
        case Repeat(Chars() as inner, least, most):
            shorter = repeat(inner, max(least - 1, 0), None if most is None else most - 1)
            nothing = [(EMPTY, before)] if least == 0 else []
            return nothing + [(seq(shorter, part), after) for part, after in _split(inner, before)]
        case Alt(choices):
            return [pair for choice in choices for pair in _split(choice, before)]
        case Seq(parts) if parts:
            return [(seq(*parts[:-1], part), after) for part, after in _split(parts[-1], SOMEWHERE)]
        case _:
            return [(head, SOMEWHERE)]


def _last(text: str) -> Chars:
    return Chars(((ord(text[-1]), ord(text[-1])),))


def _looks_back(tree: Regex) -> bool:
    """Whether a tree asks what stands in front of it."""
    match tree:
        case Start() | Boundary():
            return True
        case Chain(parts) | Choice(parts):
            return any(map(_looks_back, parts))
        case Loop(inner) | Ahead(inner):
            return _looks_back(inner)
        case _:
            return False


def _choice(tree: Choice, rest: Node, before: str) -> Node:
    return alt(*(followed(part, rest, before) for part in tree.choices))


def _loop(tree: Loop, rest: Node, before: str) -> Node:
    """A repetition with assertions inside: unrolled where it is short, known where it is famous."""
    if tree.most is not None and tree.most <= 4:
        return _unrolled(tree, rest, before)
    match tree:
        case Loop(Chain((Ahead(inner, False), Chars() as each)), least, None) if rest == EMPTY:
            bad = both(followed(inner, ANYTHING, SOMEWHERE), seq(ANY, ANYTHING))
            return both(repeat(each, least), without(seq(ANYTHING, bad)))
    raise PatternError("The pattern repeats an assertion.")


def _unrolled(tree: Loop, rest: Node, before: str) -> Node:
    """A repetition written out, its last time first."""
    done, most = rest, tree.most or 0
    for number in range(most):
        again = followed(tree.inner, done, before if number == most - 1 else SOMEWHERE)
        done = alt(again, rest) if number < most - tree.least else again
    return done


FOLLOWED: dict[type, Callable[..., Node]] = {
    Start: _start,
    End: _end,
    Ahead: _ahead,
    Boundary: _boundary,
    Chain: _chain,
    Choice: _choice,
    Loop: _loop,
}


def size(tree: Regex) -> int:
    """Characters in a tree, repetitions written in full."""
    match tree:
        case Lit(text):
            return len(text)
        case Seq(parts) | Alt(parts) | Chain(parts) | Choice(parts):
            return sum(map(size, parts))
        case Repeat(inner, least, most) | Loop(inner, least, most):
            return size(inner) * max(least, most or 0, 1)
        case Ahead(inner):
            return size(inner)
        case _:
            return 1
