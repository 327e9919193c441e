"""A grammar as GBNF, the text that llama.cpp loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from . import spelling
from .automaton import Automaton
from .nfa import automaton
from .nodes import (
    EMPTY,
    Alt,
    And,
    Chars,
    Grammar,
    Lit,
    Node,
    Not,
    Quoted,
    Ref,
    Repeat,
    Seq,
    Token,
    alt,
    children,
    repeat,
    seq,
)

BLOCK = 1000
"""llama.cpp refuses or forgets a repetition of 2,000 and more, so longer ones are nested."""

FEW = 20
"""Longer repetitions of composed nodes get a rule for what they repeat."""

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
        for name, node in self.grammar.rules.items():
            if comment := self.grammar.comments.get(name):
                yield f"# {_one_line(comment)}\n"
            self.rule = name
            yield f"{name} ::= {self.bare(node)}\n"
            yield from self.rest()

    def rest(self) -> Iterator[str]:
        """The rules that came up while another one was written."""
        while self.extra:
            name = next(iter(self.extra))
            yield f"{name} ::= {self.bare(self.extra.pop(name))}\n"

    def bare(self, node: Node) -> str:
        match node:
            case Lit(text):
                return _literal(text)
            case Chars(ranges):
                return "[" + "".join(map(_range, ranges)) + "]"
            case Ref(rule):
                return rule
            case Seq(()) | Alt(()):
                return '""'
            case Seq(parts):
                return " ".join(self.grouped(part) for part in parts)
            case Alt(choices):
                return " | ".join(self.grouped(choice) for choice in choices)
            case Repeat(inner, least, most):
                return self.repeated(inner, least, most)
            case Token(inner):
                return self.bare(inner)
            case Quoted(inner):
                return self.bare(self.quoted(inner))
            case And() | Not():
                return self.bare(self.states(node, _as_is, EMPTY))

    def grouped(self, node: Node) -> str:
        written = self.bare(node)
        return f"({written})" if " " in written and not isinstance(node, Lit | Chars) else written

    def named(self, key: object, node: Node) -> Node:
        """A reference to a rule of its own for the node."""
        if key not in self.names:
            self.names[key] = f"{self.rule}-{len(self.names)}"
            self.extra[self.names[key]] = node
        return Ref(self.names[key])

    def quoted(self, inner: Node) -> Node:
        if _has_sets(inner):
            return seq(Lit('"'), self.states(inner, spelling.chars, Lit('"')))
        return seq(Lit('"'), spelling.spelled(inner), Lit('"'))

    def states(self, node: Node, spell: Callable[[Chars], Node], end: Node) -> Node:
        """A reference to the rule for the first state of the node's automaton."""
        key = (node, spell)
        if key in self.names:
            return Ref(self.names[key])
        machine = automaton(node)
        first = f"{self.rule}-{len(self.names)}"
        names = [first if not state else f"{first}-{state}" for state in range(len(machine.moves))]
        self.names[key] = first
        for state, name in enumerate(names):
            self.extra[name] = self.state(machine, state, names, spell, end)
        return Ref(first)

    def state(
        self,
        machine: Automaton,
        state: int,
        names: Sequence[str],
        spell: Callable[[Chars], Node],
        end: Node,
    ) -> Node:
        steps = [seq(spell(chars), Ref(names[to])) for to, chars in machine.steps(state)]
        return alt(*steps, end) if state in machine.final else alt(*steps)

    def repeated(self, node: Node, least: int, most: int | None) -> str:
        if max(least, most or 0) <= BLOCK:
            inner = self.simple(node) if max(least, most or 0) > FEW else node
            return self.grouped(inner) + suffix(least, most)
        return self.bare(seq(*self.blocks(node, least, most)))

    def simple(self, node: Node) -> Node:
        """The node, or a reference where llama.cpp would count what is inside it."""
        return node if isinstance(node, Ref | Chars | Lit) else self.named(node, node)

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
        yield (
            alt(seq(repeat(block, 0, whole - 1), repeat(one, 0, BLOCK - 1)), full)
            if whole
            else full
        )


def _as_is(chars: Chars) -> Node:
    return chars


def _has_sets(node: Node) -> bool:
    """Whether a node says "and" or "not", which GBNF cannot."""
    return isinstance(node, And | Not) or any(map(_has_sets, children(node)))


def _one_line(comment: str) -> str:
    return "".join(char if char.isprintable() else " " for char in comment)


def _literal(text: str) -> str:
    return '"' + "".join(ESCAPES.get(char) or _shown(char) for char in text) + '"'


def _range(bounds: tuple[int, int]) -> str:
    first, last = (CLASS_ESCAPES.get(chr(code)) or _class_char(code) for code in bounds)
    if bounds[0] == bounds[1]:
        return first
    return f"{first}-{last}"


def _class_char(code: int) -> str:
    return f"\\x{code:02X}" if chr(code) in "^-" else _shown(chr(code))


def _shown(char: str) -> str:
    """A character as itself where a reader can see it, else by its number."""
    if char.isprintable() and char != "\ufffd":
        return char
    code = ord(char)
    return (
        f"\\x{code:02X}"
        if code < 0x100
        else f"\\u{code:04X}"
        if code < 0x10000
        else f"\\U{code:08X}"
    )


def suffix(least: int, most: int | None) -> str:
    """How a repetition is written, in GBNF as in Lark."""
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _ if least == most:
            return f"{{{least}}}"
        case _:
            return f"{{{least},{'' if most is None else most}}}"
