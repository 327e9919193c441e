"""Named rules for the schemas of one document, and rules for sequences with commas."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from ..gbnf import EMPTY, NOTHING, Node, Ref, alt, seq
from ..schema import Solver
from ..schema.value_sets import ALL, FREE, SchemaSet, ValueSet
from .scalars import COMMA

POINTER_WRAPPERS = re.compile(r"/(?:properties|\$defs|definitions|items|anyOf|oneOf|allOf)(?=/|$)")
"""Parts of a JSON pointer that rule names leave out."""
MAX_NAME_CHARS = 40
"""Characters of a JSON pointer in a rule's name; the last ones are kept."""

State = TypeVar("State", bound=Hashable)
Steps = Callable[[State], Iterable[tuple[Node | None, State]]]
Emit = Callable[[str, SchemaSet], Node]
"""Returns the body of the rule with this name for the values of this schema set."""


class RuleBuilder:
    """Collects the rules of one document; `emit` writes the body of each rule."""

    def __init__(
        self, solver: Solver, rules: dict[str, Node], comments: dict[str, str], emit: Emit
    ) -> None:
        self.solver = solver
        self.rules = rules
        self.comments = comments
        self.emit = emit
        self.nodes: dict[SchemaSet, Node] = {}
        self.queue: list[tuple[str, SchemaSet]] = []
        self.title = ""
        """The tool's name, for comments."""
        self.prefix = "value"
        """The first rule's name, with which the names of all others begin."""
        self.closed = False
        """Objects hold no property that no schema names."""
        self.any_order = False
        """A few properties may come in any order."""
        self.trailing_zeros = False
        """Integers may end in a decimal point and zeros."""
        self.current = FREE
        """The schema set whose rule is being written."""

    def node(self, goal: SchemaSet) -> Node:
        """Return the node of a schema set: inline if it is simple, else a reference to its rule."""
        schemas = self.solver.document.schemas
        goal = frozenset(claim for claim in goal if claim < 0 or schemas[claim])
        if not goal:
            return Ref("value")
        if goal not in self.nodes:
            values = self.solver.value_set(goal)
            if values.shapes == ALL:
                self.nodes[goal] = Ref("value")
            elif _is_simple(values):
                self.nodes[goal] = self.emit("", goal)
            else:
                self.nodes[goal] = self.new_rule(goal)
        return self.nodes[goal]

    def new_rule(self, goal: SchemaSet) -> Node:
        """Return a reference to a new rule, named after the JSON pointer of its schema."""
        claim = max(goal)
        pointer = self.solver.document.pointers[claim if claim >= 0 else ~claim]
        short = POINTER_WRAPPERS.sub("/", pointer).lower()
        words = re.sub(r"[^a-z0-9]+", "-", short).strip("-")[-MAX_NAME_CHARS:].strip("-")
        name = self.unused_name("-".join(filter(None, [self.prefix, words])))
        self.rules[name] = NOTHING
        self.comments[name] = f"{self.title} {pointer}".strip()
        self.queue.append((name, goal))
        return Ref(name)

    def unused_name(self, name: str) -> str:
        """Return the name, with a number if a rule has it already."""
        names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1_000_000))
        return next(candidate for candidate in names if candidate not in self.rules)

    def defer_to_validation(self, keyword: str, why: str) -> None:
        """Record that a keyword of the current schemas is checked only after decoding."""
        numbers = [claim if claim >= 0 else ~claim for claim in self.current]
        schemas = self.solver.document.schemas
        having = (number for number in self._applied(numbers) if keyword in schemas[number])
        self.solver.defer_to_validation(next(having, numbers[0]), keyword, why)

    def _applied(self, numbers: Iterable[int]) -> Iterator[int]:
        """Yield schemas, and the subschemas that they apply to the same value."""
        todo, seen = list(numbers), set[int]()
        for number in todo:
            if number in seen:
                continue
            seen.add(number)
            yield number
            schema = self.solver.document.schemas[number]
            single = ("$ref", "$dynamicRef", "if", "then", "else", "not")
            todo += [schema[keyword] for keyword in single if keyword in schema]
            for keyword in ("allOf", "anyOf", "oneOf"):
                todo += schema.get(keyword, ())

    def sequence(
        self, rule: str, start: State, steps: Steps[State], is_done: Callable[[State], bool]
    ) -> Node:
        """Return elements separated by commas; `steps` yields what may come next in a state.

        A step without a node leads to another state whose steps are possible as well, so that
        long rows of optional elements need few rules.
        """
        names: dict[tuple[str, State], str] = {}
        queue: list[tuple[str, State]] = []

        def reference(kind: str, state: State) -> Node:
            if (kind, state) not in names:
                names[kind, state] = self.unused_name(f"{rule}-{kind}-{len(names) + 1}")
                self.rules[names[kind, state]] = NOTHING
                queue.append((kind, state))
            return Ref(names[kind, state])

        def choices(state: State) -> Node:
            return alt(
                *(
                    seq(node, reference("more", after))
                    if node is not None
                    else reference("next", after)
                    for node, after in steps(state)
                )
            )

        def more(state: State) -> Node:
            return alt(seq(COMMA, choices(state)), *([EMPTY] if is_done(state) else []))

        first = alt(choices(start), *([EMPTY] if is_done(start) else []))
        for kind, state in queue:
            self.rules[names[kind, state]] = more(state) if kind == "more" else choices(state)
        return first


def _is_simple(values: ValueSet) -> bool:
    """Return whether a value set needs no rule of its own."""
    return all(
        name not in ("array", "object") or shapes == ALL[name]
        for name, shapes in values.shapes.items()
    )
