"""Convert regular nodes to automata through a nondeterministic automaton (NFA)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from ..time_limit import check_time_limit
from .characters import Chars, Range
from .dfa import DFA, Alphabet, TooLarge, alphabet_of, class_members, complement, minimize
from .nodes import Alt, And, AutomatonNode, Literal, Node, Not, Quoted, Repeat, Seq, Token, children

Fragment = tuple[int, int]
Key = TypeVar("Key", bound=Hashable)


MAX_DFA_STATES = 1500
"""States that a DFA may have before it is minimized."""
MAX_NFA_STATES = 20_000
"""States that the NFA may have."""


@lru_cache(maxsize=4096)
def to_dfa(node: Node, max_states: int = MAX_DFA_STATES) -> DFA:
    """Return the minimal DFA of a regular node.

    Raises:
        TooLarge: it has more than `limit` states, or its NFA more than MAX_NFA_STATES.
    """
    return _NfaBuilder(_alphabet(node), max_states).automaton(node)


def matches(node: Node, text: str) -> bool:
    """Return whether a regular node matches the whole text."""
    match node:
        case And(parts):
            return all(matches(part, text) for part in parts)
        case Not(inner):
            return not matches(inner, text)
        case Alt(choices):
            return any(matches(choice, text) for choice in choices)
        case Literal(literal):
            return literal == text
    return _simulation(node).accepts(text)


@lru_cache(maxsize=512)
def _simulation(node: Node) -> _Simulation:
    return _Simulation(node)


@lru_cache(maxsize=4096)
def is_empty(node: Node) -> bool:
    """Return whether a regular node matches no text at all."""
    parts = node.parts if isinstance(node, And) else (node,)
    return not _NfaBuilder(_alphabet(node), MAX_DFA_STATES).have_common_text(
        [to_dfa(part) for part in parts]
    )


def _alphabet(node: Node) -> Alphabet:
    """Return the classes of characters that a node distinguishes."""
    sets: set[tuple[Range, ...]] = set()
    todo = [node]
    while todo:
        match todo.pop():
            case Literal(text):
                sets.update(((ord(char), ord(char)),) for char in text)
            case Chars(ranges):
                sets.add(ranges)
            case AutomatonNode(inner):
                sets.update(chars.ranges for chars in class_members(inner.alphabet))
            case other:
                todo.extend(children(other))
    return alphabet_of(sorted(sets))


class _NfaBuilder:
    """Builds an NFA: each node becomes a fragment with a start and an end state."""

    def __init__(self, alphabet: Alphabet, limit: int) -> None:
        self.alphabet = alphabet
        self.class_count = max(alphabet.classes) + 1
        self.limit = limit
        self.epsilon_moves: list[list[int]] = []
        self.moves: list[list[tuple[Sequence[int], int]]] = []
        self.known_classes: dict[Sequence[Range], Sequence[int]] = {}

    def automaton(self, node: Node) -> DFA:
        start, end = self.fragment(node)
        return minimize(self.alphabet, *self.determinize(start, end))

    def state(self) -> int:
        if len(self.moves) > MAX_NFA_STATES:
            raise TooLarge
        self.epsilon_moves.append([])
        self.moves.append([])
        return len(self.moves) - 1

    def fragment(self, node: Node) -> Fragment:
        """Add the states of a node; return its start and its end."""
        if type(node) not in FRAGMENTS:
            raise TypeError("A reference to a grammar rule is not regular.")
        return FRAGMENTS[type(node)](self, node)

    def literal(self, node: Literal) -> Fragment:
        return self.chain([self.chars(((ord(char), ord(char)),)) for char in node.text])

    def char_class(self, node: Chars) -> Fragment:
        return self.chars(node.ranges)

    def sequence(self, node: Seq) -> Fragment:
        return self.chain([self.fragment(part) for part in node.parts])

    def alternatives(self, node: Alt) -> Fragment:
        return self.fork([self.fragment(choice) for choice in node.choices])

    def repetition(self, node: Repeat) -> Fragment:
        return self.repeat(node.node, node.minimum, node.maximum)

    def intersection(self, node: And) -> Fragment:
        return self.embed(self.product([self.dfa_of(part) for part in node.parts]))

    def negation(self, node: Not) -> Fragment:
        return self.embed(complement(self.dfa_of(node.node)))

    def token(self, node: Token | Quoted) -> Fragment:
        return self.fragment(node.node)

    def automaton_node(self, node: AutomatonNode) -> Fragment:
        return self.embed(self.align(node.automaton))

    def chars(self, ranges: tuple[Range, ...]) -> Fragment:
        start, end = self.state(), self.state()
        if ranges not in self.known_classes:
            self.known_classes[ranges] = self.alphabet.classes_within(ranges)
        self.moves[start].append((self.known_classes[ranges], end))
        return start, end

    def chain(self, fragments: Sequence[Fragment]) -> Fragment:
        start = end = self.state()
        for first, last in fragments:
            self.epsilon_moves[end].append(first)
            end = last
        return start, end

    def fork(self, fragments: Sequence[Fragment]) -> Fragment:
        start, end = self.state(), self.state()
        for first, last in fragments:
            self.epsilon_moves[start].append(first)
            self.epsilon_moves[last].append(end)
        return start, end

    def repeat(self, node: Node, least: int, most: int | None) -> Fragment:
        copies = [self.fragment(node) for _ in range(least)]
        if most is None:
            copies.append(self.loop(node))
            return self.chain(copies)
        start, end = self.chain(copies)
        stop = self.state()
        for _ in range(most - least):
            first, last = self.fragment(node)
            self.epsilon_moves[end] += [first, stop]
            end = last
        self.epsilon_moves[end].append(stop)
        return start, stop

    def loop(self, node: Node) -> Fragment:
        hub = self.state()
        first, last = self.fragment(node)
        self.epsilon_moves[hub].append(first)
        self.epsilon_moves[last].append(hub)
        return hub, hub

    def dfa_of(self, node: Node) -> DFA:
        """Return the DFA of a node over this builder's classes."""
        return self.align(to_dfa(node, self.limit))

    def embed(self, inner: DFA) -> Fragment:
        states = [self.state() for _ in inner.moves]
        start, end = self.state(), self.state()
        self.epsilon_moves[start].append(states[0])
        for state, moves in zip(states, inner.moves, strict=True):
            self.moves[state] = [((cls,), states[to]) for cls, to in enumerate(moves) if to >= 0]
        for final in inner.final:
            self.epsilon_moves[states[final]].append(end)
        return start, end

    def align(self, inner: DFA) -> DFA:
        """Return the automaton over this builder's classes of characters."""
        classes = [inner.alphabet.class_of(code) for code in self.alphabet.first_characters]
        rows = tuple(tuple(row[cls] for cls in classes) for row in inner.moves)
        return DFA(self.alphabet, rows, inner.final)

    def have_common_text(self, automata: Sequence[DFA]) -> bool:
        """Return whether there is a text that all automata accept."""
        start = (0,) * len(automata)
        rows = [self.align(each).moves for each in automata]
        seen, todo = {start}, [start]
        while todo:
            check_time_limit()
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

    def product(self, automata: Sequence[DFA]) -> DFA:
        """Return the automaton of the texts that all automata accept."""
        rows = [each.moves for each in automata]

        def step(key: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            there = zip(*(row[state] for row, state in zip(rows, key, strict=True)), strict=True)
            return [None if -1 in to else to for to in there]

        keys, moves = self.explore((0,) * len(automata), step)
        finals = [each.final for each in automata]
        final = {
            number
            for key, number in keys.items()
            if all(state in each for each, state in zip(finals, key, strict=True))
        }
        return minimize(self.alphabet, moves, final)

    def determinize(self, start: int, end: int) -> tuple[list[list[int]], set[int]]:
        """Make the NFA between two states deterministic; return the moves and the final states."""
        known: dict[frozenset[int], tuple[int, ...]] = {}

        def step(key: tuple[int, ...]) -> list[tuple[int, ...] | None]:
            found: list[tuple[int, ...] | None] = [None] * self.class_count
            for cls, targets in self.transitions(key).items():
                there = frozenset(targets)
                if there not in known:
                    known[there] = self.epsilon_closure(there)
                found[cls] = known[there]
            return found

        keys, moves = self.explore(self.epsilon_closure({start}), step)
        return moves, {number for key, number in keys.items() if end in key}

    def transitions(self, key: tuple[int, ...]) -> dict[int, set[int]]:
        table: dict[int, set[int]] = {}
        for state in key:
            for classes, to in self.moves[state]:
                for cls in classes:
                    table.setdefault(cls, set()).add(to)
        return table

    def epsilon_closure(self, states: Iterable[int]) -> tuple[int, ...]:
        seen, todo = set(states), list(states)
        while todo:
            for to in self.epsilon_moves[todo.pop()]:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return tuple(sorted(seen))

    def explore(
        self, start: Key, step: Callable[[Key], Sequence[Key | None]]
    ) -> tuple[dict[Key, int], list[list[int]]]:
        """Return every reachable state by its key, and its moves by class of characters."""
        keys = {start: 0}
        moves: list[list[int]] = []
        queue = [start]
        for key in queue:
            check_time_limit()
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


class _Simulation(_NfaBuilder):
    """Simulates a node's NFA along a text, without making it deterministic first."""

    def __init__(self, node: Node) -> None:
        super().__init__(_alphabet(node), MAX_DFA_STATES)
        start, self.end = self.fragment(node)
        self.start = self.epsilon_closure({start})
        self.steps: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}

    def accepts(self, text: str) -> bool:
        """Return whether the node matches the text."""
        states = self.start
        for char in text:
            cls = self.alphabet.class_of(ord(char))
            key = (states, cls)
            if key not in self.steps:
                self.steps[key] = self.epsilon_closure(self.transitions(states).get(cls, set()))
            states = self.steps[key]
        return self.end in states


FRAGMENTS: dict[type, Callable[[_NfaBuilder, Any], Fragment]] = {
    Literal: _NfaBuilder.literal,
    Chars: _NfaBuilder.char_class,
    Seq: _NfaBuilder.sequence,
    Alt: _NfaBuilder.alternatives,
    Repeat: _NfaBuilder.repetition,
    And: _NfaBuilder.intersection,
    Not: _NfaBuilder.negation,
    Token: _NfaBuilder.token,
    Quoted: _NfaBuilder.token,
    AutomatonNode: _NfaBuilder.automaton_node,
}
