"""Regular expressions of ECMA-262, read into a small tree."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import XlamError
from ..gbnf import (
    ANY,
    EMPTY,
    Alt,
    Chars,
    Lit,
    Node,
    Repeat,
    Seq,
    chars,
    common,
    negated,
    one_of,
    union,
)


class PatternError(XlamError):
    """A pattern is no regular expression, or none that can be followed exactly."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of the text."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of the text."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place where a word begins or ends, or any other place."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Ahead:
    """What comes next matches, or does not."""

    inner: Regex
    wanted: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one after the other, assertions among them."""

    parts: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, some with assertions."""

    choices: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A part with assertions, several times over."""

    inner: Regex
    least: int
    most: int | None


Assertion = Start | End | Boundary | Ahead
Regex = Node | Assertion | Chain | Choice | Loop

DIGIT = chars("09")
WORD = chars("azAZ09__")
SPACE = chars(
    "\t\r  \xa0\xa0\u1680\u1680\u2000\u200a\u2028\u2029"
    "\u202f\u202f\u205f\u205f\u3000\u3000\ufeff\ufeff"
)
DOT = negated(one_of("\n\r\u2028\u2029"))
CLASSES = {
    "d": DIGIT,
    "D": negated(DIGIT),
    "w": WORD,
    "W": negated(WORD),
    "s": SPACE,
    "S": negated(SPACE),
}
CONTROLS = {
    "t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "0": "\0",
    "a": "\a",
    "e": "\x1b",
}
ASSERTIONS: dict[str, Assertion] = {
    "b": Boundary(True),
    "B": Boundary(False),
    "A": Start(),
    "Z": End(),
    "z": End(),
}


def parse(pattern: str) -> Regex:
    """The tree of a pattern."""
    return _Parser(pattern).whole()


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.fold = False

    def whole(self) -> Regex:
        tree = self.choice()
        if self.at < len(self.text):
            raise self.error("a bracket closes that was never opened")
        return tree

    def error(self, problem: str) -> PatternError:
        return PatternError(f"The pattern {self.text!r} cannot be read: {problem}, at {self.at}.")

    def peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        found = self.peek(text)
        self.at += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.at >= len(self.text):
            raise self.error("it ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def until(self, end: str) -> str:
        stop = self.text.find(end, self.at)
        if stop < 0:
            raise self.error(f"there is no {end!r}")
        found, self.at = self.text[self.at : stop], stop + len(end)
        return found

    def choice(self) -> Regex:
        choices = [self.chain()]
        while self.take("|"):
            choices.append(self.chain())
        return choice(choices)

    def chain(self) -> Regex:
        parts: list[Regex] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self.quantified(self.atom()))
        return chain(parts)

    def atom(self) -> Regex:
        char = self.next()
        if char in ATOMS:
            return ATOMS[char](self)
        if char in "*+?":
            raise self.error(f"there is nothing before {char!r} to repeat")
        return self.char(char)

    def char(self, char: str) -> Node:
        if self.fold and char.lower() != char.upper():
            return one_of("".join({char, char.lower()[:1], char.upper()[:1]}))
        return Lit(char)

    def group(self) -> Regex:
        look = self.opening()
        inner = self.choice()
        if not self.take(")"):
            raise self.error("a bracket is never closed")
        return inner if look is None else Ahead(inner, look)

    def opening(self) -> bool | None:
        """What kind of group begins: a look ahead, wanted or not, or none."""
        if not self.take("?"):
            return None
        if self.take("="):
            return True
        if self.take("!"):
            return False
        if self.take(":"):
            return None
        if self.peek("<=") or self.peek("<!"):
            raise PatternError(f"The pattern {self.text!r} looks behind.")
        if self.take("<") or self.take("P<"):
            self.until(">")
            return None
        self.flags()
        return None

    def flags(self) -> None:
        """Read the one flag that is followed: letters match in both cases."""
        flags = self.text[self.at :].split(")")[0].split(":")[0]
        if flags != "i":
            raise PatternError(
                f"The pattern {self.text!r} has flags or groups that are not followed."
            )
        self.at += 1
        self.fold = True
        self.take(":")

    def quantified(self, atom: Regex) -> Regex:
        bounds = self.bounds()
        if bounds is None:
            return atom
        self.take("?")
        if self.peek("+"):
            raise PatternError(f"The pattern {self.text!r} has possessive repetition.")
        least, most = bounds
        if most is not None and most < least:
            raise self.error("the numbers in curly brackets are out of order")
        if self.bounds() is not None:
            raise self.error("there is nothing to repeat")
        return loop(atom, least, most)

    def bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in SIGNS.items():
            if self.take(sign):
                return bounds
        end = self.text.find("}", self.at)
        if not self.peek("{") or end < 0:
            return None
        least, comma, most = self.text[self.at + 1 : end].partition(",")
        if not least.isdecimal() or not (most.isdecimal() or not most):
            return None
        self.at = end + 1
        return int(least), int(most) if most else None if comma else int(least)

    def escape(self) -> Regex:
        char = self.next()
        if char in ASSERTIONS:
            return ASSERTIONS[char]
        if char in "123456789k":
            raise PatternError(f"The pattern {self.text!r} refers back to a group.")
        members = self.escaped(char)
        return members if isinstance(members, Chars) else self.char(members)

    def escaped(self, char: str) -> Chars | str:
        """The class or the character that an escape stands for."""
        if char in CLASSES:
            return CLASSES[char]
        if char in "pP" and self.peek("{"):
            members = self.property()
            return members if char == "p" else negated(members)
        if char in "xuUc":
            return self.coded(char)
        return CONTROLS.get(char, char)

    def coded(self, char: str) -> str:
        """The character that an escape with a number or a letter stands for."""
        if char == "c" and self.text[self.at : self.at + 1].isalpha():
            return chr(ord(self.next()) % 32)
        if char == "u" and self.take("{"):
            return self.numbered(self.until("}"))
        size = {"x": 2, "u": 4}.get(char, 0)
        digits = self.text[self.at : self.at + size]
        if len(digits) < size or not size or any(d not in "0123456789abcdefABCDEF" for d in digits):
            return char
        self.at += size
        code = int(digits, 16)
        if 0xD800 <= code < 0xDC00 and self.text[self.at : self.at + 2] == "\\u":
            low = int(self.text[self.at + 2 : self.at + 6], 16)
            self.at += 6
            return chr(0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00)
        return chr(code)

    def numbered(self, digits: str) -> str:
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise self.error(f"there is no character {digits!r}") from None

    def property(self) -> Chars:
        self.take("{")
        name = self.until("}")
        members = category(name.rpartition("=")[2])
        if not members.ranges:
            raise PatternError(f"The pattern {self.text!r} names the unknown property {name!r}.")
        return members

    def members(self) -> Chars:
        """A class in square brackets, after the opening one."""
        negative = self.take("^")
        found: list[Chars] = []
        while not self.take("]"):
            found.append(self.member())
        inside = union(span for part in found for span in part.ranges)
        if self.fold:
            inside = union([*inside.ranges, *_other_case(inside).ranges])
        return negated(inside) if negative else inside

    def member(self) -> Chars:
        first = self.single()
        if not self.peek("-") or self.peek("-]"):
            return one_of(first) if isinstance(first, str) else first
        self.take("-")
        last = self.single()
        if isinstance(first, str) and isinstance(last, str):
            if first > last:
                raise self.error(f"the range from {first!r} to {last!r} is out of order")
            return union([(ord(first), ord(last))])
        both = [one_of(part) if isinstance(part, str) else part for part in (first, last)]
        return union([*both[0].ranges, *both[1].ranges, (ord("-"), ord("-"))])

    def single(self) -> Chars | str:
        char = self.next()
        if char != "\\":
            return char
        char = self.next()
        return "\b" if char == "b" else self.escaped(char)


SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
ATOMS: dict[str, Callable[[_Parser], Regex]] = {
    "(": _Parser.group,
    "[": _Parser.members,
    "\\": _Parser.escape,
    ".": lambda parser: DOT,
    "^": lambda parser: Start(),
    "$": lambda parser: End(),
}
NODES = (Lit, Chars, Seq, Alt, Repeat)


def chain(parts: list[Regex]) -> Regex:
    """Parts one after the other."""
    parts = [part for part in parts if part != EMPTY]
    if len(parts) == 1:
        return parts[0]
    nodes = [part for part in parts if isinstance(part, NODES)]
    return _merged(nodes) if len(nodes) == len(parts) else Chain(tuple(parts))


def _merged(nodes: Sequence[Node]) -> Node:
    """A sequence in which neighbouring characters are one literal."""
    done: list[Node] = []
    for node in nodes:
        last = done[-1] if done else None
        if isinstance(node, Lit) and isinstance(last, Lit):
            done[-1] = Lit(last.text + node.text)
        else:
            done.append(node)
    return done[0] if len(done) == 1 else Seq(tuple(done))


def choice(choices: list[Regex]) -> Regex:
    """One of several trees."""
    if len(choices) == 1:
        return choices[0]
    nodes = [part for part in choices if isinstance(part, NODES)]
    return Alt(tuple(nodes)) if len(nodes) == len(choices) else Choice(tuple(choices))


def loop(inner: Regex, least: int, most: int | None) -> Regex:
    """A tree several times over."""
    return Repeat(inner, least, most) if isinstance(inner, NODES) else Loop(inner, least, most)


@lru_cache(maxsize=64)
def category(name: str) -> Chars:
    """The characters of a general category of Unicode, or of one of the best-known properties."""
    short = LONG_NAMES.get(name, name)
    if short == "Any":
        return ANY
    codes = (code for code in range(0x110000) if unicodedata.category(chr(code)).startswith(short))
    return (
        common(union((code, code) for code in codes), ANY) if short[:1] in "LMNPSZC" else Chars(())
    )


LONG_NAMES = {
    "Letter": "L",
    "Alphabetic": "L",
    "Uppercase_Letter": "Lu",
    "Uppercase": "Lu",
    "Lowercase_Letter": "Ll",
    "Lowercase": "Ll",
    "Mark": "M",
    "Number": "N",
    "digit": "Nd",
    "Decimal_Number": "Nd",
    "Punctuation": "P",
    "punct": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Other": "C",
    "Control": "Cc",
}


def _other_case(members: Chars) -> Chars:
    letters = common(members, chars("azAZ"))
    return union((first ^ 32, last ^ 32) for first, last in letters.ranges)
