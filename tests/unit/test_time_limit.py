"""The limit on the CPU time of a computation."""

from __future__ import annotations

import time
from typing import Any

import pytest

from xlam_local.grammar import TOO_SLOW, compile_schema, compile_tools
from xlam_local.time_limit import check_time_limit, time_limit
from xlam_local.types import Effect, Tool

EARLY, LATE = ValueError("early"), ValueError("late")
SLOW_SCHEMAS: dict[str, dict[str, Any]] = {
    "multiples": {
        "properties": {f"p{n}": {"type": "number", "multipleOf": n + 200} for n in range(200)}
    },
    "patterns": {
        "properties": {
            f"p{n}": {"type": "string", "pattern": f"^x{n}(a|b|c)*$", "minLength": n % 60}
            for n in range(3000)
        }
    },
    "cases": {
        "oneOf": [
            {"properties": {"a": {"pattern": f"(a|b)*a{n}"}, "b": {"enum": list(range(n * 500))}}}
            for n in range(38)
        ]
    },
    "items": {
        "type": "array",
        "prefixItems": [{"type": "integer", "multipleOf": 211 + n} for n in range(200)],
    },
    "alternatives": {"anyOf": [{"multipleOf": 301 + n} for n in range(60)]},
}


def spin() -> None:
    while True:
        check_time_limit()


def test_nothing_is_raised_without_a_limit_or_in_time() -> None:
    check_time_limit()
    with time_limit(60, EARLY):
        check_time_limit()


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [((0.01, EARLY), (60, LATE), "early"), ((60, LATE), (0.01, EARLY), "early")],
)
def test_of_two_limits_the_one_that_ends_first_counts(
    outer: tuple[float, ValueError], inner: tuple[float, ValueError], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected), time_limit(*outer), time_limit(*inner):
        spin()
    check_time_limit()


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_SCHEMAS)
def test_a_schema_that_takes_long_is_given_up(name: str) -> None:
    started = time.thread_time()
    with pytest.raises(ValueError, match="early"), time_limit(0.3, EARLY):
        compile_schema({"type": ["object", "array", "number"], **SLOW_SCHEMAS[name]})
    assert time.thread_time() - started < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_SCHEMAS)
def test_a_tool_that_takes_long_is_given_up(name: str) -> None:
    parameters = {"type": "object", "properties": {"x": SLOW_SCHEMAS[name]}}
    tool = Tool("slow", "Slow.", parameters, Effect.READ)
    with pytest.raises(ValueError, match="early"), time_limit(0.3, EARLY):
        compile_tools([tool])


@pytest.mark.slow
def test_a_tool_that_exceeds_its_own_limit_is_refused_alone() -> None:
    slow = Tool("slow", "Slow.", {"type": "object", **SLOW_SCHEMAS["multiples"]}, Effect.READ)
    fast = Tool("fast", "Fast.", {"type": "object"}, Effect.READ)
    compiled = compile_tools([slow, fast])
    assert [tool.name for tool in compiled.tools] == ["fast"]
    assert [entry.reason for entry in compiled.report if entry.tool == "slow"] == [str(TOO_SLOW)]
