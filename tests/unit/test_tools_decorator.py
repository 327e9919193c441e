from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tests.fakes.tool_calls import run
from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import tool
from xlam_local.types import Effect, Tool


class Color(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


@tool(Effect.WRITE)
def paint(
    at: Point, color: Color, title: str = "none", speed: Literal["fast", "slow"] | None = None
) -> str:
    """Paint a point.

    It cannot be removed.

    Args:
        at: Where.
        title: A name for it.
    """
    return f"{at.x + at.y} {color.name} {title} {speed}"


def test_a_function_becomes_a_tool() -> None:
    assert paint.name == "paint"
    assert paint.description == "Paint a point.\n\nIt cannot be removed."
    assert paint.effect is Effect.WRITE
    properties = paint.parameters["properties"]
    assert list(properties) == ["at", "color", "title", "speed"]
    assert properties["at"]["description"] == "Where."
    assert properties["title"] == {
        "type": "string",
        "default": "none",
        "description": "A name for it.",
    }
    assert paint.parameters["required"] == ["at", "color"]
    assert paint.parameters["$defs"]["Color"] == {"enum": ["red"], "type": "string"} or (
        paint.parameters["$defs"]["Color"]["const"] == "red"
    )


def test_the_default_effect_is_execute() -> None:
    @tool
    def f() -> None:
        """Do it."""

    assert f.effect is Effect.EXECUTE


def test_arguments_are_converted_to_the_declared_types() -> None:
    assert run(paint, at={"x": 1, "y": 2}, color="red") == "3 RED none None"


def test_invalid_arguments_raise_an_error() -> None:
    with pytest.raises(ToolError, match="color: Input should be 'red'"):
        run(paint, at={"x": 1}, color="blue")


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def variadic(*x: int) -> None: ...


def not_json(x: type(len)) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, "'x' has no type"),
        (variadic, "cannot be passed by name"),
        (not_json, "'not_json' has no JSON Schema"),
    ],
)
def test_a_function_that_cannot_be_a_tool_raises_an_error(function: Any, message: str) -> None:
    with pytest.raises(ToolFileError, match=message):
        tool()(function)


@pytest.mark.parametrize("timeout", [0, 3601, "x", float("inf")])
def test_an_invalid_timeout_raises_an_error(timeout: Any) -> None:
    def f() -> None: ...

    with pytest.raises(ToolFileError, match="'f': timeout must be a number of seconds up to 3600"):
        tool(timeout=timeout)(f)


class Size(Enum):
    SMALL = "small"


class Address(TypedDict):
    """An address.

    Args:
        street: The street's name.
    """

    street: str
    number: int


class Order(BaseModel):
    size: Size
    when: date


@dataclass
class Stop:
    """A place to stop at.

    Attributes:
        at: Where it is.
        note: What to be careful about.
    """

    at: Address
    note: str | None = None


@tool(Effect.READ)
def send(
    order: Order,
    stops: list[Stop],
    count: Annotated[int, Field(ge=1, le=9)] = 1,
    speed: Literal["fast", "slow"] | int = "fast",
    tags: dict[str, float] | None = None,
) -> list[object]:
    """Send."""
    return [order.size, order.when, stops[0], count, speed, tags, {1}]


def test_all_kinds_of_types_become_schemas_and_back() -> None:
    properties = send.parameters["properties"]
    assert properties["count"] == {"type": "integer", "minimum": 1, "maximum": 9, "default": 1}
    assert properties["speed"]["anyOf"] == [
        {"enum": ["fast", "slow"], "type": "string"},
        {"type": "integer"},
    ]
    assert send.parameters["required"] == ["order", "stops"]
    assert set(send.parameters["$defs"]) == {"Size", "Address", "Order", "Stop"}
    stops = send.parameters["$defs"]["Stop"]
    assert stops["description"] == "A place to stop at."
    assert stops["properties"]["at"]["description"] == "Where it is."
    assert stops["properties"]["note"]["description"] == "What to be careful about."
    street = send.parameters["$defs"]["Address"]["properties"]["street"]
    assert street == {"type": "string", "description": "The street's name."}
    stop = {"at": {"street": "s", "number": 1}}
    result = run(send, order={"size": "small", "when": "2026-11-22"}, stops=[stop])
    assert result == ["small", "2026-11-22", {**stop, "note": None}, 1, "fast", None, [1]]


@tool
def printing(n: int) -> None:
    print("printed", n)


@tool(Effect.READ, timeout=0.2)
def slow() -> None:
    time.sleep(1)


@tool(Effect.READ)
async def asynchronous(n: int) -> int:
    await asyncio.sleep(0)
    return n


@tool
def exiting() -> None:
    sys.exit(1)


@tool
def circular() -> list[object]:
    items: list[object] = []
    items.append(items)
    return items


def test_printed_text_is_the_result_and_does_not_reach_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stdout = sys.stdout
    assert run(printing, n=3) == "printed 3\n"
    assert sys.stdout is stdout
    assert capsys.readouterr().out == ""


def test_a_tool_cannot_hang_or_end_the_program() -> None:
    with pytest.raises(ToolError, match=r"did not finish within 0\.2 seconds"):
        run(slow)
    with pytest.raises(ToolError, match="tried to end the program"):
        run(exiting)
    with pytest.raises(ToolError, match="cannot be serialized"):
        run(circular)


def test_an_async_function_is_awaited() -> None:
    assert run(asynchronous, n=4) == 4


def test_the_overhead_of_a_call_is_small() -> None:
    run(printing, n=1)
    start = time.perf_counter()
    for _ in range(200):
        run(printing, n=1)
    assert (time.perf_counter() - start) / 200 < 0.005


def test_a_decorated_function_stays_callable() -> None:
    @tool(Effect.READ)
    def corner(x: int, y: int = 2) -> Point:
        """Return a corner."""
        if x < 0:
            raise ValueError("negative")
        return Point(x, y)

    assert corner(3) == Point(3, 2)
    assert corner(3, y=4) == Point(3, 4)
    with pytest.raises(ValueError, match="negative"):
        corner(-1)
    with pytest.raises(TypeError):
        corner()

    @tool
    async def later(text: str) -> str:
        """Return a text later."""
        return text

    assert asyncio.run(later("x")) == "x"
    with pytest.raises(TypeError, match="'f' was not made of a Python function"):
        Tool("f", "", {})()
