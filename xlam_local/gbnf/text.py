"""A grammar as GBNF, the text that llama.cpp loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import spelling
from .automaton import Automaton
from .nfa import automaton
from .nodes import (
    ANY,
    EMPTY,
    Alt,
    And,
    Chars,
    Grammar,
    Lit,
    Machine,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    children,
    has,
    nullable,
    repeat,
    seq,
)

BLOCK = 1000
"""llama.cpp refuses or forgets a repetition of 2,000 and more, so longer ones are nested."""
FEW = 100
"""What is repeated gets a rule of its own beyond so many rules that llama.cpp would make of it."""
WIDE = 60
"""Characters of text that a class may need before it gets a rule of its own."""

LIMIT = 100_000
"""States of an automaton that are written; those that could be more were left out before."""

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
CLASS_ESCAPES = {"]": "\\]", "[": "\\[", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text(grammar: Grammar) -> str:
    """The grammar file, one rule a line, with its comments."""
    return "".join(_Writer(grammar).lines())


class _Writer:
    """Writes rules, and the rules that those need beside them."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.extra: dict[str, Node] = {}
        self.names: dict[object, str] = {}
        self.rule = ""

    def lines(self) -> Iterator[str]:
        """Each rule after its comment, and after each rule those that it brought along."""
        for name, node in self.grammar.rules.items():
            if comment := self.grammar.comments.get(name):
                yield f"# {_one_line(comment)}\n"
            self.rule = name
            yield f"{name} ::= {self.bare(node)}\n"
            while self.extra:
                other = next(iter(self.extra))
                yield f"{other} ::= {self.bare(self.extra.pop(other))}\n"

    def bare(self, node: Node) -> str:
        """A node as the body of a rule."""
        return NODES[type(node)](self, node)

    def grouped(self, node: Node) -> str:
        """A node as a part of another one."""
        written = self.bare(node)
        loose = " " in written and not isinstance(_inner(node), Lit | Chars)
        return f"({written})" if loose else written

    def part(self, node: Node) -> str:
        """A node as a part of a sequence, where a repetition needs no brackets."""
        return self.bare(node) if isinstance(_inner(node), Repeat) else self.grouped(node)

    def reference(self, node: Ref) -> str:
        return node.rule

    def literal(self, node: Lit) -> str:
        return _literal(node.text)

    def members(self, node: Chars) -> str:
        (first, last), *more = node.ranges
        if first == last and not more:
            return _literal(chr(first))
        return "[" + "".join(map(_range, node.ranges)) + "]"

    def sequence(self, node: Seq) -> str:
        return " ".join(map(self.part, node.parts)) or '""'

    def alternatives(self, node: Alt) -> str:
        return " | ".join(map(self.alternative, node.choices)) or NEVER

    def alternative(self, node: Node) -> str:
        """A node as one of several, where a sequence needs no brackets."""
        return self.bare(node) if isinstance(_inner(node), Seq | Repeat) else self.grouped(node)

    def repeated(self, node: Repeat) -> str:
        if endless(node):
            return self.states_alone(node)
        if max(node.least, node.most or 0) > BLOCK:
            return self.grouped(seq(*self.blocks(node.node, node.least, node.most)))
        inner = node.node
        times = max(node.least, node.most or 1)
        if not isinstance(inner, Ref | Chars | Lit) and times * _weight(inner) > FEW:
            inner = self.named(inner, inner)
        return self.grouped(inner) + suffix(node.least, node.most)

    def token(self, node: Token) -> str:
        return self.bare(node.node)

    def quoted(self, node: Quoted) -> str:
        if has(node.node, And, Not, Machine) or endless(node.node):
            rest = self.states(node.node, Lit('"'), self.spelled)
            return self.bare(seq(Lit('"'), rest))
        return self.bare(seq(Lit('"'), self.spellings(node.node), Lit('"')))

    def spellings(self, node: Node) -> Node:
        """A node over decoded characters as it is written inside quotes."""
        match node:
            case Chars():
                return self.spelled(node)
            case Seq(parts):
                return seq(*map(self.spellings, parts))
            case Alt(choices):
                return alt(*map(self.spellings, choices))
            case Repeat(inner, least, most):
                return repeat(self.spellings(inner), least, most)
        return spelling.spelled(node)

    def spelled(self, chars: Chars) -> Node:
        """A character inside quotes; the ways to write a wide class get a rule of their own."""
        node = spelling.chars(chars)
        if chars == ANY:
            return self.named(chars, node, "char")
        return self.named(chars, node) if len(self.bare(node)) > WIDE else node

    def states_alone(self, node: Node) -> str:
        return self.bare(self.states(node, EMPTY, lambda chars: chars))

    def states(self, node: Node, end: Node, spell: Callable[[Chars], Node]) -> Node:
        """A reference to the rule for the first state of the node's automaton."""
        key = (node, end)
        if key not in self.names:
            machine = automaton(node, LIMIT)
            first = self.names[key] = f"{self.rule}-s{len(self.names)}"
            names = [f"{first}-{state}" if state else first for state in range(len(machine.moves))]
            for state, name in enumerate(names):
                self.extra[name] = _state(machine, state, names, end, spell)
        return Ref(self.names[key])

    def named(self, key: object, node: Node, name: str = "") -> Node:
        """A reference to a rule of its own for the node."""
        if key not in self.names:
            own = (
                name
                if name and name not in self.grammar.rules
                else f"{self.rule}-s{len(self.names)}"
            )
            self.names[key] = own
            self.extra[own] = node
        return Ref(self.names[key])

    def blocks(self, node: Node, least: int, most: int | None) -> Iterator[Node]:
        """The same repetition, in blocks short enough for llama.cpp."""
        one = node if isinstance(node, Ref | Chars) else self.named(node, node)
        block = self.named((node, BLOCK), Repeat(one, BLOCK, BLOCK))
        yield repeat(block, least // BLOCK, least // BLOCK)
        yield repeat(one, least % BLOCK, least % BLOCK)
        if most is None:
            yield repeat(one)
            return
        whole, left = divmod(most - least, BLOCK)
        full = seq(repeat(block, whole, whole), repeat(one, 0, left))
        short = seq(repeat(block, 0, whole - 1), repeat(one, 0, BLOCK - 1)) if whole else None
        yield full if short is None else alt(short, full)


NODES: dict[type, Callable[[_Writer, Any], str]] = {
    Ref: _Writer.reference,
    Lit: _Writer.literal,
    Chars: _Writer.members,
    Seq: _Writer.sequence,
    Alt: _Writer.alternatives,
    Repeat: _Writer.repeated,
    Token: _Writer.token,
    Quoted: _Writer.quoted,
    And: _Writer.states_alone,
    Not: _Writer.states_alone,
    Machine: _Writer.states_alone,
}
NEVER = "[^\\x00-\\U0010FFFF]"


def _state(
    machine: Automaton, state: int, names: list[str], end: Node, spell: Callable[[Chars], Node]
) -> Node:
    """What an automaton reads next, and the end where it may stop."""
    steps = [seq(spell(chars), Ref(names[to])) for to, chars in machine.steps(state)]
    return alt(*steps, *([end] if state in machine.final else []))


def _weight(node: Node) -> int:
    """About how many rules llama.cpp makes of what is inside a node."""
    inside = 1 + sum(map(_weight, children(node)))
    return inside * max(node.least, node.most or 1) if isinstance(node, Repeat) else inside


def endless(node: Node) -> bool:
    """Whether something is repeated without limit that may be empty: llama.cpp refuses that."""
    here = isinstance(node, Repeat) and node.most is None and nullable(node.node)
    return here or any(map(endless, children(node)))


def suffix(least: int, most: int | None) -> str:
    """How a repetition is written, in GBNF as in Lark."""
    if (least, most) in SIGNS:
        return SIGNS[least, most]
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


SIGNS: dict[tuple[int, int | None], str] = {(0, None): "*", (1, None): "+", (0, 1): "?"}


def _inner(node: Node) -> Node:
    return node.node if isinstance(node, Token) else node


def _one_line(comment: str) -> str:
    return "".join(char if char.isprintable() else " " for char in comment)


def _literal(text: str) -> str:
    return '"' + "".join(ESCAPES.get(char) or _shown(char) for char in text) + '"'


def _range(bounds: tuple[int, int]) -> str:
    first, last = (CLASS_ESCAPES.get(chr(code)) or _class_char(code) for code in bounds)
    if bounds[0] == bounds[1]:
        return first
    return f"{first}{last}" if bounds[0] + 1 == bounds[1] else f"{first}-{last}"


def _class_char(code: int) -> str:
    return f"\\x{code:02X}" if chr(code) in "^-" else _shown(chr(code))


def _shown(char: str) -> str:
    """A character as itself where a reader can see it, else by its number."""
    if char.isprintable():
        return char
    code = ord(char)
    short = f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
    return short if code < 0x10000 else f"\\U{code:08X}"
