"""Decide whether a run is right, and name the cause if it is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..openai_format import dumps
from ..types import (
    AssistantMessage,
    Effect,
    FinishReason,
    Message,
    Tool,
    ToolCall,
    ToolResult,
)
from .scenario import Scenario
from .state import State, state_diff

REFUSED, CUT, LOOP, INVALID_CALL = "refused", "cut", "loop", "invalid call"
NO_CALL, WRONG_TOOL, WRONG_ARGUMENT = "no call", "wrong tool", "wrong argument"
ONE_TOO_MANY, WRONG_STATE = "one too many", "wrong state"
WRONG_ANSWER, FAILED_CHECK = "wrong answer", "failed check"
CAUSES = (
    *(NO_CALL, WRONG_TOOL, WRONG_ARGUMENT, ONE_TOO_MANY, REFUSED, CUT, LOOP, INVALID_CALL),
    *(WRONG_STATE, WRONG_ANSWER, FAILED_CHECK),
)
ENDINGS: Mapping[FinishReason, str] = {
    "length": CUT,
    "timeout": CUT,
    "token_budget": CUT,
    "max_steps": LOOP,
    "loop": LOOP,
    "repeated_error": LOOP,
    "invalid_tool_calls": INVALID_CALL,
}
"""The causes that follow from how the last turn ended."""


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """What a run left."""

    messages: Sequence[Message]
    finish_reason: FinishReason
    state: State
    complaint: str = ""
    """What the user's own check says is wrong."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a run is right, and why not."""

    passed: bool
    cause: str = ""
    """One of CAUSES."""
    detail: str = ""
    diff: Sequence[str] = ()
    """The lines of the state that are missing (-), and those that are too many (+)."""


def judge(
    end: TrialEnd, scenario: Scenario, expected: State | None, tools: Mapping[str, Tool]
) -> Judgement:
    """Judge the end of a run; `expected` is the right end state, if the scenario has calls."""
    diff = [] if expected is None else state_diff(expected, end.state)
    missing_texts = [text for text in scenario.says if not _is_said(text, end.messages)]
    forbidden = [call.name for call in _made(end.messages) if call.name in scenario.forbid]
    if not (diff or missing_texts or forbidden or end.complaint):
        return Judgement(True)
    findings = _Findings(end, scenario, tools, diff, missing_texts, forbidden)
    cause, detail = next(find for rule in RULES if (find := rule(findings)))
    return Judgement(False, cause, detail, diff)


def answers(messages: Sequence[Message]) -> str:
    """Return all answers of the model."""
    return "\n".join(one.text for one in messages if isinstance(one, AssistantMessage))


def _is_said(text: str, messages: Sequence[Message]) -> bool:
    """Return whether an answer has a text; case and commas do not count, as in tau-bench."""
    said = answers(messages).casefold().replace(",", "")
    return text.casefold().replace(",", "") in said


def _results(messages: Sequence[Message]) -> Iterator[ToolResult]:
    return (one for one in messages if isinstance(one, ToolResult) and not one.skipped)


def _made(messages: Sequence[Message]) -> list[ToolCall]:
    return [result.call for result in _results(messages)]


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is known of a run that is not right."""

    end: TrialEnd
    scenario: Scenario
    tools: Mapping[str, Tool]
    diff: Sequence[str]
    missing_texts: Sequence[str]
    forbidden: Sequence[str]

    def match(self) -> tuple[list[ToolCall], list[ToolResult]]:
        """Return the right calls that were not made, and the results of the other calls."""
        missing = list(self.scenario.calls or ())
        extra: list[ToolResult] = []
        for result in _results(self.end.messages):
            key = self.key(result.call)
            place = next((n for n, call in enumerate(missing) if self.key(call) == key), None)
            if place is None:
                extra.append(result)
            else:
                del missing[place]
        return missing, extra

    def key(self, call: ToolCall) -> str:
        """Return a text that is equal for calls that mean the same."""
        return json.dumps([call.name, self.arguments(call)], sort_keys=True)

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """Return the arguments of a call with the defaults of the schema."""
        tool = self.tools.get(call.name)
        properties = tool.parameters.get("properties", {}) if tool else {}
        defaults = {
            name: schema["default"]
            for name, schema in properties.items()
            if isinstance(schema, Mapping) and "default" in schema
        }
        return {**defaults, **call.arguments}

    def writes(self, name: str) -> bool:
        """Return whether a tool can change something."""
        tool = self.tools.get(name)
        return tool is not None and tool.effect is not Effect.READ


Finding = tuple[str, str]
"""A cause and its detail."""


def _refused(found: _Findings) -> Finding | None:
    names = [one.call.name for one in _results(found.end.messages) if one.refused]
    return (REFUSED, f"{names[0]} was refused") if names else None


def _ended(found: _Findings) -> Finding | None:
    cause = ENDINGS.get(found.end.finish_reason, "")
    return (cause, f"the turn ended with {found.end.finish_reason!r}") if cause else None


def _forbidden(found: _Findings) -> Finding | None:
    if not found.forbidden:
        return None
    return ONE_TOO_MANY, f"{found.forbidden[0]} must not be called"


def _wrong_call(found: _Findings) -> Finding | None:
    """Name what was called instead of a right call."""
    missing, extra = found.match()
    for wanted in missing:
        same = [result.call for result in extra if result.call.name == wanted.name]
        if same:
            return WRONG_ARGUMENT, _argument_difference(wanted, same[-1], found)
    gold = {call.name for call in found.scenario.calls or ()}
    for wanted in missing:
        for result in extra:
            name = result.call.name
            if name not in gold and (found.writes(name) or not found.writes(wanted.name)):
                return WRONG_TOOL, f"{name} instead of {wanted.name}"
    return None


def _no_call(found: _Findings) -> Finding | None:
    missing, _ = found.match()
    return (NO_CALL, f"{missing[0].name} was not called") if missing else None


def _extra_call(found: _Findings) -> Finding | None:
    for result in found.match()[1]:
        if result.ok and found.writes(result.call.name) and found.diff:
            return ONE_TOO_MANY, f"{result.call.name} {dumps(result.call.arguments)}"
    return None


def _nothing_called(found: _Findings) -> Finding | None:
    if found.scenario.calls is None and found.end.complaint and not _made(found.end.messages):
        return NO_CALL, f"no tool was called; {found.end.complaint}"
    return None


def _state(found: _Findings) -> Finding | None:
    return (WRONG_STATE, "the calls are right, their effect is not") if found.diff else None


def _answer(found: _Findings) -> Finding | None:
    if not found.missing_texts:
        return None
    listed = ", ".join(map(repr, found.missing_texts))
    return WRONG_ANSWER, f"the answers do not contain {listed}"


def _complaint(found: _Findings) -> Finding | None:
    return FAILED_CHECK, found.end.complaint


RULES: Sequence[Callable[[_Findings], Finding | None]] = (
    *(_refused, _forbidden, _wrong_call, _extra_call, _ended, _no_call, _nothing_called),
    *(_state, _answer, _complaint),
)
"""The first that applies names the cause."""


def _argument_difference(wanted: ToolCall, made: ToolCall, found: _Findings) -> str:
    right, given = found.arguments(wanted), found.arguments(made)
    for name in (*right, *given):
        if name not in given:
            return f"{made.name}: {name} is missing, expected {dumps(right[name])}"
        if name not in right:
            return f"{made.name}: {name} is {dumps(given[name])}, expected none"
        if right[name] != given[name]:
            return f"{made.name}: {name} is {dumps(given[name])}, expected {dumps(right[name])}"
    return f"{made.name}: called once too often with the same arguments"
