"""Print a grammar as GBNF that llama.cpp, xgrammar and llguidance's GBNF reader read alike.

https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md describes GBNF. The readers
differ in escapes: xgrammar takes every hexadecimal digit after `\\x`, and llguidance does not read
`\\u0` and `\\U`. In names of rules, llguidance ignores case and replaces `-` by `_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from string import hexdigits
from typing import Any

from ..regular.characters import ANY, MAX_CODE_POINT, Chars
from ..regular.dfa import DFA
from ..regular.nfa import to_dfa
from ..regular.nodes import (
    EMPTY,
    Alt,
    And,
    AutomatonNode,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    children,
    contains_kind,
    nullable,
    repeat,
    seq,
)
from . import json_strings
from .grammar import Grammar

MAX_REPETITIONS = 1000
"""The longest repetition that is printed as one. llama.cpp fails from 2,000; longer ones nest."""
MAX_EXPANDED_RULES = 100
"""A repeated node gets its own rule if llama.cpp would expand it to more rules than this."""
MAX_CLASS_CHARS = 60
"""A class whose text is longer than this gets its own rule."""

MAX_PRINTED_STATES = 100_000
"""The most states of an automaton that is printed; the compiler avoids larger ones."""

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
CLASS_ESCAPES = {"]": "\\]", "[": "\\[", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
ENDS_IN_HEX_ESCAPE = re.compile(r"\\x[0-9A-F]{2}$")
HEX_ESCAPE_BEFORE_DIGIT = re.compile(r"(?<=\\x[0-9A-F]{2})(?=[0-9A-Fa-f])")
PORTABLE_NAME = re.compile("[a-z][a-z0-9-]*")
NOT_IN_NAMES = re.compile("[^a-z0-9]+")
RESERVED_NAME = "start"
"""llguidance's name of the rule `root`."""


def to_gbnf(grammar: Grammar) -> str:
    """Return the grammar as GBNF text, one rule a line, with comments."""
    return "".join(_GbnfPrinter(grammar).lines())


class _GbnfPrinter:
    """Prints rules, and the auxiliary rules that they need."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.auxiliary: dict[str, Node] = {}
        self.names: dict[object, str] = {}
        self.rule = ""
        self.rule_names = _portable_names(grammar.rules)
        self.taken = set(self.rule_names.values())

    def lines(self) -> Iterator[str]:
        """Yield each rule after its comment, followed by its auxiliary rules."""
        for name, node in self.grammar.rules.items():
            if comment := self.grammar.comments.get(name):
                yield f"# {_one_line(comment)}\n"
            self.rule = self.rule_names[name]
            yield f"{self.rule} ::= {self.body(node)}\n"
            while self.auxiliary:
                other = next(iter(self.auxiliary))
                yield f"{other} ::= {self.body(self.auxiliary.pop(other))}\n"

    def body(self, node: Node) -> str:
        """Return a node as the body of a rule."""
        return PRINTERS[type(node)](self, node)

    def operand(self, node: Node) -> str:
        """Return a node as an operand, in parentheses if needed."""
        written = self.body(node)
        loose = " " in written and not isinstance(_inner(node), Literal | Chars)
        return f"({written})" if loose else written

    def sequence_operand(self, node: Node) -> str:
        """Return a node as an operand of a sequence."""
        return self.body(node) if isinstance(_inner(node), Repeat) else self.operand(node)

    def reference(self, node: Ref) -> str:
        return self.rule_names.get(node.rule, node.rule)

    def literal(self, node: Literal) -> str:
        return _literal(node.text)

    def char_class(self, node: Chars) -> str:
        (first, last), *more = node.ranges
        if first == last and not more:
            return _literal(chr(first))
        ranges = list(map(_range, node.ranges))
        # Only one range can begin with a digit and end in a character that is escaped.
        escapes = [text for text in ranges if ENDS_IN_HEX_ESCAPE.search(text)]
        escapes.sort(key=lambda text: text[0] not in hexdigits)
        return "[" + "".join([text for text in ranges if text not in escapes] + escapes) + "]"

    def sequence(self, node: Seq) -> str:
        return " ".join(map(self.sequence_operand, node.parts)) or '""'

    def alternatives(self, node: Alt) -> str:
        return " | ".join(map(self.alternative, node.choices)) or NO_CHAR

    def alternative(self, node: Node) -> str:
        """Return a node as an alternative."""
        return self.body(node) if isinstance(_inner(node), Seq | Repeat) else self.operand(node)

    def repetition(self, node: Repeat) -> str:
        if repeats_empty(node):
            return self.automaton(node)
        if max(node.minimum, node.maximum or 0) > MAX_REPETITIONS:
            return self.operand(seq(*self.repetition_blocks(node.node, node.minimum, node.maximum)))
        inner = node.node
        times = max(node.minimum, node.maximum or 1)
        if (
            not isinstance(inner, Ref | Chars | Literal)
            and times * _expanded_rules(inner) > MAX_EXPANDED_RULES
        ):
            inner = self.auxiliary_rule(inner, inner)
        return self.operand(inner) + repetition_operator(node.minimum, node.maximum)

    def token(self, node: Token) -> str:
        return self.body(node.node)

    def quoted(self, node: Quoted) -> str:
        if contains_kind(node.node, And, Not, AutomatonNode) or repeats_empty(node.node):
            rest = self.automaton_rules(node.node, Literal('"'), self.class_as_json)
            return self.body(seq(Literal('"'), rest))
        return self.body(seq(Literal('"'), self.as_json(node.node), Literal('"')))

    def as_json(self, node: Node) -> Node:
        """Return a node over decoded characters as a node over JSON text."""
        match node:
            case Chars():
                return self.class_as_json(node)
            case Seq(parts):
                return seq(*map(self.as_json, parts))
            case Alt(choices):
                return alt(*map(self.as_json, choices))
            case Repeat(inner, least, most):
                return repeat(self.as_json(inner), least, most)
        return json_strings.as_json_text(node)

    def class_as_json(self, chars: Chars) -> Node:
        """Return a class as JSON text; a class with a long text gets its own rule."""
        node = json_strings.class_as_json_text(chars)
        if chars == ANY:
            return self.auxiliary_rule(chars, node, "char")
        return self.auxiliary_rule(chars, node) if len(self.body(node)) > MAX_CLASS_CHARS else node

    def automaton(self, node: Node) -> str:
        return self.body(self.automaton_rules(node, EMPTY, lambda chars: chars))

    def automaton_rules(self, node: Node, end: Node, spell: Callable[[Chars], Node]) -> Node:
        """Return a reference to the rule of the start state of the node's DFA."""
        key = (node, end)
        if key not in self.names:
            machine = to_dfa(node, MAX_PRINTED_STATES)
            first = self.names[key] = self.new_name()
            names = [f"{first}-{state}" if state else first for state in range(len(machine.moves))]
            for state, name in enumerate(names):
                self.auxiliary[name] = _state(machine, state, names, end, spell)
        return Ref(self.names[key])

    def auxiliary_rule(self, key: object, node: Node, name: str = "") -> Node:
        """Return a reference to an auxiliary rule for the node."""
        if key not in self.names:
            own = self.names[key] = self.new_name(name)
            self.auxiliary[own] = node
        return Ref(self.names[key])

    def new_name(self, wanted: str = "") -> str:
        """Return a name for an auxiliary rule, which no other rule has."""
        numbered = (f"{self.rule}-s{number}" for number in count(len(self.names)))
        names = chain([wanted] if wanted else [], numbered)
        name = next(name for name in names if name not in self.taken)
        self.taken.add(name)
        return name

    def repetition_blocks(self, node: Node, least: int, most: int | None) -> Iterator[Node]:
        """Yield the same repetition in blocks that llama.cpp can load."""
        one = node if isinstance(node, Ref | Chars) else self.auxiliary_rule(node, node)
        block = self.auxiliary_rule(
            (node, MAX_REPETITIONS), Repeat(one, MAX_REPETITIONS, MAX_REPETITIONS)
        )
        yield repeat(block, least // MAX_REPETITIONS, least // MAX_REPETITIONS)
        yield repeat(one, least % MAX_REPETITIONS, least % MAX_REPETITIONS)
        if most is None:
            yield repeat(one)
            return
        whole, left = divmod(most - least, MAX_REPETITIONS)
        full = seq(repeat(block, whole, whole), repeat(one, 0, left))
        short = (
            seq(repeat(block, 0, whole - 1), repeat(one, 0, MAX_REPETITIONS - 1)) if whole else None
        )
        yield full if short is None else alt(short, full)


PRINTERS: dict[type, Callable[[_GbnfPrinter, Any], str]] = {
    Ref: _GbnfPrinter.reference,
    Literal: _GbnfPrinter.literal,
    Chars: _GbnfPrinter.char_class,
    Seq: _GbnfPrinter.sequence,
    Alt: _GbnfPrinter.alternatives,
    Repeat: _GbnfPrinter.repetition,
    Token: _GbnfPrinter.token,
    Quoted: _GbnfPrinter.quoted,
    And: _GbnfPrinter.automaton,
    Not: _GbnfPrinter.automaton,
    AutomatonNode: _GbnfPrinter.automaton,
}
NO_CHAR = f"[^\\x00-{chr(MAX_CODE_POINT)}]"


def _state(
    machine: DFA, state: int, names: list[str], end: Node, spell: Callable[[Chars], Node]
) -> Node:
    """Return the transitions of a state, and `end` if it is final."""
    steps = [seq(spell(chars), Ref(names[to])) for to, chars in machine.steps(state)]
    return alt(*steps, *([end] if state in machine.final else []))


def _expanded_rules(node: Node) -> int:
    """Return roughly how many rules llama.cpp expands a node to."""
    inside = 1 + sum(map(_expanded_rules, children(node)))
    return inside * max(node.minimum, node.maximum or 1) if isinstance(node, Repeat) else inside


def repeats_empty(node: Node) -> bool:
    """Return whether an unbounded repetition can match empty text, which llama.cpp rejects."""
    here = isinstance(node, Repeat) and node.maximum is None and nullable(node.node)
    return here or any(map(repeats_empty, children(node)))


def repetition_operator(least: int, most: int | None) -> str:
    """Return the repetition operator, which is the same in GBNF and Lark."""
    if (least, most) in OPERATORS:
        return OPERATORS[least, most]
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


OPERATORS: dict[tuple[int, int | None], str] = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def _inner(node: Node) -> Node:
    return node.node if isinstance(node, Token) else node


def _one_line(comment: str) -> str:
    return "".join(char if char.isprintable() else " " for char in comment)


def _literal(text: str) -> str:
    written = "".join(ESCAPES.get(char) or _escape_char(char) for char in text)
    parts = HEX_ESCAPE_BEFORE_DIGIT.split(written)
    joined = " ".join(f'"{part}"' for part in parts)
    return f"({joined})" if len(parts) > 1 else joined


def _range(bounds: tuple[int, int]) -> str:
    first, last = bounds
    start = "\\x5E" if chr(first) == "^" else _class_char(first)
    if first == last:
        return start
    return f"{start}{_class_char(last)}" if first + 1 == last else f"{start}-{_class_char(last)}"


def _class_char(code: int) -> str:
    if chr(code) == "-":
        return "\\x2D"
    return CLASS_ESCAPES.get(chr(code)) or _escape_char(chr(code))


def _escape_char(char: str) -> str:
    """Return a printable character as itself, others by their code point if all readers can."""
    code = ord(char)
    if char.isprintable() or 0x100 <= code < 0x1000 or code > 0xFFFF:
        return char
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"


def _portable_names(rules: Iterable[str]) -> dict[str, str]:
    """Return a name for each rule that all readers tell apart from the others."""
    names = {rule: rule for rule in rules if _is_portable(rule)}
    for rule in rules:
        if rule not in names:
            base = f"rule-{NOT_IN_NAMES.sub('-', rule.lower()).strip('-')}".rstrip("-")
            numbered = (f"{base}-{number}" for number in count(2))
            taken = set(names.values())
            names[rule] = next(name for name in chain([base], numbered) if name not in taken)
    return names


def _is_portable(rule: str) -> bool:
    return bool(PORTABLE_NAME.fullmatch(rule)) and rule != RESERVED_NAME
