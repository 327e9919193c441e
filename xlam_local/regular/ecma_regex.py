"""Parse regular expressions of ECMA-262 (https://tc39.es/ecma262/#sec-patterns) into a tree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from ..errors import XlamError
from .characters import ANY, Chars, Range, chars, intersect, negate, one_of, union
from .nodes import EMPTY, Alt, Literal, Node, Repeat, Seq


class PatternError(XlamError):
    """A pattern is not a valid regular expression, or cannot be enforced exactly."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class TextStart:
    """`^`: the start of the text."""


@dataclass(frozen=True, slots=True)
class TextEnd:
    """`$`: the end of the text."""


@dataclass(frozen=True, slots=True)
class WordBoundary:
    """`\\b`: a word boundary, or `\\B` if not `wanted`."""

    positive: bool


@dataclass(frozen=True, slots=True)
class LookAhead:
    """A look-ahead, negative if not `wanted`."""

    inner: Regex
    positive: bool


@dataclass(frozen=True, slots=True)
class RegexSeq:
    """A sequence of which at least one part is an assertion."""

    parts: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class RegexAlt:
    """Alternatives of which at least one has an assertion."""

    choices: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class RegexRepeat:
    """A repetition of a part that has an assertion."""

    inner: Regex
    minimum: int
    maximum: int | None


Assertion = TextStart | TextEnd | WordBoundary | LookAhead
Regex = Node | Assertion | RegexSeq | RegexAlt | RegexRepeat

DIGIT = chars("09")
WORD = chars("azAZ09__")
SPACE = chars(
    "\t\r  \xa0\xa0\u1680\u1680\u2000\u200a\u2028\u2029"
    "\u202f\u202f\u205f\u205f\u3000\u3000\ufeff\ufeff"
)
DOT = negate(one_of("\n\r\u2028\u2029"))
CLASS_ESCAPES = {
    "d": DIGIT,
    "D": negate(DIGIT),
    "w": WORD,
    "W": negate(WORD),
    "s": SPACE,
    "S": negate(SPACE),
}
CONTROL_ESCAPES = {
    "t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "0": "\0",
    "a": "\a",
    "e": "\x1b",
}
LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
ASSERTIONS: dict[str, Assertion] = {
    "b": WordBoundary(True),
    "B": WordBoundary(False),
    "A": TextStart(),
    "Z": TextEnd(),
    "z": TextEnd(),
}


def parse_pattern(pattern: str) -> Regex:
    """Return the tree of a pattern.

    Raises:
        PatternError: it is not valid, or uses syntax that is not supported.
    """
    return _PatternParser(pattern).whole()


class _PatternParser:
    """A recursive-descent parser."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.position = 0
        self.ignore_case = False

    def whole(self) -> Regex:
        tree = self.choice()
        if self.position < len(self.text):
            raise self.error("unmatched closing bracket")
        return tree

    def error(self, problem: str) -> PatternError:
        return PatternError(
            f"Pattern {self.text!r} is not valid: {problem} at character {self.position}."
        )

    def peek(self, text: str) -> bool:
        return self.text.startswith(text, self.position)

    def take(self, text: str) -> bool:
        found = self.peek(text)
        self.position += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.position >= len(self.text):
            raise self.error("unexpected end")
        self.position += 1
        return self.text[self.position - 1]

    def until(self, end: str) -> str:
        stop = self.text.find(end, self.position)
        if stop < 0:
            raise self.error(f"missing {end!r}")
        found, self.position = self.text[self.position : stop], stop + len(end)
        return found

    def choice(self) -> Regex:
        choices = [self.chain()]
        while self.take("|"):
            choices.append(self.chain())
        return choice(choices)

    def chain(self) -> Regex:
        parts: list[Regex] = []
        while self.position < len(self.text) and self.text[self.position] not in "|)":
            parts.append(self.quantified(self.atom()))
        return chain(parts)

    def atom(self) -> Regex:
        char = self.next()
        if char in ATOMS:
            return ATOMS[char](self)
        if char in "*+?":
            raise self.error(f"nothing to repeat before {char!r}")
        return self.char(char)

    def char(self, char: str) -> Node:
        if not intersect(one_of(char), ANY).ranges:  # half a surrogate pair, which no text has
            return Chars(())
        if self.ignore_case and char.lower() != char.upper():
            cases = {char, char.lower(), char.upper()}
            return one_of("".join(sorted(case for case in cases if len(case) == 1)))
        return Literal(char)

    def group(self) -> Regex:
        if self.take("?i)"):  # to the end of the group that this is in
            self.ignore_case = True
            return EMPTY
        outside = self.ignore_case
        look = self.group_start()
        inner = self.choice()
        if not self.take(")"):
            raise self.error("unclosed bracket")
        self.ignore_case = outside
        return inner if look is None else LookAhead(inner, look)

    def group_start(self) -> bool | None:
        """Read the start of a group; return whether a look-ahead is positive, None without one."""
        if not self.take("?"):
            return None
        if self.take("="):
            return True
        if self.take("!"):
            return False
        if self.take(":"):
            return None
        if self.peek("<=") or self.peek("<!"):
            raise PatternError(f"Pattern {self.text!r}: look-behind is not supported.")
        if self.take("<") or self.take("P<"):
            self.until(">")
            return None
        self.flags()
        return None

    def flags(self) -> None:
        """Read an inline flag; only `i` (ignore case) is supported."""
        if not self.take("i:"):
            raise PatternError(
                f"Pattern {self.text!r}: this inline flag or kind of group is not supported."
            )
        self.ignore_case = True

    def quantified(self, atom: Regex) -> Regex:
        bounds = self.bounds()
        if bounds is None:
            return atom
        self.take("?")
        if self.peek("+"):
            raise PatternError(f"Pattern {self.text!r}: possessive quantifiers are not supported.")
        least, most = bounds
        if most is not None and most < least:
            raise self.error("the numbers in curly brackets are out of order")
        if self.bounds() is not None:
            raise self.error("nothing to repeat")
        return loop(atom, least, most)

    def bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in QUANTIFIERS.items():
            if self.take(sign):
                return bounds
        end = self.text.find("}", self.position)
        if not self.peek("{") or end < 0:
            return None
        least, comma, most = self.text[self.position + 1 : end].partition(",")
        if not least.isdecimal() or not (most.isdecimal() or not most):
            return None
        self.position = end + 1
        return int(least), int(most) if most else None if comma else int(least)

    def escape(self) -> Regex:
        char = self.next()
        if char in ASSERTIONS:
            return ASSERTIONS[char]
        if char in "123456789k":
            raise PatternError(f"Pattern {self.text!r}: back references are not supported.")
        members = self.escape_value(char)
        return members if isinstance(members, Chars) else self.char(members)

    def escape_value(self, char: str) -> Chars | str:
        """Return the class or the character that an escape denotes."""
        if char in CLASS_ESCAPES:
            return CLASS_ESCAPES[char]
        if char in "pP" and self.peek("{"):
            members = self.property()
            return members if char == "p" else negate(members)
        if char in "xuUc":
            return self.code_escape(char)
        return CONTROL_ESCAPES.get(char, char)

    def code_escape(self, char: str) -> str:
        """Return the character of `\\xHH`, `\\uHHHH`, `\\u{…}` or `\\cX`."""
        if char == "c" and self.text[self.position : self.position + 1].isalpha():
            return chr(ord(self.next()) % 32)
        if char == "u" and self.take("{"):
            return self.char_of_code(self.until("}"))
        size = {"x": 2, "u": 4}.get(char, 0)
        digits = self.text[self.position : self.position + size]
        if len(digits) < size or not size or any(d not in "0123456789abcdefABCDEF" for d in digits):
            return char
        self.position += size
        code = int(digits, 16)
        low = LOW_SURROGATE.match(self.text, self.position)
        if 0xD800 <= code < 0xDC00 and low:
            self.position = low.end()
            return chr(0x10000 + (code - 0xD800) * 0x400 + int(low[1], 16) - 0xDC00)
        return chr(code)

    def char_of_code(self, digits: str) -> str:
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise self.error(f"no character has the code {digits!r}") from None

    def property(self) -> Chars:
        self.take("{")
        name = self.until("}")
        members = unicode_category(name.rpartition("=")[2])
        if not members.ranges:
            raise PatternError(f"Pattern {self.text!r}: unknown Unicode property {name!r}.")
        return members

    def char_class(self) -> Chars:
        """Read a character class after its opening bracket."""
        negative = self.take("^")
        found: list[Chars] = []
        while not self.take("]"):
            found.append(self.class_member())
        inside = union(span for part in found for span in part.ranges)
        if self.ignore_case:
            inside = union([*inside.ranges, *_other_case(inside).ranges])
        return negate(inside) if negative else intersect(inside, ANY)

    def class_member(self) -> Chars:
        first = self.class_char()
        if not self.peek("-") or self.peek("-]"):
            return one_of(first) if isinstance(first, str) else first
        self.take("-")
        last = self.class_char()
        if isinstance(first, str) and isinstance(last, str):
            if first > last:
                raise self.error(f"the range {first!r}-{last!r} is out of order")
            return union([(ord(first), ord(last))])
        both = [one_of(part) if isinstance(part, str) else part for part in (first, last)]
        return union([*both[0].ranges, *both[1].ranges, (ord("-"), ord("-"))])

    def class_char(self) -> Chars | str:
        char = self.next()
        if char != "\\":
            return char
        char = self.next()
        return "\b" if char == "b" else self.escape_value(char)


QUANTIFIERS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
ATOMS: dict[str, Callable[[_PatternParser], Regex]] = {
    "(": _PatternParser.group,
    "[": _PatternParser.char_class,
    "\\": _PatternParser.escape,
    ".": lambda parser: DOT,
    "^": lambda parser: TextStart(),
    "$": lambda parser: TextEnd(),
}
REGULAR_NODES = (Literal, Chars, Seq, Alt, Repeat)


def chain(parts: list[Regex]) -> Regex:
    """Return the parts in sequence."""
    parts = [part for part in parts if part != EMPTY]
    if len(parts) == 1:
        return parts[0]
    nodes = [part for part in parts if isinstance(part, REGULAR_NODES)]
    return _merged(nodes) if len(nodes) == len(parts) else RegexSeq(tuple(parts))


def _merged(nodes: Sequence[Node]) -> Node:
    """Return a sequence in which adjacent characters are one literal."""
    done: list[Node] = []
    for node in nodes:
        last = done[-1] if done else None
        if isinstance(node, Literal) and isinstance(last, Literal):
            done[-1] = Literal(last.text + node.text)
        else:
            done.append(node)
    return done[0] if len(done) == 1 else Seq(tuple(done))


def choice(choices: list[Regex]) -> Regex:
    """Return the alternatives."""
    if len(choices) == 1:
        return choices[0]
    nodes = [part for part in choices if isinstance(part, REGULAR_NODES)]
    return Alt(tuple(nodes)) if len(nodes) == len(choices) else RegexAlt(tuple(choices))


def loop(inner: Regex, minimum: int, maximum: int | None) -> Regex:
    """Return the repetition of a tree."""
    return (
        Repeat(inner, minimum, maximum)
        if isinstance(inner, REGULAR_NODES)
        else RegexRepeat(inner, minimum, maximum)
    )


@lru_cache(maxsize=64)
def unicode_category(name: str) -> Chars:
    """Return the characters of a Unicode category or common property; empty if unknown."""
    short = PROPERTY_CATEGORIES.get(name, name)
    if short == "Any":
        return ANY
    if short[:1] not in "LMNPSZC":
        return Chars(())
    ranges = unicode_ranges().items()
    found = (span for category, spans in ranges if category.startswith(short) for span in spans)
    return intersect(union(found), ANY)


@lru_cache(maxsize=1)
def unicode_ranges() -> Mapping[str, Sequence[Range]]:
    """Return the ranges of code points of each Unicode category."""
    ranges = {category: list(spans) for category, spans in FIXED_RANGES.items()}
    for block in SCANNED:
        first = block.start
        for category, run in groupby(map(unicodedata.category, map(chr, block))):
            after = first + len(list(run))
            ranges.setdefault(category, []).append((first, after - 1))
            first = after
    return ranges


SCANNED = (range(0x40000), range(0xE0000, 0xE1000))
"""Code points that have characters, except those for private use."""
FIXED_RANGES: Mapping[str, Sequence[Range]] = {
    "Cn": ((0x40000, 0xDFFFF), (0xE1000, 0xEFFFF), (0xFFFFE, 0xFFFFF), (0x10FFFE, 0x10FFFF)),
    "Co": ((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)),
}
"""The categories of all other code points; scanning them too would take three times as long."""


PROPERTY_CATEGORIES = {
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
    """Return the other cases of characters; in large classes, only of those in ASCII."""
    size = sum(last - first + 1 for first, last in members.ranges)
    if size > MAX_CASED_CHARS:
        members = intersect(members, chars("azAZ"))
    each = (chr(code) for first, last in members.ranges for code in range(first, last + 1))
    cases = {case for char in each for case in (char.lower(), char.upper()) if len(case) == 1}
    return one_of("".join(sorted(cases)))


MAX_CASED_CHARS = 3000
"""The most characters of a class of which all are converted; larger ones have both cases."""
