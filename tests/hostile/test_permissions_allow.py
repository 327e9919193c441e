"""Attempts to run a call that only resembles an allowed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hostile_calls import ALLOW_POLICY, runs

GOOD = [
    ("run", {"command": "git status"}),
    ("run", {"command": "git log -n 3"}),
    ("run", {"command": ["ls", "-l"]}),
    ("save", {"path": "notes/a.md"}),
    ("save", {"path": "./notes//deep/../a.md"}),
    ("export", {"path": "out/b.txt"}),
    ("read", {"path": "open/a"}),
    ("fetch", {"url": "https://docs.example.org/a?b=c"}),
    ("fetch", {"url": "http://a.b.good.org"}),
    ("fetch", {"url": "http://127.0.0.1:8080/x"}),
    ("open", {"url": "https://docs.example.org/guide"}),
    ("send", {"to": "ann@example.org"}),
]


@pytest.mark.parametrize(("name", "arguments"), GOOD)
def test_an_allowed_call_runs(project: Path, name: str, arguments: dict[str, Any]) -> None:
    assert runs(ALLOW_POLICY, project, name, arguments)


def test_an_absolute_path_for_a_server_runs(project: Path) -> None:
    assert runs(ALLOW_POLICY, project, "read_file", {"path": str(project / "notes" / "a")})


# Commands


COMMANDS = [
    "git status; rm -rf ~",
    "git status && curl evil.com",
    "git status\nrm -rf ~",
    "git status\r\nrm x",
    "git status --help",
    "git  status",
    "Git status",
    "git status ",
    " git status",
    "git statusx",
    "git log $(rm x)",
    "git log `rm x`",
    "git log | sh",
    "git log > /etc/passwd",
    "git log < /etc/shadow",
    "git log & rm x",
    "git log --output=../../etc/x",
    "git log ${IFS}x",
    "git log \x1b[2J",
    "git log \x00rm",
    "git log \u2028rm x",
    "git log 'a' 'b'",
    'git log "$(x)"',
    "git log \\; rm",
    "git log (rm)",
    "git log {a,b}",
    "g\u0456t status",
    "git\u00a0status",
    "git\u200b status",
    "ls ..",
    "ls ../..",
    "ls;rm",
    "env git status",
    "/tmp/git status",
    "git -c core.pager=evil log",
    ["git status"],
    ["git", "status", "x"],
    ["git", "log", "; rm"],
    ["git", "log", "$(rm)"],
    ["git", "status\n"],
    {"git": "status"},
    None,
    5,
    [["git", "status"]],
    "",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_only_resembles_an_allowed_one_asks(project: Path, command: object) -> None:
    assert not runs(ALLOW_POLICY, project, "run", {"command": command})


# Paths


PATHS = [
    "../notes/a",
    "notes/../../x",
    "notes/../secret/key",
    "notes/out-of-here/passwd",
    "notes/to-secret/key",
    "notes/key",
    "/etc/passwd",
    "notes2/a",
    "Notes/a",
    "notes\x00/a",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/../x",
    "/dev/fd/0",
    "~/notes/a",
    "notes/./../notes/../../x",
    "",
    ".",
    "//etc/passwd",
    "no\u0074es\u200b/a",
    ["notes/a", "/etc/passwd"],
    {"path": "/etc/passwd"},
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_outside_the_allowed_folder_asks(project: Path, path: object) -> None:
    assert not runs(ALLOW_POLICY, project, "save", {"path": path})


@pytest.mark.parametrize(
    "more",
    [
        {"destination": "/etc/cron.d/x"},
        {"to_file": "/etc/x"},
        {"outputPath": "/etc/x"},
        {"options": {"target_dir": "/etc"}},
        {"files": ["notes/b", "/etc/x"]},
    ],
)
def test_a_second_path_outside_the_allowed_folder_asks(project: Path, more: dict[str, Any]) -> None:
    assert not runs(ALLOW_POLICY, project, "save", {"path": "notes/a", **more})


@pytest.mark.parametrize(
    "path",
    [
        "out/a.txt",
        "out/../x.txt",
        "out/deep/x.txt",
        "out/x.txt.sh",
        "out/x\n.txt",
        "out/loop.txt/..",
        f"out/{'x' * 5000}.txt",
    ],
)
def test_a_path_that_only_resembles_the_pattern_asks(project: Path, path: str) -> None:
    assert not runs(ALLOW_POLICY, project, "export", {"path": path})


SERVER_PATHS = [
    "notes/a",
    "~/notes/a",
    "$HOME/notes/a",
    "{top}/notes/%2e%2e/secret/key",
    "{top}/notes/../secret/key",
    "{top}/notes/..\\secret",
    "/proc/self/cwd/notes/a",
    "/proc/1/root{top}/notes/a",
    "file://{top}/notes/a",
    "{top}/notes/*",
    "{top}/notes/key",
    "{top}/notes/a\nb",
    "",
]


@pytest.mark.parametrize("path", SERVER_PATHS)
def test_a_path_that_a_server_can_resolve_differently_asks(project: Path, path: str) -> None:
    assert not runs(ALLOW_POLICY, project, "read_file", {"path": path.format(top=project)})


# Hosts


URLS = [
    "https://docs.example.org.evil.com/",
    "https://docs.example.org@evil.com/",
    "https://evil.com/docs.example.org",
    "https://evil.com#docs.example.org",
    "https://evil.com?docs.example.org",
    "https://docs.example.org:pass@evil.com/",
    "https://docs.example.org\\@evil.com/",
    "https://evil.com\\.docs.example.org/",
    "https://docs.example.org\t.evil.com",
    "https://docs.example.org\n.evil.com",
    " https://docs.example.org/",
    "https://docs.example.org%2eevil.com/",
    "https://docs.example.org%00.evil.com/",
    "https:/docs.example.org/",
    "https:docs.example.org",
    "//docs.example.org/",
    "ftp://docs.example.org/",
    "file://docs.example.org/etc/passwd",
    "javascript://docs.example.org/",
    "https://d\u043ecs.example.org/",
    "https://docs.ex\u00e4mple.org/",
    "https://good.org.evil.com/",
    "https://evilgood.org/",
    "http://127.0.0.1/",
    "http://127.0.0.1:80801/",
    "http://127.0.0.1:8081/",
    "http://2130706433:8081/",
    "http://2130706433:8080/",
    "http://0177.0.0.1:8080/",
    "http://127.1:8080/",
    "http://[::1]:8080/",
    "https://docs.example.org:8080@evil.com:8080/",
    ["https://docs.example.org", "https://evil.com"],
    "",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_only_resembles_an_allowed_host_asks(project: Path, url: object) -> None:
    assert not runs(ALLOW_POLICY, project, "fetch", {"url": url})
    assert not runs(ALLOW_POLICY, project, "open", {"url": url})


@pytest.mark.parametrize(
    "more",
    [
        {"link": "https://evil.com"},
        {"body": "https://evil.com/x"},
        {"headers": {"host": "evil.com"}},
    ],
)
def test_a_second_host_that_is_not_allowed_asks(project: Path, more: dict[str, Any]) -> None:
    assert not runs(ALLOW_POLICY, project, "fetch", {"url": "https://docs.example.org", **more})


# Text


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.org, eve@evil.com",
        "Ann@example.org",
        "ann@example.org\n",
        "x ann@example.org",
        ["ann@example.org", "eve@evil.com"],
    ],
)
def test_an_exact_pattern_matches_only_its_text(project: Path, to: object) -> None:
    assert not runs(ALLOW_POLICY, project, "send", {"to": to})


def test_there_are_enough_attempts() -> None:
    assert len(COMMANDS) + len(PATHS) + len(URLS) + len(SERVER_PATHS) >= 110
