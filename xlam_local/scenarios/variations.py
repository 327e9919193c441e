"""Other tool sets for the same tasks, made without a model: they show how brittle a set is."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ToolError, UsageError
from ..types import Effect, Tool, ToolCall

DISTRACTOR_COUNT = 5
DISTRACTORS: Mapping[str, tuple[str, str]] = {
    "get_weather": ("Return the weather forecast of a city.", "city"),
    "translate_text": ("Translate a text to English.", "text"),
    "send_email": ("Send an email to an address.", "address"),
    "search_web": ("Search the web for pages.", "query"),
    "book_table": ("Book a table in a restaurant.", "restaurant"),
    "get_stock_price": ("Return the price of a share.", "symbol"),
    "create_event": ("Create an event in the calendar.", "title"),
    "play_music": ("Play a song or an album.", "title"),
    "get_route": ("Return the route to an address.", "destination"),
    "set_alarm": ("Set an alarm.", "time"),
}
"""The name of each tool that is only in the way, with its description and its argument."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How the tools of a run differ from those of the file."""

    kind: str
    count: int = 0
    """The number of distractors."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}" if self.count else self.kind


@dataclass(frozen=True, slots=True)
class VariedTools:
    """Tools as the model gets them, and what they are called in the file."""

    tools: tuple[Tool, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    """The name in the file by the name that is offered, if they differ."""
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The same for the arguments of each offered tool."""

    def original(self, call: ToolCall) -> ToolCall:
        """Return a call with the names of the file."""
        known = self.arguments.get(call.name, {})
        arguments = {known.get(name, name): value for name, value in call.arguments.items()}
        return replace(call, name=self.names.get(call.name, call.name), arguments=arguments)


def parse_variations(text: str) -> tuple[Variation, ...]:
    """Return the variations in a list such as `order,distractors:3`.

    Raises:
        UsageError: there is no such variation.
    """
    found: list[Variation] = []
    for item in text.split(","):
        kind, _, number = item.strip().partition(":")
        if kind not in VARIATIONS or (number and kind != "distractors"):
            raise UsageError(f"--vary: {item.strip()!r} is none of {', '.join(VARIATIONS)}.")
        count = DISTRACTOR_COUNT if kind == "distractors" else 0
        if number:
            if not number.isdecimal() or not 1 <= int(number) <= len(DISTRACTORS):
                raise UsageError(
                    f"--vary: distractors:{number} must have a number from 1 to {len(DISTRACTORS)}."
                )
            count = int(number)
        found.append(Variation(kind, count))
    return tuple(dict.fromkeys(found))


def vary(tools: Sequence[Tool], variation: Variation | None, seed: int) -> VariedTools:
    """Return the tools of a variation; the same seed gives the same tools."""
    if variation is None:
        return VariedTools(tuple(tools))
    return VARIATIONS[variation.kind](tools, variation, random.Random(seed))


def _order(tools: Sequence[Tool], _variation: Variation, chance: random.Random) -> VariedTools:
    return VariedTools(tuple(chance.sample(list(tools), len(tools))))


def _distractors(tools: Sequence[Tool], variation: Variation, chance: random.Random) -> VariedTools:
    taken = {tool.name for tool in tools}
    names = chance.sample([name for name in DISTRACTORS if name not in taken], variation.count)
    mixed = [*tools, *map(_distractor, names)]
    return VariedTools(tuple(chance.sample(mixed, len(mixed))))


def _distractor(name: str) -> Tool:
    description, argument = DISTRACTORS[name]
    parameters = {
        "type": "object",
        "properties": {argument: {"type": "string"}},
        "required": [argument],
        "additionalProperties": False,
    }

    def run(**_arguments: object) -> object:
        raise ToolError("This service is not available.")

    return Tool(name, description, parameters, Effect.READ, run)


def _names(tools: Sequence[Tool], _variation: Variation, _chance: random.Random) -> VariedTools:
    """Give tools and their arguments names that say nothing."""
    renamed = [_renamed(tool, f"tool_{number}") for number, tool in enumerate(tools, 1)]
    return VariedTools(
        tuple(tool for tool, _ in renamed),
        {new.name: old.name for (new, _), old in zip(renamed, tools, strict=True)},
        {tool.name: arguments for tool, arguments in renamed},
    )


def _renamed(tool: Tool, name: str) -> tuple[Tool, Mapping[str, str]]:
    properties = tool.parameters.get("properties", {})
    new = {old: f"argument_{number}" for number, old in enumerate(properties, 1)}
    original = {value: key for key, value in new.items()}
    parameters: dict[str, Any] = {
        **tool.parameters,
        "properties": {new[old]: schema for old, schema in properties.items()},
    }
    if "required" in parameters:
        parameters["required"] = [new.get(old, old) for old in parameters["required"]]
    run = tool.run

    def call(**arguments: object) -> object:
        assert run is not None
        return run(**{original.get(key, key): value for key, value in arguments.items()})

    renamed = replace(tool, name=name, parameters=parameters, run=call, preview=None)
    return renamed, original


def _descriptions(
    tools: Sequence[Tool], _variation: Variation, _chance: random.Random
) -> VariedTools:
    bare = [
        replace(tool, description="", parameters=_without_descriptions(tool.parameters))
        for tool in tools
    ]
    return VariedTools(tuple(bare))


def _without_descriptions(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_descriptions(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _without_descriptions(value)
        for key, value in schema.items()
        # The value of a property that is called "description" is a schema, not text.
        if key != "description" or isinstance(value, Mapping)
    }


VARIATIONS: Mapping[str, Callable[[Sequence[Tool], Variation, random.Random], VariedTools]] = {
    "order": _order,
    "distractors": _distractors,
    "names": _names,
    "descriptions": _descriptions,
}
