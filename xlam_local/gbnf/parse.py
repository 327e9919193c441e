"""Parse GBNF text and check that llama.cpp and llguidance can load it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from ..errors import GrammarError
from ..regular.characters import intersect, negate, one_of, union
from ..regular.nodes import (
    EMPTY,
    Alt,
    Literal,
    Node,
    Ref,
    Repeat,
    Seq,
    alt,
    children,
    nullable,
    repeat,
    seq,
)
from .grammar import Grammar
from .limits import exceeded_limit
from .prune import prune, references

MAX_FILE_CHARS = 1_000_000
"""The most characters of a grammar file."""
MAX_PARENTHESES_DEPTH = 50
"""The deepest nesting of parentheses."""
MAX_REPETITIONS = 100_000
"""The largest number of repetitions in `{m,n}`."""

NOT_NUL = negate(one_of("\0"))
"""Every character except NUL, which ends a text in llama.cpp."""

SIMPLE_ESCAPES = {
    "t": "\t",
    "r": "\r",
    "n": "\n",
    "\\": "\\",
    '"': '"',
    "[": "[",
    "]": "]",
    "-": "-",
}
CODE_ESCAPES = {"x": 2, "u": 4, "U": 8}
QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_gbnf(text: str) -> Grammar:
    """Return the grammar of a GBNF text; the rule "root" comes first.

    Raises:
        GrammarError: names line and column, and what is wrong.
    """
    if len(text) > MAX_FILE_CHARS:
        raise GrammarError(f"The grammar has more than {MAX_FILE_CHARS} characters.")
    reader = _GbnfParser(text)
    rules = reader.rules()
    if "root" not in rules:
        raise GrammarError('The grammar has no rule "root".')
    for node in rules.values():
        for other in references(node):
            if other not in rules:
                reader.fail(f"rule {other!r} is not defined", reader.first_uses[other])
    empty = _nullable_rules(rules)
    if name := _left_recursive({name: set(_leading(node, empty)) for name, node in rules.items()}):
        reader.fail(f"rule {name!r} is left-recursive", reader.definitions[name])
    for name, node in rules.items():
        if _repeats_empty(node, empty):
            reader.fail(
                f"rule {name!r} repeats empty text without a limit", reader.definitions[name]
            )
    return _checked({"root": rules["root"], **rules})


def _checked(rules: Mapping[str, Node]) -> Grammar:
    """Return the grammar if it matches any text and is within the limits."""
    grammar = prune(Grammar(rules))
    if grammar.rules["root"] == Alt(()):
        raise GrammarError("The grammar is empty: every rule recurses forever.")
    if wrong := exceeded_limit(grammar):
        raise GrammarError(wrong)
    return grammar


class _GbnfParser:
    """A recursive-descent parser."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.first_uses: dict[str, int] = {}
        self.definitions: dict[str, int] = {}

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Raise an error with line and column."""
        at = self.position if at is None else at
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise GrammarError(f"Line {line}, column {column}: {problem}.")

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def accept(self, sign: str) -> bool:
        found = self.text.startswith(sign, self.position)
        self.position += len(sign) if found else 0
        return found

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            self.fail(f"expected {sign!r}")

    def skip_space(self, lines: bool) -> None:
        """Skip spaces and comments, and line ends if `lines`."""
        while char := self.peek():
            if char == "#":
                end = self.text.find("\n", self.position)
                self.position = end if end >= 0 else len(self.text)
            elif char in " \t" or (lines and char in "\r\n"):
                self.position += 1
            else:
                return

    def rules(self) -> dict[str, Node]:
        """Return all rules by name."""
        found: dict[str, Node] = {}
        self.skip_space(lines=True)
        while self.peek():
            at, name = self.position, self.name()
            if name in found:
                self.fail(f"rule {name!r} is defined twice", at)
            self.definitions[name] = at
            self.skip_space(lines=False)
            self.expect("::=")
            self.skip_space(lines=True)
            found[name] = self.alternatives(nested=False)
            if self.peek() and self.peek() not in "\r\n":
                self.fail(f"expected the end of the rule, not {self.peek()!r}")
            self.skip_space(lines=True)
        return found

    def name(self) -> str:
        start = self.position
        while _in_name(self.peek()):
            self.position += 1
        if start == self.position:
            self.fail("expected a rule name")
        return self.text[start : self.position]

    def alternatives(self, nested: bool) -> Node:
        choices = [self.sequence(nested)]
        while self.next_alternative():
            self.skip_space(lines=True)
            choices.append(self.sequence(nested))
        return alt(*choices)

    def next_alternative(self) -> bool:
        """Read the sign before another alternative, which may begin a new line."""
        before = self.position
        self.skip_space(lines=True)
        if self.accept("|"):
            return True
        self.position = before
        return False

    def sequence(self, nested: bool) -> Node:
        parts: list[Node] = []
        while (char := self.peek()) and (char in PART_PARSERS or _in_name(char)):
            part = PART_PARSERS.get(char, _GbnfParser.reference)(self)
            self.skip_space(lines=nested)
            parts.append(self.repeated(part, nested))
        return seq(*parts)

    def repeated(self, node: Node, nested: bool) -> Node:
        """Return the node with all repetition operators that follow it."""
        while (sign := self.peek()) and sign in "*+?{":
            self.position += 1
            least, most = QUANTIFIERS[sign] if sign in QUANTIFIERS else self.bounds()
            node = EMPTY if most == 0 else repeat(node, least, most)
            self.skip_space(lines=nested)
        return node

    def bounds(self) -> tuple[int, int | None]:
        """Read the numbers of `{m,n}` after the opening bracket."""
        self.skip_space(lines=False)
        least = self.number()
        most: int | None = least
        if self.accept(","):
            self.skip_space(lines=False)
            most = None if self.peek() == "}" else self.number()
        self.expect("}")
        if most is not None and most < least:
            self.fail("the numbers are out of order")
        return least, most

    def number(self) -> int:
        start = self.position
        while self.peek().isdecimal() and self.peek().isascii():
            self.position += 1
        digits = self.text[start : self.position]
        if not digits or len(digits) > 6 or int(digits) > MAX_REPETITIONS:
            self.fail(f"expected a number up to {MAX_REPETITIONS}", start)
        self.skip_space(lines=False)
        return int(digits)

    def reference(self) -> Node:
        at, name = self.position, self.name()
        self.first_uses.setdefault(name, at)
        return Ref(name)

    def literal(self) -> Node:
        self.expect('"')
        found = []
        while not self.accept('"'):
            at = self.position
            found.append(self.char())
            if found[-1] == "\0":
                self.fail(
                    "a NUL character is not supported, because it ends the text in llama.cpp", at
                )
        return Literal("".join(found)) if found else EMPTY

    def char_class(self) -> Node:
        self.expect("[")
        negative = self.accept("^")
        spans = []
        while not self.accept("]"):
            first = last = self.char()
            if self.peek() == "-" and self.text[self.position + 1 : self.position + 2] != "]":
                self.position += 1
                last = self.char()
            if last < first:
                self.fail(f"the range {first!r}-{last!r} is out of order")
            spans.append((ord(first), ord(last)))
        inside = negate(union(spans)) if negative else union(spans)
        inside = intersect(inside, NOT_NUL)
        return inside if inside.ranges else Alt(())

    def any_char(self) -> Node:
        self.expect(".")
        return NOT_NUL

    def group(self) -> Node:
        self.expect("(")
        self.depth += 1
        if self.depth > MAX_PARENTHESES_DEPTH:
            self.fail(f"parentheses are nested more than {MAX_PARENTHESES_DEPTH} levels deep")
        self.skip_space(lines=True)
        node = self.alternatives(nested=True)
        self.expect(")")
        self.depth -= 1
        return node

    def token_reference(self) -> Node:
        self.fail("token references (`<token>`) are not supported")

    def char(self) -> str:
        """Read one character or escape."""
        char = self.peek()
        if not char or char == "\n":
            self.fail("unclosed text")
        self.position += 1
        if char != "\\":
            return char
        kind = self.peek()
        self.position += 1
        if kind in SIMPLE_ESCAPES and kind:
            return SIMPLE_ESCAPES[kind]
        return self.code_escape(kind)

    def code_escape(self, kind: str) -> str:
        size = CODE_ESCAPES.get(kind, 0)
        digits = self.text[self.position : self.position + size]
        if not size or len(digits) < size or any(d not in HEX for d in digits):
            self.fail("unknown escape", self.position - 2)
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self.fail("no character has this code", self.position - 2)
        self.position += size
        return chr(code)


HEX = "0123456789abcdefABCDEF"
PART_PARSERS: dict[str, Callable[[_GbnfParser], Node]] = {
    '"': _GbnfParser.literal,
    "[": _GbnfParser.char_class,
    ".": _GbnfParser.any_char,
    "(": _GbnfParser.group,
    "<": _GbnfParser.token_reference,
    "!": _GbnfParser.token_reference,
}


def _in_name(char: str) -> bool:
    return char == "-" or (char.isascii() and char.isalnum())


def _left_recursive(leading: Mapping[str, set[str]]) -> str | None:
    """Return the first left-recursive rule, or None."""
    into: dict[str, list[str]] = {name: [] for name in leading}
    for name, others in leading.items():
        for other in others:
            into[other].append(name)
    left = {name: len(others) for name, others in leading.items()}
    todo = [name for name, count in left.items() if count == 0]
    # Remove rules that lead to no other rule until only cycles and what leads to them are left.
    while todo:
        for name in into[gone := todo.pop()]:
            left[name] -= 1
            todo += [name] * (left[name] == 0)
        del left[gone]
    return next((name for name in left if name in _reached(leading, name)), None)


def _reached(leading: Mapping[str, set[str]], name: str) -> set[str]:
    """Return the rules that a rule can begin with."""
    found: set[str] = set()
    todo = list(leading[name])
    while todo:
        rule = todo.pop()
        if rule not in found:
            found.add(rule)
            todo.extend(leading[rule])
    return found


def _repeats_empty(node: Node, empty: set[str]) -> bool:
    """Return whether an unbounded repetition can match empty text."""
    endless = isinstance(node, Repeat) and node.maximum is None and nullable(node.node, empty)
    return endless or any(_repeats_empty(inner, empty) for inner in children(node))


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


def _nullable_rules(rules: Mapping[str, Node]) -> set[str]:
    """Return the rules that match the empty text."""
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
