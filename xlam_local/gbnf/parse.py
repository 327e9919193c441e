"""GBNF text read back into nodes, and checked so that no program that loads it can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from ..errors import GrammarError
from .limits import problem
from .nodes import (
    EMPTY,
    Alt,
    Grammar,
    Lit,
    Node,
    Ref,
    Repeat,
    Seq,
    alt,
    children,
    common,
    negated,
    nullable,
    one_of,
    repeat,
    seq,
    union,
)
from .prune import pruned, references

LONG = 1_000_000
"""Characters of a file."""
DEPTH = 50
"""Brackets inside brackets."""
TIMES = 100_000
"""How often something may be repeated with a limit."""

READABLE = negated(one_of("\0"))
"""Every character but NUL, which llama.cpp takes for the end of the text."""

SIMPLE = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-"}
CODED = {"x": 2, "u": 4, "U": 8}
SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse(text: str) -> Grammar:
    """The grammar of a file that a user wrote, its rule "root" first."""
    if len(text) > LONG:
        raise GrammarError(f"The grammar has more than {LONG} characters.")
    reader = _Reader(text)
    rules = reader.rules()
    if "root" not in rules:
        raise GrammarError('The grammar has no rule "root" to begin with.')
    for node in rules.values():
        for other in references(node):
            if other not in rules:
                reader.fail(f"there is no rule {other!r}", reader.used[other])
    empty = _empty(rules)
    if name := _recursive({name: set(_leading(node, empty)) for name, node in rules.items()}):
        reader.fail(f"the rule {name!r} begins with itself", reader.defined[name])
    for name, node in rules.items():
        if _loops(node, empty):
            reader.fail(f"the rule {name!r} repeats nothing for ever", reader.defined[name])
    return _checked({"root": rules["root"], **rules})


def _checked(rules: Mapping[str, Node]) -> Grammar:
    """The grammar, if some text matches it and it asks for no more than can be had."""
    grammar = pruned(Grammar(rules))
    if grammar.rules["root"] == Alt(()):
        raise GrammarError("No text can match the grammar: its rules never come to an end.")
    if wrong := problem(grammar):
        raise GrammarError(wrong)
    return grammar


class _Reader:
    """Reads rules from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.used: dict[str, int] = {}
        self.defined: dict[str, int] = {}

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Say where the text cannot be read."""
        at = self.at if at is None else at
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise GrammarError(f"Line {line}, column {column}: {problem}.")

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, sign: str) -> bool:
        found = self.text.startswith(sign, self.at)
        self.at += len(sign) if found else 0
        return found

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            self.fail(f"{sign!r} is expected")

    def space(self, lines: bool) -> None:
        """Skip spaces and comments, and the ends of lines where these mean nothing."""
        while char := self.peek():
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            elif char in " \t" or (lines and char in "\r\n"):
                self.at += 1
            else:
                return

    def rules(self) -> dict[str, Node]:
        """All rules, by name."""
        found: dict[str, Node] = {}
        self.space(lines=True)
        while self.peek():
            at, name = self.at, self.name()
            if name in found:
                self.fail(f"the rule {name!r} is there already", at)
            self.defined[name] = at
            self.space(lines=False)
            self.expect("::=")
            self.space(lines=True)
            found[name] = self.alternatives(nested=False)
            if self.peek() and self.peek() not in "\r\n":
                self.fail("the rule should end here")
            self.space(lines=True)
        return found

    def name(self) -> str:
        start = self.at
        while _in_name(self.peek()):
            self.at += 1
        if start == self.at:
            self.fail("a rule's name is expected")
        return self.text[start : self.at]

    def alternatives(self, nested: bool) -> Node:
        choices = [self.sequence(nested)]
        while self.take("|"):
            self.space(lines=True)
            choices.append(self.sequence(nested))
        return alt(*choices)

    def sequence(self, nested: bool) -> Node:
        parts: list[Node] = []
        while (char := self.peek()) and (char in PARTS or _in_name(char)):
            part = PARTS.get(char, _Reader.reference)(self)
            self.space(lines=nested)
            parts.append(self.repeated(part, nested))
        return seq(*parts)

    def repeated(self, node: Node, nested: bool) -> Node:
        """The node with all repetitions that follow it."""
        while (sign := self.peek()) and sign in "*+?{":
            self.at += 1
            least, most = SIGNS[sign] if sign in SIGNS else self.bounds()
            node = EMPTY if most == 0 else repeat(node, least, most)
            self.space(lines=nested)
        return node

    def bounds(self) -> tuple[int, int | None]:
        """The numbers in curly brackets, after the opening one."""
        self.space(lines=False)
        least = self.number()
        most: int | None = least
        if self.take(","):
            self.space(lines=False)
            most = None if self.peek() == "}" else self.number()
        self.expect("}")
        if most is not None and most < least:
            self.fail("the numbers are out of order")
        return least, most

    def number(self) -> int:
        start = self.at
        while self.peek().isdecimal() and self.peek().isascii():
            self.at += 1
        digits = self.text[start : self.at]
        if not digits or len(digits) > 6 or int(digits) > TIMES:
            self.fail(f"a number up to {TIMES} is expected", start)
        self.space(lines=False)
        return int(digits)

    def reference(self) -> Node:
        at, name = self.at, self.name()
        self.used.setdefault(name, at)
        return Ref(name)

    def literal(self) -> Node:
        self.expect('"')
        found = []
        while not self.take('"'):
            at = self.at
            found.append(self.char())
            if found[-1] == "\0":
                self.fail("llama.cpp takes a NUL for the end of the text", at)
        return Lit("".join(found)) if found else EMPTY

    def members(self) -> Node:
        self.expect("[")
        negative = self.take("^")
        spans = []
        while not self.take("]"):
            first = last = self.char()
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] != "]":
                self.at += 1
                last = self.char()
            if last < first:
                self.fail(f"the range from {first!r} to {last!r} is out of order")
            spans.append((ord(first), ord(last)))
        inside = negated(union(spans)) if negative else union(spans)
        inside = common(inside, READABLE)
        return inside if inside.ranges else Alt(())

    def anything(self) -> Node:
        self.expect(".")
        return READABLE

    def group(self) -> Node:
        self.expect("(")
        self.depth += 1
        if self.depth > DEPTH:
            self.fail(f"there are more than {DEPTH} brackets inside each other")
        self.space(lines=True)
        node = self.alternatives(nested=True)
        self.expect(")")
        self.depth -= 1
        return node

    def special(self) -> Node:
        self.fail("single tokens of a model cannot be asked for here")

    def char(self) -> str:
        """One character, as itself or escaped."""
        char = self.peek()
        if not char or char == "\n":
            self.fail("the text ends before it is closed")
        self.at += 1
        if char != "\\":
            return char
        kind = self.peek()
        self.at += 1
        if kind in SIMPLE and kind:
            return SIMPLE[kind]
        return self.coded(kind)

    def coded(self, kind: str) -> str:
        size = CODED.get(kind, 0)
        digits = self.text[self.at : self.at + size]
        if not size or len(digits) < size or any(d not in HEX for d in digits):
            self.fail("this is no escape", self.at - 2)
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self.fail("there is no such character", self.at - 2)
        self.at += size
        return chr(code)


HEX = "0123456789abcdefABCDEF"
PARTS: dict[str, Callable[[_Reader], Node]] = {
    '"': _Reader.literal,
    "[": _Reader.members,
    ".": _Reader.anything,
    "(": _Reader.group,
    "<": _Reader.special,
    "!": _Reader.special,
}


def _in_name(char: str) -> bool:
    return char == "-" or (char.isascii() and char.isalnum())


def _recursive(leading: Mapping[str, set[str]]) -> str | None:
    """The first rule that leads back to itself, if there is one."""
    into: dict[str, list[str]] = {name: [] for name in leading}
    for name, others in leading.items():
        for other in others:
            into[other].append(name)
    left = {name: len(others) for name, others in leading.items()}
    todo = [name for name, count in left.items() if count == 0]
    # What leads to nothing is taken away until only circles are left, and what leads to them.
    while todo:
        for name in into[gone := todo.pop()]:
            left[name] -= 1
            todo += [name] * (left[name] == 0)
        del left[gone]
    return next((name for name in left if name in _reached(leading, name)), None)


def _reached(leading: Mapping[str, set[str]], name: str) -> set[str]:
    """The rules that a rule leads to."""
    found: set[str] = set()
    todo = list(leading[name])
    while todo:
        rule = todo.pop()
        if rule not in found:
            found.add(rule)
            todo.extend(leading[rule])
    return found


def _loops(node: Node, empty: set[str]) -> bool:
    """Whether something is repeated without limit that may be no text at all."""
    endless = isinstance(node, Repeat) and node.most is None and nullable(node.node, empty)
    return endless or any(_loops(inner, empty) for inner in children(node))


def _leading(node: Node, empty: set[str]) -> Iterator[str]:
    match node:
        case Ref(rule):
            yield rule
        case Seq(parts):
            for part in parts:
                yield from _leading(part, empty)
                if not nullable(part, empty):
                    return
        case Alt(choices):
            for choice in choices:
                yield from _leading(choice, empty)
        case Repeat(inner):
            yield from _leading(inner, empty)


def _empty(rules: Mapping[str, Node]) -> set[str]:
    """The rules that match no text at all, too."""
    users: dict[str, set[str]] = {name: set() for name in rules}
    for name, node in rules.items():
        for other in references(node):
            users[other].add(name)
    empty: set[str] = set()
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name not in empty and nullable(rules[name], empty):
            empty.add(name)
            todo.extend(users[name])
    return empty
