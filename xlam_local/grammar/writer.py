"""From what fits a schema to the rules of a grammar that writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import SchemaError
from ..gbnf import (
    EMPTY,
    NOTHING,
    And,
    Lit,
    Machine,
    Node,
    Not,
    Quoted,
    Ref,
    Token,
    TooLarge,
    alt,
    automaton,
    conditions,
    has,
    seq,
)
from ..schema import Solver
from ..schema.shapes import (
    ALL,
    FREE,
    Arrays,
    Goal,
    Kinds,
    Listed,
    Numbers,
    Objects,
    Shape,
    Strings,
    exactly,
)
from . import arrays, numbers, objects
from .scalars import COMMA, SHARED, bounded, constants, written
from .scalars import number as spelled

RULES = 20_000
"""Rules that one schema may need."""
LARGE = 3000
"""Rules of one value beyond which all properties come in their order."""
CONDITIONS = 4
"""Conditions on one text that llguidance follows."""
STATES = 3000
"""States of an automaton that GBNF spells out."""

State = TypeVar("State", bound=Hashable)
Steps = Callable[[State], Iterable[tuple[Node | None, State]]]


class Writer:
    """Writes the rules for the schemas of one document."""

    def __init__(
        self,
        solver: Solver,
        rules: dict[str, Node],
        comments: dict[str, str],
        free: bool = False,
    ) -> None:
        self.solver = solver
        self.rules = rules
        self.comments = comments
        self.nodes: dict[Goal, Node] = {}
        self.queue: list[tuple[str, Goal]] = []
        self.title = ""
        self.prefix = "value"
        self.closed = False
        self.free_order = free
        """A few properties may come in any order."""
        self.pointed = False
        """Whole numbers may end in a point and zeros."""
        self.goal = FREE

    def write(self, name: str, title: str, closed: bool) -> None:
        """Write the rule for the document's root, and all rules that it needs.

        Closed: the root is the object of a call's arguments, and objects hold no property that
        no schema names.
        """
        self.prefix, self.title, self.closed = name, title, closed
        self.pointed = self.solver.document.pointed and not closed
        self.rules[name] = NOTHING
        root = frozenset({self.solver.document.root})
        self.nodes[root] = Ref(name)
        self.queue.append((name, root))
        while self.queue:
            rule, goal = self.queue.pop(0)
            self.rules[rule] = self.body(rule, goal)
            if self.free_order and len(self.rules) > LARGE:
                raise TooLarge
            if len(self.rules) > RULES:
                raise SchemaError(f"The schema needs more than {RULES} rules.")

    def node(self, goal: Goal) -> Node:
        """What fits a goal: in place when it is simple, else by the name of its rule."""
        schemas = self.solver.document.schemas
        goal = frozenset(claim for claim in goal if claim < 0 or schemas[claim])
        if not goal:
            return Ref("value")
        if goal not in self.nodes:
            kinds = self.solver.kinds(goal)
            if kinds.shapes == ALL:
                self.nodes[goal] = Ref("value")
            elif _simple(kinds):
                self.nodes[goal] = self.body("", goal)
            else:
                self.nodes[goal] = self.named(goal)
        return self.nodes[goal]

    def named(self, goal: Goal) -> Node:
        """A reference to a new rule for a goal, named after where its schema stands."""
        claim = max(goal)
        pointer = self.solver.document.pointers[claim if claim >= 0 else ~claim]
        words = re.sub(r"[^a-z0-9]+", "-", WRAPPERS.sub("/", pointer).lower()).strip("-")
        name = self.free("-".join(filter(None, [self.prefix, words[-40:].strip("-")])))
        self.rules[name] = NOTHING
        self.comments[name] = f"{self.title} {pointer}".strip()
        self.queue.append((name, goal))
        return Ref(name)

    def free(self, name: str) -> str:
        """The name, or the name with a number if a rule has it already."""
        names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1_000_000))
        return next(each for each in names if each not in self.rules)

    def body(self, rule: str, goal: Goal) -> Node:
        """What fits a goal."""
        self.goal = goal
        kinds = self.solver.kinds(goal).shapes
        names = ["object"] if self.closed and rule == self.prefix else ALL
        return alt(*(KINDS[name](self, kinds[name], rule) for name in names if name in kinds))

    def constants(self, shapes: tuple[Shape, ...], rule: str) -> Node:
        """Values without any structure to decide on."""
        return alt(*(constants(shape.values) for shape in shapes if isinstance(shape, Listed)))

    def numbers(self, shapes: tuple[Shape, ...], rule: str) -> Node:
        """Numbers in one token, or digit by digit where only an automaton can tell them."""
        if shapes == ALL["number"]:
            return Ref("number")
        if shapes == INTEGERS and not self.pointed:
            return Ref("integer")
        node = alt(*(self.number(shape) for shape in shapes))
        try:
            return self.digits(node) if has(node, Machine) else Token(node)
        except TooLarge:
            self.unsure("multipleOf", "so many remainders are not told apart")
            loose = [_loose(shape) for shape in shapes]
            return Token(alt(*(self.number(shape) for shape in loose)))

    def number(self, shape: Shape) -> Node:
        """The numbers of one shape."""
        if isinstance(shape, Listed):
            return alt(
                *(spelled(each) if self.pointed else Lit(written(each)) for each in shape.values)
            )
        assert isinstance(shape, Numbers)
        try:
            return numbers.number(shape, self.pointed)
        except TooLarge:
            self.unsure("multipleOf", "so many remainders are not told apart")
            return numbers.number(_whole(shape), self.pointed)

    def digits(self, node: Node) -> Node:
        """A reference to rules of single characters for what a node matches."""
        machine = automaton(node)
        first = self.free(f"{self.prefix}-digits")
        names = [
            self.free(f"{first}-{state}") if state else first for state in range(len(machine.moves))
        ]
        for state, name in enumerate(names):
            steps = [seq(Token(chars), Ref(names[to])) for to, chars in machine.steps(state)]
            self.rules[name] = alt(*steps, *([EMPTY] if state in machine.final else []))
        return Ref(first)

    def strings(self, shapes: tuple[Shape, ...], rule: str) -> Node:
        """The strings of several shapes."""
        return alt(*(self.string(shape) for shape in shapes))

    def string(self, shape: Shape) -> Node:
        """The strings of one shape."""
        if isinstance(shape, Listed):
            return constants(shape.values, self.pointed)
        assert isinstance(shape, Strings)
        if shape == Strings():
            return Ref("string")
        try:
            if has(shape.node, And, Not):
                automaton(shape.node)
            if conditions(shape.node) > CONDITIONS:
                raise TooLarge
            return Quoted(self.bounded(shape))
        except TooLarge:
            self.unsure("pattern", "its conditions together have too many cases")
            return Ref("string")

    def bounded(self, shape: Strings) -> Node:
        """A string's characters, within its bounds where GBNF can say both."""
        node = bounded(shape.node, shape.least, shape.most)
        if has(node, And, Not) and not self.fits(node, shape):
            self.unsure("maxLength", "pattern and length together have too many cases")
            return shape.node
        return node

    def fits(self, node: Node, shape: Strings) -> bool:
        """Whether GBNF can say what a pattern and a length together ask for."""
        if node == shape.node:
            return True
        length = shape.most if shape.most is not None else shape.least
        return len(automaton(shape.node).moves) * (length + 1) <= STATES

    def arrays(self, shapes: tuple[Shape, ...], rule: str) -> Node:
        """The arrays of several shapes."""
        return alt(*(self.array(shape, rule) for shape in shapes))

    def array(self, shape: Shape, rule: str) -> Node:
        """The arrays of one shape."""
        if isinstance(shape, Listed):
            return constants(shape.values, self.pointed)
        assert isinstance(shape, Arrays)
        return Ref("array") if shape == Arrays() else arrays.array(self, shape, rule)

    def objects(self, shapes: tuple[Shape, ...], rule: str) -> Node:
        """The objects of several shapes."""
        return alt(*(self.object(shape, rule) for shape in shapes))

    def object(self, shape: Shape, rule: str) -> Node:
        """The objects of one shape."""
        if isinstance(shape, Listed):
            return constants(shape.values, self.pointed)
        assert isinstance(shape, Objects)
        if shape == Objects() and rule != self.prefix:
            return Ref("object")
        return objects.object_(self, shape, rule)

    def unsure(self, keyword: str, why: str) -> None:
        """Leave a keyword of the goal that is written now to the check after decoding."""
        claims = [claim if claim >= 0 else ~claim for claim in self.goal]
        holder = next((each for each in self.inside(claims) if self.says(each, keyword)), claims[0])
        self.solver.note(holder, keyword, why)

    def says(self, number: int, keyword: str) -> bool:
        """Whether a schema has a keyword."""
        return keyword in self.solver.document.schemas[number]

    def inside(self, numbers: Iterable[int]) -> Iterator[int]:
        """Schemas, and those that they ask the same value to fit."""
        todo, seen = list(numbers), set[int]()
        for number in todo:
            if number not in seen:
                seen.add(number)
                yield number
                schema = self.solver.document.schemas[number]
                todo += [
                    schema[each]
                    for each in ("$ref", "$dynamicRef", "if", "then", "else", "not")
                    if each in schema
                ]
                todo += [
                    inner for each in ("allOf", "anyOf", "oneOf") for inner in schema.get(each, ())
                ]

    def sequence(
        self, rule: str, start: State, steps: Steps[State], done: Callable[[State], bool]
    ) -> Node:
        """Elements with commas between them, where each state says what may come next.

        A step without a node leads to another state whose steps are possible, too, so that
        long rows of optional elements need few rules.
        """
        names: dict[tuple[str, State], str] = {}
        queue: list[tuple[str, State]] = []

        def to(what: str, state: State) -> Node:
            if (what, state) not in names:
                names[what, state] = self.free(f"{rule}-{what}-{len(names) + 1}")
                self.rules[names[what, state]] = NOTHING
                queue.append((what, state))
            return Ref(names[what, state])

        def choices(state: State) -> Node:
            return alt(
                *(
                    seq(node, to("more", after)) if node is not None else to("next", after)
                    for node, after in steps(state)
                )
            )

        def more(state: State) -> Node:
            return alt(seq(COMMA, choices(state)), *([EMPTY] if done(state) else []))

        first = alt(choices(start), *([EMPTY] if done(start) else []))
        for what, state in queue:
            self.rules[names[what, state]] = more(state) if what == "more" else choices(state)
        return first


def _loose(shape: Shape) -> Shape:
    """The shape without a grid."""
    return _whole(shape) if isinstance(shape, Numbers) else shape


def _whole(shape: Numbers) -> Numbers:
    """The numbers without a grid, but that of whole numbers."""
    whole = shape.step is not None and shape.step.denominator == 1
    return replace(shape, step=exactly(1) if whole else None, off=())


WRAPPERS = re.compile(r"/(?:properties|\$defs|definitions|items|anyOf|oneOf|allOf)(?=/|$)")


def _simple(kinds: Kinds) -> bool:
    """Whether values of these kinds need no rule of their own."""
    return all(
        name not in ("array", "object") or shapes == ALL[name]
        for name, shapes in kinds.shapes.items()
    )


KINDS: dict[str, Callable[[Writer, tuple[Shape, ...], str], Node]] = {
    "null": Writer.constants,
    "boolean": Writer.constants,
    "number": Writer.numbers,
    "string": Writer.strings,
    "array": Writer.arrays,
    "object": Writer.objects,
}
INTEGERS = (Numbers(step=exactly(1)),)


def named(tools: Iterable[str]) -> list[str]:
    """A rule's name for each tool: its own where it can be, always the same for the same tools."""
    names: dict[str, None] = {}
    for tool in tools:
        plain = re.sub(r"[^a-z0-9]+", "-", tool.lower()).strip("-")[:40]
        plain = f"tool-{plain}" if not plain[:1].isalpha() or plain in RESERVED else plain
        numbers = (f"{plain}-{number}" if number > 1 else plain for number in range(1, 1_000_000))
        names[next(name for name in numbers if name not in names)] = None
    return list(names)


RESERVED = {"root", "call", *SHARED}


def shared(rules: Mapping[str, Node]) -> dict[str, Node]:
    """The rules for values without a schema."""
    return {name: node for name, node in SHARED.items() if name not in rules}
