"""Deterministic finite automata (DFA) over characters: matching, complement, minimization."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .characters import MAX_CODE_POINT, SURROGATES, Chars, Range, union


class TooLarge(Exception):
    """An automaton would exceed the limit on its states."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Classes of characters: an automaton treats the characters of one class alike.

    Few classes suffice for patterns with thousands of ranges, such as `\\p{L}`.
    """

    edges: tuple[int, ...]
    """The first code point of each interval; the first interval begins at 0."""
    classes: tuple[int, ...]
    """The class of each interval, numbered in the order of their first intervals."""

    @property
    def first_characters(self) -> tuple[int, ...]:
        """The first code point of each class."""
        found: dict[int, int] = {}
        for edge, number in zip(self.edges, self.classes, strict=True):
            found.setdefault(number, edge)
        return tuple(found.values())

    def classes_within(self, ranges: Iterable[Range]) -> tuple[int, ...]:
        """Return the classes of the characters in some ranges, which distinguish all of them."""
        found: set[int] = set()
        for first, last in ranges:
            start, end = bisect_right(self.edges, first) - 1, bisect_right(self.edges, last)
            found.update(self.classes[start:end])
        return tuple(sorted(found))

    def class_of(self, code: int) -> int:
        """Return the class of a code point."""
        return self.classes[bisect_right(self.edges, code) - 1]


@lru_cache(maxsize=64)
def class_members(alphabet: Alphabet) -> tuple[Chars, ...]:
    """Return the characters of each class."""
    ranges: dict[int, list[Range]] = {}
    after_edges = (*alphabet.edges[1:], MAX_CODE_POINT + 1)
    for number, first, after in zip(alphabet.classes, alphabet.edges, after_edges, strict=True):
        ranges.setdefault(number, []).append((first, after - 1))
    return tuple(map(union, ranges.values()))


def alphabet_of(ranges: Iterable[Iterable[Range]]) -> Alphabet:
    """Return the classes that these sets of ranges distinguish; surrogates are a class too."""
    flips: dict[int, int] = {0: 0}
    for number, spans in enumerate(((SURROGATES,), *ranges)):
        for first, last in spans:
            flips[first] = flips.get(first, 0) ^ (1 << number)
            flips[last + 1] = flips.get(last + 1, 0) ^ (1 << number)
    flips.pop(MAX_CODE_POINT + 1, None)
    edges = tuple(sorted(flips))
    numbers: dict[int, int] = {}
    classes = []
    members = 0
    for edge in edges:
        members ^= flips[edge]
        classes.append(numbers.setdefault(members, len(numbers)))
    return Alphabet(edges, tuple(classes))


@dataclass(frozen=True, slots=True)
class DFA:
    """A deterministic automaton. State 0 is the start; a move to -1 rejects the text."""

    alphabet: Alphabet
    moves: tuple[tuple[int, ...], ...]
    """For each state, the next state by class of characters."""
    final: frozenset[int]

    def matches(self, text: str) -> bool:
        """Return whether the automaton accepts the text."""
        state = 0
        for char in text:
            state = self.moves[state][self.alphabet.class_of(ord(char))] if state >= 0 else -1
        return state in self.final

    def steps(self, state: int) -> Iterator[tuple[int, Chars]]:
        """Yield each next state with the characters that lead to it."""
        ranges: dict[int, list[Range]] = {}
        for to, chars in zip(self.moves[state], class_members(self.alphabet), strict=True):
            if to >= 0:
                ranges.setdefault(to, []).extend(chars.ranges)
        for to, found in ranges.items():
            yield to, union(found)


def complement(inner: DFA) -> DFA:
    """Return the automaton that accepts exactly the texts that `inner` rejects."""
    sink = len(inner.moves)
    legal = [not is_surrogate(code) for code in inner.alphabet.first_characters]
    rows = [
        tuple((to if to >= 0 else sink) if ok else -1 for to, ok in zip(row, legal, strict=True))
        for row in (*inner.moves, (-1,) * len(legal))
    ]
    return minimize(inner.alphabet, rows, set(range(sink + 1)) - inner.final)


def minimize(alphabet: Alphabet, moves: Sequence[Sequence[int]], final: Iterable[int]) -> DFA:
    """Return the smallest automaton that accepts the same texts."""
    final = frozenset(final)
    alive = _alive(moves, final)
    block = {0: -1} | _blocks(moves, final & alive, alive)
    order: dict[int, int] = {}
    rows: list[tuple[int, ...]] = []
    queue = [0]
    order[block[0]] = 0
    for state in queue:
        for to in moves[state]:
            if to >= 0 and to in alive and block[to] not in order:
                order[block[to]] = len(order)
                queue.append(to)
        rows.append(
            tuple(order[block[to]] if to >= 0 and to in alive else -1 for to in moves[state])
        )
    finals = frozenset(number for number, state in enumerate(queue) if state in final)
    return DFA(alphabet, tuple(rows), finals)


def is_surrogate(code: int) -> bool:
    """Return whether a code point is a surrogate, which no text contains."""
    return SURROGATES[0] <= code <= SURROGATES[1]


def _alive(moves: Sequence[Sequence[int]], final: frozenset[int]) -> set[int]:
    """Return the states from which a final state can be reached."""
    into: dict[int, set[int]] = {}
    for state, row in enumerate(moves):
        for to in row:
            into.setdefault(to, set()).add(state)
    alive, todo = set(final), list(final)
    while todo:
        new = into.get(todo.pop(), set()) - alive
        alive |= new
        todo.extend(new)
    return alive


def _blocks(
    moves: Sequence[Sequence[int]], final: frozenset[int], alive: set[int]
) -> dict[int, int]:
    """Return the number of each living state's block; the states of a block are equivalent.

    This is Hopcroft's algorithm. Rejection is a block of its own, which need not split others.
    """
    sources = _sources(moves, alive)
    blocks = [found for found in (set(final), alive - final) if found]
    block_of = {state: number for number, block in enumerate(blocks) for state in block}
    waiting = set(range(len(blocks)))
    while waiting:
        splitter = tuple(blocks[waiting.pop()])
        for into in sources:
            reached: dict[int, set[int]] = {}
            for state in splitter:
                for source in into.get(state, ()):
                    reached.setdefault(block_of[source], set()).add(source)
            for number, inside in reached.items():
                if len(inside) < len(blocks[number]):
                    blocks[number] -= inside
                    block_of.update(dict.fromkeys(inside, len(blocks)))
                    smaller = number if len(blocks[number]) < len(inside) else len(blocks)
                    waiting.add(len(blocks) if number in waiting else smaller)
                    blocks.append(inside)
    return block_of


def _sources(moves: Sequence[Sequence[int]], alive: set[int]) -> list[dict[int, list[int]]]:
    """Return the living states that lead to each living state, for each class of characters."""
    sources: list[dict[int, list[int]]] = []
    for column in dict.fromkeys(zip(*moves, strict=True)):
        into: dict[int, list[int]] = {}
        for state in alive:
            if column[state] in alive:
                into.setdefault(column[state], []).append(state)
        sources.append(into)
    return sources
