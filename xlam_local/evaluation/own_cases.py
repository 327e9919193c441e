"""The user's own cases: requests and the calls that are right, judged by the original checker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import user_file
from ..errors import UsageError
from ..prompt import tool_json
from ..types import Tool
from .bfcl import BFCL_CHECKER
from .bfcl_checker import Checker
from .replies import EvalRequest
from .run import EvalCase, Judges, Write, outcome_of, reply_json

Json = Mapping[str, Any]

CATEGORY = "own"
NO_CALL_CATEGORY = "own_irrelevance"
CHECKER = f"{BFCL_CHECKER}, own cases"
KEYS = {"id", "request", "messages", "calls", "category"}
MESSAGE_KEYS = {"role", "content", "name", "tool_call_id"}
"""What a message can have; calls in it are written as its content."""
CALL_KEYS = {"name", "arguments"}
VALUE_KEYS = {"values", "optional"}
OMITTED = ""
"""What the original checker reads as "may be omitted" among the values of an argument."""
CHECKER_TYPES = {"number": "float", "object": "dict"}
"""The names of the original for types of JSON Schema; those that are missing are the same."""
KNOWN_TYPES = ("string", "integer", "float", "boolean", "array", "dict")


@dataclass(frozen=True, slots=True)
class OwnCases:
    """Cases, and the answers that are right."""

    cases: Sequence[EvalCase]
    functions: Sequence[Json]
    """The tools, as the original checker reads them."""
    answers: Mapping[str, Sequence[Json]]
    """The right calls by the id of the case."""

    def identity(self) -> Mapping[str, str]:
        """Return what changes the verdicts on all cases."""
        tools = [[case.request.functions for case in self.cases[:1]], self.functions]
        return {"checker": CHECKER, "tools_sha256": _digest(tools)}

    def judges(self, folders: Sequence[Path]) -> Judges:
        """Return what judges the cases."""
        return Judges(partial(Checker, folders), self._play)

    def _play(self, case: EvalCase, checker: Checker, write: Write) -> Json:
        reply = write(case.request)
        answer = self.answers[case.id]
        kind = "parallel_multiple" if len(answer) > 1 else "multiple"
        entry = {"id": case.id, "function": self.functions}
        if answer:
            verdict = checker.judge_entry(kind, entry, answer, reply.judged)
        else:
            verdict = checker.judge_entry("irrelevance", entry, None, reply.judged)
        outcome = outcome_of(verdict["called"], reply.broken)
        return {**verdict, "outcome": outcome, **reply_json(reply), "prompt": reply.prompt}


def load_cases(path: Path, tools: Sequence[Tool]) -> OwnCases:
    """Read cases from a JSONL file.

    Raises:
        UsageError: a line is no case, or names tools and arguments that there are not.
    """
    if not tools:
        raise UsageError("--tools is required: name a tool file.")
    definitions = [tool_json(tool) for tool in tools]
    known = {tool.name: tool for tool in tools}
    cases: list[EvalCase] = []
    answers: dict[str, Sequence[Json]] = {}
    for where, case in _lines(path):
        case_id = _name(case, "id", f"case_{len(cases) + 1}", where)
        if case_id in answers:
            raise UsageError(f"{where}: there are two cases with the id {case_id!r}.")
        answer = [_call(call, known, where) for call in _list(case, "calls", where)]
        answers[case_id] = answer
        category = _name(case, "category", CATEGORY if answer else NO_CALL_CATEGORY, where)
        request = EvalRequest(_messages(case, where), definitions, definitions)
        digest = _digest([request.messages, answer])
        cases.append(EvalCase(case_id, category, request, digest))
    if not cases:
        raise UsageError(f"{path} has no cases.")
    return OwnCases(cases, [_checker_function(tool) for tool in tools], answers)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _lines(path: Path) -> Iterator[tuple[str, Json]]:
    """Yield the objects of a JSONL file, each after its place.

    Raises:
        UsageError: a line is not a JSON object, or has a key that a case does not have.
    """
    with user_file.open_file(path) as file:
        for place, line in user_file.read_lines(file, str(path)):
            where = place.removesuffix(",")
            case = user_file.parse_json(line, place)
            if not isinstance(case, Mapping):
                raise UsageError(f"{where} is not a JSON object.")
            _check_keys(case, KEYS, where)
            yield where, case


def _check_keys(value: Json, known: Set[str], where: str) -> None:
    if unknown := sorted(value.keys() - known):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}. The keys: {sorted(known)}.")


def _name(case: Json, key: str, default: str, where: str) -> str:
    """Return a text of a case, which may be written as an integer."""
    value = case.get(key, default)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{where}: {key!r} is not a string.")
    return str(value)


def _list(case: Json, key: str, where: str) -> Sequence[Any]:
    value = case.get(key)
    if not isinstance(value, list):
        raise UsageError(f"{where}: {key!r} is not a list. Without a right call, write [].")
    return value


def _messages(case: Json, where: str) -> Sequence[Json]:
    if isinstance(case.get("request"), str) and "messages" not in case:
        return [{"role": "user", "content": case["request"]}]
    messages = case.get("messages")
    if "request" in case or not isinstance(messages, list) or not messages:
        raise UsageError(f"{where}: write the text of the user as 'request', or 'messages'.")
    for message in messages:
        roles = ("system", "user", "assistant", "tool")
        is_message = isinstance(message, Mapping) and message.get("role") in roles
        if not is_message or not isinstance(message.get("content"), str):
            raise UsageError(f"{where}: a message has a role ({', '.join(roles)}) and a content.")
        _check_keys(message, MESSAGE_KEYS, f"{where}, a message")
    return messages


def _call(call: Any, tools: Mapping[str, Tool], where: str) -> Json:
    """Return a right call as the original checker reads it: a list of values for each argument."""
    if not isinstance(call, Mapping) or not isinstance(call.get("arguments", {}), Mapping):
        raise UsageError(f"{where}: a call is an object with a name and arguments.")
    _check_keys(call, CALL_KEYS, f"{where}, a call")
    name = str(call.get("name"))
    if name not in tools:
        raise UsageError(f"{where}: there is no tool {name!r}. The tools: {', '.join(tools)}.")
    properties = tools[name].parameters.get("properties", {})
    arguments: dict[str, list[Any]] = {}
    for argument, given in call.get("arguments", {}).items():
        if argument not in properties:
            raise UsageError(f"{where}: the tool {name!r} has no argument {argument!r}.")
        values, optional = _values(given, f"{where}, argument {argument!r}")
        arguments[argument] = [*map(_checker_value, values), *([OMITTED] if optional else [])]
    # The original accepts an argument only if it is listed.
    return {name: arguments}


def _values(given: Any, where: str) -> tuple[Sequence[Any], bool]:
    """Return the values that are right, and whether the argument may be omitted."""
    if not isinstance(given, Mapping):
        return [given], False
    if not given.keys() <= VALUE_KEYS or not isinstance(given.get("values"), list):
        raise UsageError(
            f'{where}: write a value, or {{"values": [...], "optional": true}}. '
            "An object is written as one of the values."
        )
    optional = given.get("optional", False)
    if not isinstance(optional, bool) or not (given["values"] or optional):
        raise UsageError(f"{where}: no value is right, or 'optional' is neither true nor false.")
    return given["values"], optional


def _checker_value(value: Any) -> Any:
    """Return a right value; in objects, the original reads a list of values for each key."""
    if isinstance(value, Mapping):
        return {key: [item] for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [_checker_value(item) for item in value]
    return value


def _checker_function(tool: Tool) -> Json:
    """Return a tool as the original checker reads it."""
    parameters = tool.parameters
    properties = {
        name: _checker_schema(schema) for name, schema in parameters.get("properties", {}).items()
    }
    required = list(parameters.get("required", []))
    described = {"type": "dict", "properties": properties, "required": required}
    function = {"name": tool.name, "description": tool.description, "parameters": described}
    copied: Json = json.loads(json.dumps(function))
    return copied


def _checker_schema(schema: Any) -> Json:
    """Return the type of an argument; the original takes the type of right values for others."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    kind = CHECKER_TYPES.get(kind, kind) if isinstance(kind, str) else None
    if kind not in KNOWN_TYPES:
        return {"type": "any"}
    if kind == "array":
        return {"type": kind, "items": _checker_schema(schema.get("items"))}
    return {"type": kind}
