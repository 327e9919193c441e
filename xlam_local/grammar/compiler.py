"""Compile the value sets of a schema to grammar rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..errors import SchemaError
from ..gbnf import (
    EMPTY,
    NOTHING,
    And,
    AutomatonNode,
    Literal,
    Node,
    Not,
    Quoted,
    Ref,
    Token,
    TooLarge,
    alt,
    conditions,
    contains_kind,
    seq,
)
from ..regular.nfa import to_dfa
from ..schema import Solver
from ..schema.value_sets import (
    ALL,
    Arrays,
    Enum,
    Numbers,
    Objects,
    SchemaSet,
    Strings,
    TypeSet,
    exact_fraction,
)
from . import arrays, numbers, objects
from .rule_builder import RuleBuilder
from .scalars import SHARED, bounded, constants, to_json
from .scalars import constant_number as spelled

MAX_RULES = 20_000
"""Rules that one schema may need."""
MAX_RULES_ANY_ORDER = 3000
"""If a value needs more rules than this, all properties come in their order."""
MAX_CONDITIONS = 4
"""Intersected patterns on one text that llguidance handles."""
MAX_COUNTED_STATES = 3000
"""States of an automaton for a pattern together with a length."""
MAX_NAME_CHARS = 40
"""Characters of a tool's name in the names of its rules."""
TOO_MANY_REMAINDERS = "the multiples have too many remainders"


class GrammarCompiler:
    """Writes the rules for the schemas of one document."""

    def __init__(
        self,
        solver: Solver,
        rules: dict[str, Node],
        comments: dict[str, str],
        any_order: bool = False,
    ) -> None:
        self.solver = solver
        self.rules = rules
        self.builder = RuleBuilder(solver, rules, comments, self.body)
        self.builder.any_order = any_order

    def compile(self, name: str, title: str, closed: bool) -> None:
        """Write the rule `name` for the document's root, and all rules that it needs.

        If `closed`, the root is the object of a call's arguments, and objects hold only
        properties that a schema names.

        Raises:
            SchemaError: the schema needs too many rules.
            TooLarge: properties in any order need too many rules.
        """
        builder = self.builder
        builder.prefix, builder.title, builder.closed = name, title, closed
        builder.trailing_zeros = self.solver.document.trailing_zeros and not closed
        self.rules[name] = NOTHING
        root = frozenset({self.solver.document.root})
        builder.nodes[root] = Ref(name)
        builder.queue.append((name, root))
        while builder.queue:
            rule, goal = builder.queue.pop(0)
            self.rules[rule] = self.body(rule, goal)
            if builder.any_order and len(self.rules) > MAX_RULES_ANY_ORDER:
                raise TooLarge
            if len(self.rules) > MAX_RULES:
                raise SchemaError(f"The schema needs more than {MAX_RULES} rules.")

    def body(self, rule: str, goal: SchemaSet) -> Node:
        """Return the node of all values of a schema set."""
        builder = self.builder
        builder.current = goal
        shapes = self.solver.value_set(goal).shapes
        names = ["object"] if builder.closed and rule == builder.prefix else ALL
        return alt(*(BY_TYPE[name](self, shapes[name], rule) for name in names if name in shapes))

    def constants(self, shapes: tuple[TypeSet, ...], rule: str) -> Node:
        """Return null and the booleans."""
        return alt(*(constants(shape.values) for shape in shapes if isinstance(shape, Enum)))

    def numbers(self, shapes: tuple[TypeSet, ...], rule: str) -> Node:
        """Return numbers as one lexeme, or digit by digit if only an automaton decides."""
        if shapes == ALL["number"]:
            return Ref("number")
        if shapes == INTEGERS and not self.builder.trailing_zeros:
            return Ref("integer")
        node = alt(*(self.number(shape) for shape in shapes))
        try:
            return self.digits(node) if contains_kind(node, AutomatonNode) else Token(node)
        except TooLarge:
            self.builder.defer_to_validation("multipleOf", TOO_MANY_REMAINDERS)
            return Token(alt(*(self.number(_without_multiples(shape)) for shape in shapes)))

    def number(self, shape: TypeSet) -> Node:
        """Return the numbers of one type set."""
        zeros = self.builder.trailing_zeros
        if isinstance(shape, Enum):
            return alt(
                *(spelled(value) if zeros else Literal(to_json(value)) for value in shape.values)
            )
        assert isinstance(shape, Numbers)
        try:
            return numbers.number(shape, zeros)
        except TooLarge:
            self.builder.defer_to_validation("multipleOf", TOO_MANY_REMAINDERS)
            return numbers.number(_whole_or_any(shape), zeros)

    def digits(self, node: Node) -> Node:
        """Return a reference to rules of single characters for what a node matches."""
        automaton = to_dfa(node)
        first = self.builder.unused_name(f"{self.builder.prefix}-digits")
        names = [
            self.builder.unused_name(f"{first}-{state}") if state else first
            for state in range(len(automaton.moves))
        ]
        for state, name in enumerate(names):
            steps = [seq(Token(chars), Ref(names[to])) for to, chars in automaton.steps(state)]
            self.rules[name] = alt(*steps, *([EMPTY] if state in automaton.final else []))
        return Ref(first)

    def strings(self, shapes: tuple[TypeSet, ...], rule: str) -> Node:
        """Return the strings of several type sets."""
        return alt(*(self.string(shape) for shape in shapes))

    def string(self, shape: TypeSet) -> Node:
        """Return the strings of one type set."""
        if isinstance(shape, Enum):
            return constants(shape.values, self.builder.trailing_zeros)
        assert isinstance(shape, Strings)
        if shape == Strings():
            return Ref("string")
        try:
            if contains_kind(shape.node, And, Not):
                to_dfa(shape.node)
            if conditions(shape.node) > MAX_CONDITIONS:
                raise TooLarge
            return Quoted(self.bounded(shape))
        except TooLarge:
            self.builder.defer_to_validation("pattern", "the patterns combine to too many cases")
            return Ref("string")

    def bounded(self, shape: Strings) -> Node:
        """Return a string's characters, within its length if GBNF can express both."""
        node = bounded(shape.node, shape.minimum, shape.maximum)
        if contains_kind(node, And, Not) and not self.is_expressible(node, shape):
            why = "pattern and length combine to too many cases"
            self.builder.defer_to_validation("maxLength", why)
            return shape.node
        return node

    def is_expressible(self, node: Node, shape: Strings) -> bool:
        """Return whether GBNF can express a pattern together with a length."""
        if node == shape.node:
            return True
        length = shape.maximum if shape.maximum is not None else shape.minimum
        return len(to_dfa(shape.node).moves) * (length + 1) <= MAX_COUNTED_STATES

    def arrays(self, shapes: tuple[TypeSet, ...], rule: str) -> Node:
        """Return the arrays of several type sets."""
        return alt(*(self.array(shape, rule) for shape in shapes))

    def array(self, shape: TypeSet, rule: str) -> Node:
        """Return the arrays of one type set."""
        if isinstance(shape, Enum):
            return constants(shape.values, self.builder.trailing_zeros)
        assert isinstance(shape, Arrays)
        return Ref("array") if shape == Arrays() else arrays.array(self.builder, shape, rule)

    def objects(self, shapes: tuple[TypeSet, ...], rule: str) -> Node:
        """Return the objects of several type sets."""
        return alt(*(self.object(shape, rule) for shape in shapes))

    def object(self, shape: TypeSet, rule: str) -> Node:
        """Return the objects of one type set."""
        if isinstance(shape, Enum):
            return constants(shape.values, self.builder.trailing_zeros)
        assert isinstance(shape, Objects)
        if shape == Objects() and rule != self.builder.prefix:
            return Ref("object")
        return objects.object_(self.builder, shape, rule)


def _without_multiples(shape: TypeSet) -> TypeSet:
    return _whole_or_any(shape) if isinstance(shape, Numbers) else shape


def _whole_or_any(shape: Numbers) -> Numbers:
    """Return the numbers without `multipleOf`, but integers stay integers."""
    whole = shape.step is not None and shape.step.denominator == 1
    return replace(shape, step=exact_fraction(1) if whole else None, excluded_steps=())


BY_TYPE: dict[str, Callable[[GrammarCompiler, tuple[TypeSet, ...], str], Node]] = {
    "null": GrammarCompiler.constants,
    "boolean": GrammarCompiler.constants,
    "number": GrammarCompiler.numbers,
    "string": GrammarCompiler.strings,
    "array": GrammarCompiler.arrays,
    "object": GrammarCompiler.objects,
}
INTEGERS = (Numbers(step=exact_fraction(1)),)
RESERVED = {"root", "call", *SHARED}
"""Rule names that no tool may take."""


def rule_names(tools: Iterable[str]) -> list[str]:
    """Return a rule name for each tool, the same for the same list of tools."""
    names: dict[str, None] = {}
    for tool in tools:
        plain = re.sub(r"[^a-z0-9]+", "-", tool.lower()).strip("-")[:MAX_NAME_CHARS]
        plain = f"tool-{plain}" if not plain[:1].isalpha() or plain in RESERVED else plain
        numbered = (f"{plain}-{number}" if number > 1 else plain for number in range(1, 1_000_000))
        names[next(name for name in numbered if name not in names)] = None
    return list(names)


def shared_rules(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Return the rules for values without a schema that `rules` does not define."""
    return {name: node for name, node in SHARED.items() if name not in rules}
