from __future__ import annotations

from typing import Any

import pytest

from xlam_local.tools.lint import find_problems
from xlam_local.types import Tool

DESCRIBED = {"type": "string", "description": "x"}
GOOD = Tool("find_user", "Find a user by their name.", {"properties": {"a": DESCRIBED}})


def problems(*tools: Tool) -> str:
    return "\n".join(f"{problem.tool}: {problem.message}" for problem in find_problems(tools))


def test_a_good_tool_has_no_problems() -> None:
    assert problems(GOOD) == ""


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (Tool("a b", "Do this and that.", {}), "must have 1 to 64 characters"),
        (Tool("f", "", {}), "The description is missing"),
        (Tool("find_user", "Find user.", {}), "says no more than the name"),
        (Tool("f", "x" * 700, {}), "has 700 characters"),
        (
            Tool("f", "Do this and that.", {"properties": {"a": {}}}),
            "The parameter 'a' has no description",
        ),
        (
            Tool("f", "Do this and that.", {"properties": {str(n): DESCRIBED for n in range(9)}}),
            "There are 9 parameters",
        ),
        (
            Tool("f", "Do this and that.", {"properties": {"a": {"$ref": "#/nope"}}}),
            "is refused",
        ),
    ],
)
def test_the_problems_of_one_tool_are_found(tool: Tool, message: str) -> None:
    assert message in problems(tool)


def test_tools_that_are_easily_confused_are_found() -> None:
    similar = "The name is too similar to 'find_user'"
    assert similar in problems(GOOD, Tool("findUsers", "Find many users.", {}))
    assert similar in problems(GOOD, Tool("user_find", "Look a user up.", {}))
    assert "same as that of" in problems(GOOD, Tool("get", GOOD.description, {}))


def test_too_many_tools_are_a_problem() -> None:
    tools = (Tool(f"{n}" * 4, f"Do it {n} times.", {}) for n in range(17))
    assert "There are 17 tools" in problems(*tools)


@pytest.mark.parametrize(
    "impossible",
    [
        {"type": "string", "enum": []},
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": []},
        {"type": "integer", "enum": ["1", "2"]},
    ],
)
def test_a_parameter_that_can_have_no_value_is_a_problem(impossible: dict[str, object]) -> None:
    parameters = {"properties": {"a": {**impossible, "description": "x"}}}
    found = problems(Tool("find_user", "Find a user by their name.", parameters))
    assert 'no value is valid for "a", so it is never written' in found
    forbidden = {"properties": {"a": False}}
    assert problems(Tool("find_user", "Find a user by their name.", forbidden)) == ""


def test_a_required_name_without_a_property_is_a_problem() -> None:
    parameters: dict[str, object] = {"properties": {"a": DESCRIBED}, "required": ["town"]}
    tool = Tool("find_user", "Find a user by their name.", parameters)
    assert 'no property is named "town"' in problems(tool)
    others = {**parameters, "additionalProperties": {"type": "string"}}
    assert problems(Tool("find_user", "Find a user by their name.", others)) == ""


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ({"type": "integer", "default": "five"}, 'expected integer, not "five"'),
        ({"enum": ["a", "b"], "default": "c"}, 'expected one of "a", "b", not "c"'),
        ({"$ref": "#/$defs/S", "default": 5}, "expected string, not 5"),
        ({"type": "string", "format": "date", "default": "today"}, "the format date"),
    ],
)
def test_a_default_that_is_not_valid_is_a_problem(default: dict[str, object], message: str) -> None:
    valid: dict[str, object] = {"type": "integer", "default": 5, "description": "x"}
    parameters = {
        "properties": {"a": valid, "b": {**default, "description": "x"}},
        "$defs": {"S": {"type": "string", "default": None}},
    }
    found = problems(Tool("find_user", "Find a user by their name.", parameters))
    assert "The default at /properties/b/default is not valid: /: " in found
    assert message in found
    assert "/properties/a/default" not in found


ENDLESS = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"type": "array", "items": {}}, "are an object, but /type is array"),
        (
            {"properties": {"a": {"minimum": 5, "maximum": 1, "type": "integer"}}},
            "the required property /properties/a can have no value.",
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/B"}}, "$defs": {"B": {"not": {}}}},
            "the required property /properties/a can have no value.",
        ),
        (
            {"properties": {"a": {"type": "string", "pattern": "/^a$/i"}}},
            "/properties/a can have no value; in its pattern, its slashes match slashes",
        ),
        ({"properties": {"a": {"type": "string", "pattern": "a$b"}}}, "can have no value."),
        (
            {"properties": {"a": {"$ref": "#/$defs/N"}}, "$defs": {"N": ENDLESS}},
            "required values contain each other without end",
        ),
        ({"allOf": [{"type": "object"}, {"type": "string"}]}, "its keywords exclude each other."),
    ],
)
def test_a_refused_schema_is_told_what_excludes_every_value(
    parameters: dict[str, Any], reason: str
) -> None:
    parameters = {**parameters, **({"required": ["a"]} if "properties" in parameters else {})}
    found = problems(Tool("find_user", "Find a user by their name.", parameters))
    assert "is refused" in found
    assert reason in found
