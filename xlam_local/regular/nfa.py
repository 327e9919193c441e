"""From regular nodes to automata, by way of nondeterministic ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from .automaton import END, Automaton, TooLarge, complement, trimmed
from .nodes import (
    SURROGATES,
    Alt,
    And,
    Chars,
    Lit,
    Machine,
    Node,
    Not,
    Quoted,
    Repeat,
    Seq,
    Token,
    children,
)

Fragment = tuple[int, int]
Key = TypeVar("Key", bound=Hashable)


LIMIT = 1500
"""States that an automaton may have before it is the smallest one."""
SIZE = 20_000
"""States that its nondeterministic beginnings may have."""


@lru_cache(maxsize=4096)
def automaton(node: Node, limit: int = LIMIT) -> Automaton:
    """The automaton of a regular node."""
    return _Builder(tuple(sorted(_edges(node))), limit).automaton(node)


def matches(node: Node, text: str) -> bool:
    """Whether a regular node matches the whole text."""
    match node:
        case And(parts):
            return all(matches(part, text) for part in parts)
        case Not(inner):
            return not matches(inner, text)
        case Alt(choices):
            return any(matches(choice, text) for choice in choices)
        case Lit(literal):
            return literal == text
    return _simulated(node).accepts(text)


@lru_cache(maxsize=512)
def _simulated(node: Node) -> _Simulation:
    return _Simulation(node)


@lru_cache(maxsize=4096)
def empty(node: Node) -> bool:
    """Whether there is no text that a regular node matches."""
    parts = node.parts if isinstance(node, And) else (node,)
    edges = tuple(sorted(_edges(node)))
    return not _Builder(edges, LIMIT).meet([automaton(part) for part in parts])


def _edges(node: Node) -> set[int]:
    """The code points where some class of the node begins or ends."""
    edges, todo = {0, SURROGATES[0], SURROGATES[1] + 1, END}, [node]
    while todo:
        match todo.pop():
            case Lit(text):
                edges.update(edge for char in text for edge in (ord(char), ord(char) + 1))
            case Chars(ranges):
                edges.update(edge for first, last in ranges for edge in (first, last + 1))
            case Machine(inner):
                edges.update(inner.edges)
            case other:
                todo.extend(children(other))
    return edges


class _Builder:
    """States of a nondeterministic automaton, in which every node becomes a fragment."""

    def __init__(self, edges: tuple[int, ...], limit: int) -> None:
        self.edges = edges
        self.limit = limit
        self.empty_moves: list[list[int]] = []
        self.moves: list[list[tuple[range, int]]] = []

    def automaton(self, node: Node) -> Automaton:
        start, end = self.fragment(node)
        return trimmed(self.edges, *self.determinized(start, end))

    def state(self) -> int:
        if len(self.moves) > SIZE:
            raise TooLarge
        self.empty_moves.append([])
        self.moves.append([])
        return len(self.moves) - 1

    def fragment(self, node: Node) -> Fragment:
        """The states for a node, from its start to its end."""
        if type(node) not in FRAGMENTS:
            raise TypeError("A reference to a rule is not regular.")
        return FRAGMENTS[type(node)](self, node)

    def literal(self, node: Lit) -> Fragment:
        return self.chain([self.chars(((ord(char), ord(char)),)) for char in node.text])

    def members(self, node: Chars) -> Fragment:
        return self.chars(node.ranges)

    def sequence(self, node: Seq) -> Fragment:
        return self.chain([self.fragment(part) for part in node.parts])

    def alternatives(self, node: Alt) -> Fragment:
        return self.fork([self.fragment(choice) for choice in node.choices])

    def repetition(self, node: Repeat) -> Fragment:
        return self.repeated(node.node, node.least, node.most)

    def intersection(self, node: And) -> Fragment:
        return self.embedded(self.product([self.alone(part) for part in node.parts]))

    def negation(self, node: Not) -> Fragment:
        return self.embedded(complement(self.alone(node.node)))

    def token(self, node: Token | Quoted) -> Fragment:
        return self.fragment(node.node)

    def machine(self, node: Machine) -> Fragment:
        return self.embedded(self.aligned(node.automaton))

    def chars(self, ranges: Sequence[tuple[int, int]]) -> Fragment:
        start, end = self.state(), self.state()
        for first, last in ranges:
            low, high = bisect_right(self.edges, first) - 1, bisect_right(self.edges, last)
            self.moves[start].append((range(low, high), end))
        return start, end

    def chain(self, fragments: Sequence[Fragment]) -> Fragment:
        start = end = self.state()
        for first, last in fragments:
            self.empty_moves[end].append(first)
            end = last
        return start, end

    def fork(self, fragments: Sequence[Fragment]) -> Fragment:
        start, end = self.state(), self.state()
        for first, last in fragments:
            self.empty_moves[start].append(first)
            self.empty_moves[last].append(end)
        return start, end

    def repeated(self, node: Node, least: int, most: int | None) -> Fragment:
        copies = [self.fragment(node) for _ in range(least)]
        if most is None:
            copies.append(self.loop(node))
            return self.chain(copies)
        start, end = self.chain(copies)
        stop = self.state()
        for _ in range(most - least):
            first, last = self.fragment(node)
            self.empty_moves[end] += [first, stop]
            end = last
        self.empty_moves[end].append(stop)
        return start, stop

    def loop(self, node: Node) -> Fragment:
        hub = self.state()
        first, last = self.fragment(node)
        self.empty_moves[hub].append(first)
        self.empty_moves[last].append(hub)
        return hub, hub

    def alone(self, node: Node) -> Automaton:
        """The automaton of a node by itself, which may be known already."""
        return self.aligned(automaton(node, self.limit))

    def embedded(self, inner: Automaton) -> Fragment:
        states = [self.state() for _ in inner.moves]
        start, end = self.state(), self.state()
        self.empty_moves[start].append(states[0])
        for state, moves in zip(states, inner.moves, strict=True):
            self.moves[state] = [
                (range(cls, cls + 1), states[to]) for cls, to in enumerate(moves) if to >= 0
            ]
        for final in inner.final:
            self.empty_moves[states[final]].append(end)
        return start, end

    def aligned(self, inner: Automaton) -> Automaton:
        """The automaton over this one's classes of characters."""
        classes = [bisect_right(inner.edges, edge) - 1 for edge in self.edges]
        rows = tuple(tuple(row[cls] for cls in classes) for row in inner.moves)
        return Automaton(self.edges, rows, inner.final)

    def meet(self, automata: Sequence[Automaton]) -> bool:
        """Whether there is a text that all automata accept."""
        start = (0,) * len(automata)
        rows = [self.aligned(each).moves for each in automata]
        seen, todo = {start}, [start]
        while todo:
            key = todo.pop()
            if all(state in each.final for each, state in zip(automata, key, strict=True)):
                return True
            steps = set(
                zip(*(row[state] for row, state in zip(rows, key, strict=True)), strict=True)
            )
            new = {to for to in steps if -1 not in to} - seen
            seen |= new
            todo.extend(new)
            if len(seen) > self.limit:
                raise TooLarge
        return False

    def product(self, automata: Sequence[Automaton]) -> Automaton:
        """The automaton of texts that all others accept."""
        rows = [each.moves for each in automata]

        def step(key: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            there = zip(*(row[state] for row, state in zip(rows, key, strict=True)), strict=True)
            return [None if -1 in to else to for to in there]

        keys, moves = self.explored((0,) * len(automata), step)
        finals = [each.final for each in automata]
        final = {
            number
            for key, number in keys.items()
            if all(state in each for each, state in zip(finals, key, strict=True))
        }
        return trimmed(self.edges, moves, final)

    def determinized(self, start: int, end: int) -> tuple[list[list[int]], set[int]]:
        """Sets of states as single ones."""
        known: dict[frozenset[int], tuple[int, ...]] = {}

        def step(key: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            found: list[tuple[int, ...] | None] = [None] * len(self.edges)
            for cls, targets in self.table(key).items():
                there = frozenset(targets)
                if there not in known:
                    known[there] = self.closed(there)
                found[cls] = known[there]
            return found

        keys, moves = self.explored(self.closed({start}), step)
        return moves, {number for key, number in keys.items() if end in key}

    def table(self, key: tuple[int, ...]) -> dict[int, set[int]]:
        table: dict[int, set[int]] = {}
        for state in key:
            for classes, to in self.moves[state]:
                for cls in classes:
                    table.setdefault(cls, set()).add(to)
        return table

    def closed(self, states: Iterable[int]) -> tuple[int, ...]:
        seen, todo = set(states), list(states)
        while todo:
            for to in self.empty_moves[todo.pop()]:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return tuple(sorted(seen))

    def explored(
        self, start: Key, step: Callable[[Key], Sequence[Key | None]]
    ) -> tuple[dict[Key, int], list[list[int]]]:
        """Every state that can be reached, with its moves by class of characters."""
        keys = {start: 0}
        moves: list[list[int]] = []
        queue = [start]
        for key in queue:
            row = []
            for to in step(key):
                if to is not None and to not in keys:
                    if len(keys) >= self.limit:
                        raise TooLarge
                    keys[to] = len(keys)
                    queue.append(to)
                row.append(-1 if to is None else keys[to])
            moves.append(row)
        return keys, moves


class _Simulation(_Builder):
    """A node's states, followed along a text without making them deterministic first."""

    def __init__(self, node: Node) -> None:
        super().__init__(tuple(sorted(_edges(node))), LIMIT)
        start, self.end = self.fragment(node)
        self.start = self.closed({start})
        self.steps: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}

    def accepts(self, text: str) -> bool:
        """Whether the node matches the text."""
        states = self.start
        for char in text:
            cls = bisect_right(self.edges, ord(char)) - 1
            key = (states, cls)
            if key not in self.steps:
                self.steps[key] = self.closed(self.table(states).get(cls, set()))
            states = self.steps[key]
        return self.end in states


FRAGMENTS: dict[type, Callable[[_Builder, Any], Fragment]] = {
    Lit: _Builder.literal,
    Chars: _Builder.members,
    Seq: _Builder.sequence,
    Alt: _Builder.alternatives,
    Repeat: _Builder.repetition,
    And: _Builder.intersection,
    Not: _Builder.negation,
    Token: _Builder.token,
    Quoted: _Builder.token,
    Machine: _Builder.machine,
}
