"""Deterministic automata over characters: matching, complement, the smallest of its kind."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .nodes import LAST, SURROGATES, Chars, Range, union

END = LAST + 1


class TooLarge(Exception):
    """An automaton would have more states than the limit."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A deterministic automaton; state 0 is the start, -1 the way into nothing."""

    edges: tuple[int, ...]
    """Where each class of characters begins; the first begins at 0."""
    moves: tuple[tuple[int, ...], ...]
    """For each state, the next state by class."""
    final: frozenset[int]

    def matches(self, text: str) -> bool:
        """Whether the text is one that the automaton accepts."""
        state = 0
        for char in text:
            state = self.moves[state][bisect_right(self.edges, ord(char)) - 1] if state >= 0 else -1
        return state in self.final

    def steps(self, state: int) -> Iterator[tuple[int, Chars]]:
        """Each next state, with the characters that lead to it."""
        ranges: dict[int, list[Range]] = {}
        bounds = zip(self.edges, (*self.edges[1:], END), strict=True)
        for to, (first, after) in zip(self.moves[state], bounds, strict=True):
            if to >= 0:
                ranges.setdefault(to, []).append((first, after - 1))
        for to, found in ranges.items():
            yield to, union(found)


def complement(inner: Automaton) -> Automaton:
    """The automaton of every text that the other one does not accept."""
    sink = len(inner.moves)
    legal = [_legal(edge) for edge in inner.edges]
    rows = [
        tuple((to if to >= 0 else sink) if ok else -1 for to, ok in zip(row, legal, strict=True))
        for row in (*inner.moves, (-1,) * len(legal))
    ]
    return trimmed(inner.edges, rows, set(range(sink + 1)) - inner.final)


def trimmed(
    edges: tuple[int, ...], moves: Sequence[Sequence[int]], final: Iterable[int]
) -> Automaton:
    """The smallest automaton that accepts the same."""
    final = frozenset(final)
    alive = _alive(moves, final)
    block = _blocks(moves, final, alive)
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
    return Automaton(edges, tuple(rows), finals)


def _legal(edge: int) -> bool:
    return edge < END and not SURROGATES[0] <= edge <= SURROGATES[1]


def _alive(moves: Sequence[Sequence[int]], final: frozenset[int]) -> set[int]:
    """The states from which a final one can be reached."""
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
) -> Mapping[int, int]:
    """For each state the number of its block of states that behave alike."""
    columns = dict.fromkeys(zip(*moves, strict=True))
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(moves)
    # A move into nothing has the index -1, so the block of nothing stands last.
    block = [int(state in final) if state in alive else -1 for state in range(len(moves))] + [-1]
    states, count = sorted(alive), 0
    while len(set(block)) != count:
        count = len(set(block))
        keys = {state: (block[state], *[block[to] for to in rows[state]]) for state in states}
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys.values()))}
        for state, key in keys.items():
            block[state] = numbers[key]
    return dict(enumerate(block[:-1])) if block[0] >= 0 else {**dict(enumerate(block)), 0: -2}
