"""Replies to the leaderboard's cases that are right, and mutations of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.fakes.resources import fetch

Json = Any
OMITTED = ""
REJECTED = frozenset(
    [
        *("simple_java_36", "simple_java_65"),  # numbers in a list of texts
        *("live_simple_106-63-0", "live_simple_112-68-0"),  # no value is right
        "live_multiple_862-181-3",  # an argument is right that the function does not have
        "live_multiple_964-207-0",  # a required argument is not among the right ones
    ]
)
"""Cases whose ground truth the original checker itself rejects, in whatever form it is written."""


def json_lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ground_truths(category: str) -> dict[str, Json]:
    """Return the ground truth of each case, by the id of the case in the same place."""
    data = fetch("bfcl") / "bfcl_eval" / "data"
    cases = json_lines(data / f"BFCL_v4_{category}.json")
    answers = json_lines(data / "possible_answer" / f"BFCL_v4_{category}.json")
    return {case["id"]: answer["ground_truth"] for case, answer in zip(cases, answers, strict=True)}


def right_calls(answer: Sequence[Mapping[str, Json]], category: str, functions: Json) -> list[Json]:
    """Return calls that a ground truth accepts, as a model writes them."""
    calls = []
    for call in answer:
        ((name, arguments),) = call.items()
        parameters = next(f["parameters"] for f in functions if f["name"] == name)
        types, written = parameters["properties"], {}
        for key, values in arguments.items():
            chosen = next((value for value in values if value != OMITTED), OMITTED)
            if key in types and (chosen != OMITTED or key in parameters["required"]):
                written[key] = _plain(chosen)
        if write := LANGUAGES.get(category):
            written = {key: write(value, types[key]) for key, value in written.items()}
        calls.append({"name": name, "arguments": written})
    return calls


def _plain(value: Json) -> Json:
    """Return a value; in objects, ground truths list the values of each key."""
    if isinstance(value, dict):
        found = {}
        for key, values in value.items():
            if not isinstance(values, list | str):  # the original finds a value also in a text
                found[key] = values
            elif any(item != OMITTED for item in values):
                found[key] = _plain(next(item for item in values if item != OMITTED))
        return found
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [_plain(item) for item in value]
    return value


SUFFIXES = {"float": "f", "long": "L"}


def _java(value: Json, schema: Json) -> str:
    kind, items = schema["type"], schema.get("items", {}).get("type")
    if kind == "quoted" and isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        nested = "quoted" if (kind, items) == ("ArrayList", "String") else items
        inner = ", ".join(_java(item, {"type": nested}) for item in value)
        if kind == "ArrayList":
            return f"new ArrayList<>(Arrays.asList({inner}))"
        return f"new {items}[]{{{inner}}}"
    if isinstance(value, dict):
        written = {key: _java(item, {"type": "quoted"}) for key, item in value.items()}
        puts = " ".join(f'put("{key}", {item});' for key, item in written.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    return f"{value}{SUFFIXES.get(kind, '')}"


def _javascript(value: Json, _schema: Json) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)


LANGUAGES = {"simple_java": _java, "simple_javascript": _javascript}


def mutations(calls: list[Json]) -> Iterator[list[Json]]:
    """Yield calls that differ in one thing: a key, a type, a value, a name, the number of calls."""
    yield calls[:-1]
    yield [*calls, calls[-1]]
    yield [{**calls[0], "name": f"{calls[0]['name']}_x"}, *calls[1:]]
    arguments = calls[0]["arguments"]

    def with_arguments(changed: Mapping[str, Json]) -> list[Json]:
        return [{**calls[0], "arguments": dict(changed)}, *calls[1:]]

    yield with_arguments({**arguments, "unexpected_x": 1})
    for key, value in list(arguments.items())[:2]:
        yield with_arguments({name: other for name, other in arguments.items() if name != key})
        yield with_arguments({**arguments, key: [value]})
        yield with_arguments({**arguments, key: str(value) if not isinstance(value, str) else 1})
        yield with_arguments({**arguments, key: f"{value} x" if isinstance(value, str) else 9871})


def multi_turn_replies(turns: Sequence[Sequence[str]]) -> list[str]:
    """Return replies that make the calls of each turn, and end it with words."""
    replies = []
    for calls in turns:
        written = [_call(text) for text in calls]
        replies += [json.dumps(written), "Done."] if written else ["I cannot do that."]
    return replies


@cache
def _parameters() -> Mapping[str, Sequence[str]]:
    """Return the names of the parameters of each function of the multi-turn cases."""
    folder = fetch("bfcl") / "bfcl_eval" / "data" / "multi_turn_func_doc"
    functions = [function for path in folder.glob("*.json") for function in json_lines(path)]
    return {f["name"]: list(f["parameters"]["properties"]) for f in functions}


def _call(text: str) -> Json:
    """Return a call in Python's syntax as JSON."""
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    arguments = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    values = [ast.literal_eval(argument) for argument in node.args]
    names = list(_parameters()[node.func.id])[: len(values)] if values else []
    return {
        "name": node.func.id,
        "arguments": {**dict(zip(names, values, strict=True)), **arguments},
    }
