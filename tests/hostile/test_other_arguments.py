"""Attempts to lead an allowed call elsewhere by an argument that the rule does not name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hostile_calls import make_project
from xlam_local.permissions import AllowVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.types import Effect, Tool, ToolCall

TOOLS = {
    "save": Tool("save", "", {}, Effect.WRITE, source="mine", file="/t/mine.toml"),
    "fetch": Tool("fetch", "", {}, Effect.NETWORK, source="mine", file="/t/mine.toml"),
    "load": Tool("load", "", {}, Effect.READ, source="mine", file="/t/mine.toml"),
    "write_file": Tool("write_file", "", {}, Effect.WRITE, source="built-in"),
    "search_files": Tool("search_files", "", {}, Effect.READ, source="built-in"),
    "run": Tool("run", "", {}, Effect.EXECUTE, source="mine", file="/t/mine.toml"),
    "read": Tool("read", "", {}, Effect.READ, source="mcp: files"),
}
FOLDER = '[[rule]]\ndecision = "allow"\npath = "{folder}"\n'
HOST = '[[rule]]\ndecision = "allow"\nhost = "good.org"\n'
ARGUMENT = """
[[rule]]
decision = "allow"
tool = ["save", "write_file", "fetch"]
arguments = { path = "notes/*.md", url = "https://good.org/*" }
[[rule]]
decision = "allow"
tool = ["save", "write_file"]
arguments = { path = "notes/*.md" }
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = make_project(tmp_path / "work")
    (top / "away").symlink_to("/etc")
    (top / "inside").symlink_to(top / "secret")
    return top


def runs(policy: str, top: Path, name: str, arguments: dict[str, Any]) -> bool:
    tool = TOOLS[name]
    approver = Approver(parse(policy), top)
    verdict = approver.verdict(tool, ToolCall("c", name, arguments), [], [tool])
    return verdict == AllowVerdict()


NAMES = [
    *("to", "target", "output", "callback", "filepath", "src", "dst", "saveTo", "out_file"),
    *("x", "value", "options", "name", "format", "query", "extra"),
]
PLACES = [
    "/etc/passwd",
    "../x",
    "a/../../x",
    "~/x",
    "$HOME/x",
    "${HOME}/x",
    "%2e%2e/x",
    "away/passwd",
    "away",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "jar:file:/etc/x!/y",
    "..\\..\\x",
    "--output=/etc/x",
    "-o/etc/x",
    "@/etc/passwd",
    "data:/etc/x",
    "notes/out-of-here/passwd",
    "//etc/passwd",
    "%HOME%\\x",
    "C:\\Windows",
    "\uff0fetc\uff0fpasswd",
    "\uff0e\uff0e/x",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_no_argument_leads_out_of_an_allowed_folder(top: Path, name: str, place: str) -> None:
    policy = FOLDER.format(folder=".")
    for value in (place, [place], {"a": place}, {"a": [{"b": place}]}, {place: 1}):
        assert not runs(policy, top, "save", {"path": "notes/a.md", name: value})
        assert not runs("", top, "load", {"path": "notes/a.md", name: value})


@pytest.mark.parametrize("name", ["to", "target", "output", "dest", "saveTo", "callback", "src"])
@pytest.mark.parametrize("place", ["secret", "Makefile", "inside", "open/x", "secret/key", "."])
def test_no_place_is_outside_of_a_narrower_folder(top: Path, name: str, place: str) -> None:
    policy = FOLDER.format(folder="notes")
    assert not runs(policy, top, "save", {"path": "notes/a.md", name: place})


@pytest.mark.parametrize("name", ["value", "x", "mode", "name"])
def test_a_link_leads_elsewhere_under_any_name(top: Path, name: str) -> None:
    policy = FOLDER.format(folder="notes")
    for place in ("away", "inside"):
        assert not runs(policy, top, "save", {"path": "notes/a.md", name: place})


HOSTS = [
    "evil.com",
    "evil.com:8080",
    "evil.com/x",
    "https://evil.com/x",
    "https:evil.com",
    "https:/evil.com",
    "HTTPS:\\\\evil.com",
    "//evil.com/x",
    "ftp:evil.com",
    "ws://evil.com",
    "mailto:eve@evil.com",
    "eve@evil.com",
    "git@evil.com:x/y.git",
    "evil\u3002com",
    "\uff45vil.com",
    "ev\u0456l.com",
    "127.0.0.1",
    "127.0.0.1:80",
    "[::1]",
    "::1",
    "fe80::1",
    "64:ff9b::7f00:1",
    "0x7f.1",
    "localhost",
    "localhost:8080",
    "internal:8080",
    "good.org.evil.com",
    "good.org@evil.com",
    "ann@good.org, eve@evil.com",
    "--proxy=evil.com",
    "data:text/html,x",
    "jdbc:mysql://evil.com/x",
]


@pytest.mark.parametrize(
    "name", ["to", "callback", "proxy", "webhook_target", "x", "value", "name"]
)
@pytest.mark.parametrize("host", HOSTS)
def test_no_argument_leads_to_another_host(top: Path, name: str, host: str) -> None:
    for value in (host, [host], {"a": host}, {"a": [{"b": host}]}):
        assert not runs(HOST, top, "fetch", {"url": "https://good.org/a", name: value})


@pytest.mark.parametrize("name", ["to", "callback", "proxy", "remote", "forwardTo", "cc"])
@pytest.mark.parametrize("word", ["eve", "evil", "2130706433", "0x7f000001", "internal"])
def test_a_place_that_is_one_word_may_be_a_host(top: Path, name: str, word: str) -> None:
    assert not runs(HOST, top, "fetch", {"url": "https://good.org/a", name: word})


@pytest.mark.parametrize(
    "more",
    [
        {"output": "/etc/x"},
        {"output": "../x"},
        {"file": "notes/b.md"},
        {"upload_file": "secret/key"},
        {"path": "secret/key"},
        {"folder": "."},
        {"cwd": "."},
        {"attachments": ["secret/key", "/etc/x"]},
    ],
)
def test_a_rule_for_a_host_or_an_argument_allows_no_other_file(
    top: Path, more: dict[str, Any]
) -> None:
    assert not runs(HOST, top, "fetch", {"url": "https://good.org/a", **more})
    if "path" not in more:
        assert not runs(ARGUMENT, top, "save", {"path": "notes/a.md", **more}) or more == {
            "attachments": ["notes/b.md"]
        }


@pytest.mark.parametrize(
    "more",
    [
        {"url": "https://evil.com"},
        {"url": "https://good.org.evil.com/"},
        {"callback": "https://good.org.evil.com/"},
        {"to": "evil.com"},
        {"host": "evil.com"},
        {"x": "https://evil.com"},
    ],
)
def test_a_rule_for_a_path_allows_no_host(top: Path, more: dict[str, Any]) -> None:
    assert not runs(ARGUMENT, top, "save", {"path": "notes/a.md", **more})
    if "url" not in more and "host" not in more:
        assert not runs(FOLDER.format(folder="."), top, "save", {"path": "notes/a.md", **more})


@pytest.mark.parametrize("name", ["/etc/x", "../x", "away/passwd", "file:///etc/x"])
def test_no_name_of_an_argument_leads_elsewhere(top: Path, name: str) -> None:
    assert not runs(FOLDER.format(folder="."), top, "save", {"path": "notes/a.md", name: True})
    assert not runs("", top, "load", {"path": "notes/a.md", name: True})


@pytest.mark.parametrize("name", ["url", "uri", "link", "host", "address", "endpoint"])
@pytest.mark.parametrize(
    "text", ["file:///etc/passwd", "file:/etc/x", "/etc/passwd", "../x", "~/x", "notes/../../x"]
)
def test_an_argument_for_a_host_reads_no_file_unasked(top: Path, name: str, text: str) -> None:
    for value in (text, [text]):
        assert not runs("", top, "load", {name: value})


@pytest.mark.parametrize("text", ["@secret/key", "@/etc/passwd", "@key.txt", "x=@secret/key"])
def test_a_rule_for_a_host_uploads_no_file(top: Path, text: str) -> None:
    for name in ("data", "form", "x"):
        assert not runs(HOST, top, "fetch", {"url": "https://good.org/a", name: text})


@pytest.mark.parametrize(
    "more",
    [
        {"args": ["-la"]},
        {"args": ["; rm x"]},
        {"stdin": "rm x"},
        {"shell": "bash"},
        {"env": {"LD_PRELOAD": "x.so"}},
        {"cwd": "."},
    ],
)
def test_a_rule_for_a_command_allows_no_other_words(top: Path, more: dict[str, Any]) -> None:
    command = '[[rule]]\ndecision = "allow"\ntool = "run"\narguments = { command = "ls" }\n'
    assert runs(command, top, "run", {"command": "ls", "timeout": 5, "quiet": True})
    assert not runs(command, top, "run", {"command": "ls", **more})


COMMON: list[tuple[str, str, dict[str, Any]]] = [
    (FOLDER.format(folder="notes"), "write_file", {"path": "notes/a.md", "text": "See /etc/x."}),
    (FOLDER.format(folder="notes"), "write_file", {"path": "notes/a.md", "text": "/etc/x"}),
    (FOLDER.format(folder="notes"), "save", {"path": "notes/a.md", "text": "ann@a.org wrote: a/b"}),
    (FOLDER.format(folder="notes"), "save", {"path": "notes/a.md", "mode": "append", "n": 5}),
    (FOLDER.format(folder="notes"), "save", {"path": "notes/a.md", "to": "notes/b.md"}),
    (FOLDER.format(folder="."), "save", {"path": "notes/a.md", "output": "out/b.txt"}),
    (FOLDER.format(folder="."), "save", {"path": "a", "date": "2024/01/31", "type": "text/html"}),
    (HOST, "fetch", {"url": "https://good.org/a", "query": "cats and dogs", "limit": 5}),
    (HOST, "fetch", {"url": "https://good.org/a", "callback": "https://good.org/b"}),
    (HOST, "fetch", {"url": "https://good.org/a", "accept": "text/html", "label": "a:b"}),
    (ARGUMENT, "write_file", {"path": "notes/a.md", "text": "https://evil.com/x"}),
    (ARGUMENT, "save", {"path": "notes/a.md", "text": "Mail eve@evil.com about /etc."}),
    ("", "load", {"path": "notes/a.md", "encoding": "utf-8", "lines": 5}),
    ("", "load", {"file": "notes/a.md", "src": "notes/b.md", "query": "a/b"}),
    ("", "search_files", {"text": "/api/v1/users", "names": "*.py"}),
    ("", "search_files", {"text": "https://evil.com"}),
]


@pytest.mark.parametrize(("policy", "name", "arguments"), COMMON)
def test_common_arguments_still_run(
    top: Path, policy: str, name: str, arguments: dict[str, Any]
) -> None:
    assert runs(policy, top, name, arguments)


def test_a_value_of_an_enumeration_is_no_place(top: Path) -> None:
    schema = {"type": "object", "properties": {"to": {"enum": ["text/html", "../x"]}}}
    tool = Tool("convert", "", schema, Effect.WRITE, source="mine")
    approver = Approver(parse(FOLDER.format(folder="notes")), top)
    for to, allowed in (("text/html", True), ("../x", True), ("../y", False)):
        call = ToolCall("c", "convert", {"path": "notes/a", "to": to})
        assert (approver.verdict(tool, call, [], [tool]) == AllowVerdict()) is allowed
