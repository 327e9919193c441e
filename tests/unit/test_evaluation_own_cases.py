"""The user's own cases, judged by the original checker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from xlam_local import openai_format
from xlam_local.errors import IntegrityError, UsageError
from xlam_local.evaluation import packages
from xlam_local.evaluation.bfcl_checker import Checker
from xlam_local.evaluation.own_cases import load_cases
from xlam_local.evaluation.packages import BFCL, Package, PackageMissing, find
from xlam_local.evaluation.replies import EvalRequest, EvaluatedReply, write_reply
from xlam_local.types import Sampling

LIGHT = {
    "type": "function",
    "function": {
        "name": "set_light",
        "parameters": {
            "type": "object",
            "properties": {
                "room": {"type": "string", "enum": ["kitchen", "hall"]},
                "level": {"type": "number"},
                "color": {"type": ["string", "null"]},
                "scenes": {"type": "array", "items": {"type": "string"}},
                "fade": {"type": "object", "properties": {"seconds": {"type": "integer"}}},
            },
            "required": ["room"],
        },
    },
}
TIMER = {
    "name": "start_timer",
    "parameters": {"type": "object", "properties": {"minutes": {"type": "integer"}}},
}
TOOLS = openai_format.tools([LIGHT, TIMER])


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker([fetch("bfcl")]) as started:
        yield started


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def is_right(tmp_path: Path, checker: Checker, expected: list[Any], made: list[Any]) -> bool:
    """Return the verdict on a reply with the calls `made`."""
    file = write(tmp_path / "cases.jsonl", {"request": "Do it.", "calls": expected})
    loaded = load_cases(file, TOOLS)
    engine = Scripted([json.dumps(made) if made else "No tool fits."])

    def reply(request: EvalRequest) -> EvaluatedReply:
        return write_reply(request, engine, False, Sampling(), Event())

    row = loaded.judges([]).play(loaded.cases[0], checker, reply)
    return bool(row["valid"])


KITCHEN = {"room": "kitchen"}
VERDICTS = [
    ([call("set_light", **KITCHEN)], [call("set_light", **KITCHEN)], True),
    ([call("set_light", **KITCHEN)], [call("set_light", room="hall")], False),
    ([call("set_light", **KITCHEN)], [call("set_light", room="Kitchen")], True),
    ([call("set_light", **KITCHEN)], [call("start_timer")], False),
    ([call("set_light", **KITCHEN)], [], False),
    ([call("set_light", **KITCHEN)], [call("set_light", **KITCHEN, level=3)], False),
    ([call("set_light", **KITCHEN, level=3)], [call("set_light", **KITCHEN)], False),
    ([call("set_light", **KITCHEN, level=3.0)], [call("set_light", **KITCHEN, level=3)], True),
    ([call("set_light", **KITCHEN, level=3)], [call("set_light", **KITCHEN, level="3")], False),
    (
        [call("set_light", **KITCHEN, level={"values": [3, 4], "optional": True})],
        [call("set_light", **KITCHEN)],
        True,
    ),
    (
        [call("set_light", **KITCHEN, level={"values": [3.0, 4.0]})],
        [call("set_light", **KITCHEN, level=4)],
        True,
    ),
    (
        [call("set_light", **KITCHEN, color="red")],
        [call("set_light", **KITCHEN, color="red")],
        True,
    ),
    (
        [call("set_light", **KITCHEN, scenes=["a", "b"])],
        [call("set_light", **KITCHEN, scenes=["a", "b"])],
        True,
    ),
    (
        [call("set_light", **KITCHEN, scenes=["a", "b"])],
        [call("set_light", **KITCHEN, scenes=["b", "a"])],
        False,
    ),
    (
        [call("set_light", **KITCHEN, fade={"values": [{"seconds": 3}]})],
        [call("set_light", **KITCHEN, fade={"seconds": 3})],
        True,
    ),
    (
        [call("set_light", **KITCHEN, fade={"values": [{"seconds": 3}]})],
        [call("set_light", **KITCHEN, fade={"seconds": 4})],
        False,
    ),
    (
        [call("start_timer", minutes=5), call("set_light", **KITCHEN)],
        [call("set_light", **KITCHEN), call("start_timer", minutes=5)],
        True,
    ),
    (
        [call("start_timer", minutes=5), call("set_light", **KITCHEN)],
        [call("start_timer", minutes=5)],
        False,
    ),
    ([], [], True),
    ([], [call("start_timer")], False),
]


@pytest.mark.parametrize(("expected", "made", "verdict"), VERDICTS)
def test_calls_are_right_if_all_their_values_are(
    tmp_path: Path, checker: Checker, expected: list[Any], made: list[Any], verdict: bool
) -> None:
    assert is_right(tmp_path, checker, expected, made) is verdict


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "is not a JSON object"),
        ({"request": "x"}, "'calls' is not a list"),
        ({"calls": []}, "write the text of the user"),
        ({"request": "x", "messages": [], "calls": []}, "write the text of the user"),
        ({"messages": [{"role": "robot", "content": ""}], "calls": []}, "a message has a role"),
        ({"request": "x", "calls": [], "expected": []}, "unknown key 'expected'"),
        ({"request": "x", "calls": ["f"]}, "a call is an object"),
        ({"request": "x", "calls": [{"name": "f"}]}, "there is no tool 'f'"),
        ({"request": "x", "calls": [call("start_timer", hours=1)]}, "no argument 'hours'"),
        ({"request": "x", "calls": [call("start_timer", minutes={"a": 1})]}, "write a value, or"),
        (
            {"request": "x", "calls": [call("start_timer", minutes={"values": []})]},
            "no value is right",
        ),
        (
            {"request": "x", "calls": [{"name": "start_timer", "args": {}}]},
            "a call: unknown key 'args'",
        ),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": []}], "calls": []},
            "a message: unknown key 'tool_calls'",
        ),
        ({"id": None, "request": "x", "calls": []}, "'id' is not a string"),
        ({"id": True, "request": "x", "calls": []}, "'id' is not a string"),
        ({"category": ["a"], "request": "x", "calls": []}, "'category' is not a string"),
    ],
)
def test_a_line_that_is_no_case_is_an_error(tmp_path: Path, line: Any, message: str) -> None:
    good = {"request": "x", "calls": []}
    with pytest.raises(UsageError, match=rf"line 2.*{message}"):
        load_cases(write(tmp_path / "cases.jsonl", good, line), TOOLS)


def test_line_separators_within_a_text_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    text = "one\u2028two\u2029three\x85four"
    line = f'{{"id": 7, "request": "{text}", "calls": []}}'
    path.write_text(f"\ufeff{line}\r\n\r\n\ufeff{line.replace('7', '8')}\r\n", "utf-8")
    cases = load_cases(path, TOOLS).cases
    assert [case.id for case in cases] == ["7", "8"]
    assert [case.request.messages[0]["content"] for case in cases] == [text, text]


def test_two_cases_with_one_id_are_an_error(tmp_path: Path) -> None:
    line = {"id": "a", "request": "x", "calls": []}
    with pytest.raises(UsageError, match="two cases with the id 'a'"):
        load_cases(write(tmp_path / "cases.jsonl", line, line), TOOLS)


def test_a_file_without_cases_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no cases"):
        load_cases(write(tmp_path / "cases.jsonl"), TOOLS)


def test_other_tools_or_other_calls_change_what_identifies_a_case(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"request": "x", "calls": []})
    other = write(tmp_path / "b.jsonl", {"request": "x", "calls": [call("start_timer")]})
    one, two = load_cases(file, TOOLS), load_cases(other, TOOLS)
    assert one.cases[0].digest != two.cases[0].digest
    assert one.identity() == two.identity()
    assert load_cases(file, TOOLS[:1]).identity() != one.identity()


def test_an_installed_package_is_used_offline(tmp_path: Path) -> None:
    assert find(BFCL, tmp_path, fetch("bfcl")) == fetch("bfcl")


def test_a_changed_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bfcl_eval").mkdir()
    (tmp_path / "bfcl_eval" / "utils.py").write_text("pass")
    with pytest.raises(IntegrityError, match=r"does not have the files of bfcl-eval 2026\.3\.23"):
        find(BFCL, tmp_path / "cache", tmp_path)


def test_a_package_that_pip_cannot_fetch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    package = Package("bfcl-eval", "bfcl_eval", "0.0.0", "0" * 64, "")
    with pytest.raises(PackageMissing, match="give the folder with --checker"):
        find(package, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_compiled_files_do_not_change_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("pass")
    before = packages.files_sha256(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert packages.files_sha256(tmp_path) == before
