"""Let a model draft scenarios within a grammar, and keep those whose calls change the state."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..agent import Engine, TurnOptions
from ..agent.schema_answer import SchemaAnswer
from ..errors import UsageError, XlamError
from ..generators import drain
from ..openai_format import dumps
from ..prompt import tool_json
from ..session import Session
from ..types import Effect, Sampling, Schema, Tool, ToolCall
from .gold import ToolWorlds, right_end_state
from .scenario import Scenario
from .state import State, read_state, state_diff
from .world import fresh_world

MAX_CALLS = 3
MAX_STATE_LINES = 60
MAX_EXAMPLES = 3
MAX_TOKENS = 512
TEMPERATURE = 0.8
REQUEST = """These tools work on the data below:
{tools}

The data:
{state}

Examples of tasks:
{examples}

Write one more task: what a customer says, in one or two sentences with all values that are needed,
and the calls that do it. Use only values of the data. At least one call changes the data."""


@dataclass(frozen=True, slots=True)
class ProposedScenario:
    """A scenario that a model drafted, with what its calls change; or why it is left out."""

    scenario: Scenario | None
    diff: Sequence[str] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proposer:
    """Lets a model write drafts that have the start state of the first scenario."""

    scenarios: Sequence[Scenario]
    tools: Sequence[Tool]
    engine: Engine
    worlds: ToolWorlds

    def drafts(self, count: int, seed: int) -> Iterator[ProposedScenario]:
        """Let the model write `count` drafts and run the calls of each; yield each draft."""
        before = self._start()
        text = self._request(before)
        schema = draft_schema(self.tools)
        known = {scenario.user[0] for scenario in self.scenarios}
        for number in range(seed, seed + count):
            try:
                draft = _draft(self.engine, text, schema, number)
            except XlamError as error:
                yield ProposedScenario(None, reason=str(error))
                continue
            if draft["request"] in known:
                yield ProposedScenario(None, reason=f"{draft['request']!r} is there already")
                continue
            known.add(draft["request"])
            yield _checked(self._scenario(draft, number), before, self.worlds)

    def _start(self) -> State:
        start = self.scenarios[0].start
        with fresh_world(start) as world:
            return read_state(world, start.ignore)

    def _request(self, start: State) -> str:
        lines = [f"{name}: {line}" for name, found in start.items() for line in found]
        return REQUEST.format(
            tools="\n".join(dumps(tool_json(tool)) for tool in self.tools),
            state="\n".join(lines[:MAX_STATE_LINES]),
            examples="\n".join(map(_example, _examples(self.scenarios, self.tools))),
        )

    def _scenario(self, draft: Any, number: int) -> Scenario:
        calls = [
            ToolCall(f"gold_{place}", call["name"], call["arguments"])
            for place, call in enumerate(draft["calls"], 1)
        ]
        first = self.scenarios[0]
        return Scenario(
            name=f"proposed {number}",
            where=f"draft {number}",
            start=first.start,
            user=(draft["request"],),
            calls=tuple(calls),
            system=first.system,
            proposed=self.engine.name,
        )


def draft_schema(tools: Sequence[Tool]) -> Schema:
    """Return the JSON Schema of a draft: a request, and calls to tools.

    Tools whose schema has definitions of its own are left out.
    """
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
        if "$defs" not in tool.parameters
    ]
    return {
        "type": "object",
        "properties": {
            "request": {"type": "string", "minLength": 10, "maxLength": 200},
            "calls": {
                "type": "array",
                "items": {"anyOf": calls},
                "minItems": 1,
                "maxItems": MAX_CALLS,
            },
        },
        "required": ["request", "calls"],
        "additionalProperties": False,
    }


def _draft(engine: Engine, text: str, schema: Schema, seed: int) -> Any:
    sampling = Sampling(temperature=TEMPERATURE, seed=seed, max_tokens=MAX_TOKENS)
    session = Session(engine, options=TurnOptions(sampling=sampling))
    answer = session.answer(drain(session.send_for_json(text, schema)))
    return SchemaAnswer(schema).parse(answer)


def _checked(one: Scenario, before: State, worlds: ToolWorlds) -> ProposedScenario:
    try:
        after = right_end_state(one, worlds)
    except UsageError as error:
        return ProposedScenario(None, reason=str(error))
    diff = state_diff(before, after or {})
    if not diff:
        return ProposedScenario(None, reason=f"{one.where}: the calls change nothing")
    return ProposedScenario(one, diff)


def _examples(scenarios: Sequence[Scenario], tools: Sequence[Tool]) -> list[Scenario]:
    """Return scenarios whose calls write, as examples."""
    writing = {tool.name for tool in tools if tool.effect is not Effect.READ}
    chosen = [one for one in scenarios if any(call.name in writing for call in one.calls or ())]
    return chosen[:MAX_EXAMPLES]


def _example(scenario: Scenario) -> str:
    calls = [{"name": call.name, "arguments": call.arguments} for call in scenario.calls or ()]
    return json.dumps({"request": scenario.user[0], "calls": calls}, ensure_ascii=False)
