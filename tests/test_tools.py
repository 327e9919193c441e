from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

from xlam_local.errors import ToolError, ToolFileError
from xlam_local.tools import builtin, load, tool
from xlam_local.tools.calculator import calculate
from xlam_local.types import Effect, Tool


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


@tool(Effect.WRITE)
def paint(
    at: Point, colour: Colour, title: str = "none", how: Literal["fast", "slow"] | None = None
) -> str:
    """Paint a point.

    It is there to stay.

    Args:
        at: Where.
        title: A name for it.
    """
    return f"{at.x + at.y} {colour.name} {title} {how}"


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


def test_a_function_becomes_a_tool() -> None:
    assert paint.name == "paint"
    assert paint.description == "Paint a point.\n\nIt is there to stay."
    assert paint.effect is Effect.WRITE
    properties = paint.parameters["properties"]
    assert list(properties) == ["at", "colour", "title", "how"]
    assert properties["at"]["description"] == "Where."
    assert properties["title"] == {
        "type": "string",
        "default": "none",
        "description": "A name for it.",
    }
    assert paint.parameters["required"] == ["at", "colour"]
    assert paint.parameters["$defs"]["Colour"] == {"enum": ["red"], "type": "string"} or (
        paint.parameters["$defs"]["Colour"]["const"] == "red"
    )


def test_arguments_become_what_the_types_say() -> None:
    assert run(paint, at={"x": 1, "y": 2}, colour="red") == "3 RED none None"


def test_arguments_that_do_not_fit_are_told_to_the_model() -> None:
    with pytest.raises(ToolError, match="colour: Input should be 'red'"):
        run(paint, at={"x": 1}, colour="blue")


def test_a_parameter_may_be_called_title() -> None:
    assert paint.parameters["properties"]["title"]["type"] == "string"


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def many(*x: int) -> None: ...


def strange(x: type(len)) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (untyped, "'x' has no type"),
        (many, "cannot be given by name"),
        (strange, "'strange' cannot be described as JSON"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_told(function: Any, told: str) -> None:
    with pytest.raises(ToolFileError, match=told):
        tool()(function)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", "14"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3", "0.333333333333333"),
        ("-7 // 2", "-4"),
        ("10 % 3", "1"),
        ("2 ^ 10", "1024"),
        ("2 ** -2", "0.25"),
        ("-1 / 8", "-0.125"),
        ("sqrt(1/4)", "0.5"),
        ("round(2.567, 2)", "2.57"),
        ("round(pi, 2)", "3.14"),
        ("max(1, 2, 3) + floor(2.9) + ceil(2.1)", "8"),
        ("6 \N{MULTIPLICATION SIGN} 7 \N{DIVISION SIGN} 2", "21"),
        ("12345678901234567890 * 10", "123456789012345678900"),
        ("cos(0) + log10(1000)", "4"),
        ("12345678901234567.5 + 0", "12345678901234567.5"),
        ("1_0.5e-20 * 10 ^ 20", "10.5"),
        ("2 ** 0.5", "1.4142135623731"),
        ("+5", "5"),
        ("1e999 / 1e998", "10"),
    ],
)
def test_arithmetic_is_exact_where_it_can_be(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("(1 + 2", "not an arithmetic expression"),
        ("1e300 * 1e300 * 1e300 * 1e300", "too large"),
        ("sqrt(2) * exp(709) * exp(709)", "too large"),
        ("__import__('os').system('ls')", "not something to compute with"),
        ("[].__class__", "not something to compute with"),
        ("True + 1", "not something to compute with"),
        ("9 ** 9 ** 9", "too large"),
        ("1 / 3 ** 1000", "too small"),
        ("1e-999999999", "too small"),
        ("1e999999999", "too large"),
        ("round(1 / 3, 999999999)", "too large"),
        ("2 ** 100000", "too large"),
        ("exp(1000)", "too large"),
        ("1 / 0", "by zero"),
        ("sqrt(-1)", "has no value"),
        ("(" * 450 + "1" + ")" * 450, "not an arithmetic expression|too large"),
        ("1 +" * 400 + "1", "more than 1000 characters"),
    ],
)
def test_what_cannot_be_computed_is_told(expression: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        calculate(expression)


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, Tool]:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "work" / "a.txt").write_text("Grüße", encoding="utf-8")
    (tmp_path / "work" / "b").mkdir()
    return {made.name: made for made in builtin(tmp_path / "work")}


def test_time_is_told_for_cities_and_zones(tools: dict[str, Tool]) -> None:
    for place in ("here", "Tokyo", "new york", "Europe/Paris", "Asia/Tokyo, Japan", "UTC"):
        assert place in run(tools["current_time"], place=place)
    assert "JST" in run(tools["current_time"], place="tokyo")


def test_a_place_that_is_not_known_gets_the_nearest(tools: dict[str, Tool]) -> None:
    with pytest.raises(ToolError, match=r"Do you mean .*Europe/Paris"):
        run(tools["current_time"], place="Europe/Pariss")
    with pytest.raises(ToolError, match=r"no time zone '../x'\.$"):
        run(tools["current_time"], place="../x")


def test_days_are_counted(tools: dict[str, Tool]) -> None:
    assert run(tools["days_between"], start="2028-02-28", end="2028-03-01") == 2


def test_units_are_converted(tools: dict[str, Tool]) -> None:
    def convert(value: float, source: str, target: str) -> str:
        return str(run(tools["convert_units"], value=value, from_unit=source, to_unit=target))

    assert convert(100, "celsius", "fahrenheit") == "100 celsius = 212 fahrenheit"
    assert convert(-40, "fahrenheit", "celsius") == "-40 fahrenheit = -40 celsius"
    assert convert(0, "kelvin", "celsius") == "0 kelvin = -273.15 celsius"
    assert convert(1, "mile", "kilometer") == "1 mile = 1.60934 kilometer"
    with pytest.raises(ToolError, match="A mile is a length, a gram is a mass"):
        convert(1, "mile", "gram")


def test_files_are_listed_read_and_written(tools: dict[str, Tool], tmp_path: Path) -> None:
    assert run(tools["list_files"]) == "a.txt (7 bytes)\nb/"
    assert run(tools["list_files"], folder="b") == "(empty)"
    assert run(tools["read_file"], path="a.txt") == "Grüße"
    assert run(tools["write_file"], path="b/c.txt", text="é") == "Wrote 2 bytes to b/c.txt."
    assert (tmp_path / "work" / "b" / "c.txt").read_text(encoding="utf-8") == "é"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "b/../../secret", "link"])
def test_nothing_outside_the_folder_is_reached(
    path: str, tools: dict[str, Tool], tmp_path: Path
) -> None:
    (tmp_path / "work" / "link").symlink_to(tmp_path / "secret")
    for made, more in (("read_file", {}), ("write_file", {"text": "x"})):
        with pytest.raises(ToolError, match="outside the working folder"):
            run(tools[made], path=path, **more)
    assert (tmp_path / "secret").read_text() == "secret"


def test_what_cannot_be_read_is_told(tools: dict[str, Tool], tmp_path: Path) -> None:
    (tmp_path / "work" / "image").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ToolError, match="not a text file"):
        run(tools["read_file"], path="image")
    with pytest.raises(ToolError, match="nope: No such file"):
        run(tools["read_file"], path="nope")
    with pytest.raises(ToolError, match="not a path"):
        run(tools["read_file"], path="a\0b")


def test_what_is_left_out_is_told(tools: dict[str, Tool], tmp_path: Path) -> None:
    (tmp_path / "work" / "long").write_text("é" * 15_000, encoding="utf-8")
    text = run(tools["read_file"], path="long")
    assert text.startswith("é" * 9_999)
    assert text.endswith("(The file goes on; these are its first 20000 bytes.)")
    (tmp_path / "work" / "odd").write_text("a" + "é" * 15_000, encoding="utf-8")
    assert "\ufffd" not in run(tools["read_file"], path="odd")
    for number in range(250):
        (tmp_path / "work" / "b" / str(number)).touch()
    assert run(tools["list_files"], folder="b").endswith("(50 more are not shown.)")


def test_tools_are_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text('[{"name": "f"}]')
    assert load(path) == (Tool("f", "", {}),)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'[{"name": ]', "is not JSON: .* line 1, column 11"),
        (b"\xff", "is not UTF-8 text: byte 0"),
        (b"[{}]", "tools.json: The tool at /0 has no name"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "has a number that is too long"),
    ],
)
def test_a_file_that_is_no_file_of_tools_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    with pytest.raises(ToolFileError, match=told):
        load(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolFileError, match="cannot be read: No such file"):
        load(tmp_path / "nope.json")
