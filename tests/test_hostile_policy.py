"""Attempts to slip past a policy: none of them runs unasked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from xlam_local.consent import Consent
from xlam_local.policy import Allow, Deny, parse
from xlam_local.types import Always, Effect, Once, Question, Result, Sandbox, Tool, ToolCall

ALLOWS = """
[[rule]]
decision = "allow"
tool = "run"
arguments = { command = ["git status", "git log *", "ls *"] }

[[rule]]
decision = "allow"
tool = "save"
folder = "notes"

[[rule]]
decision = "allow"
tool = "export"
arguments = { path = "out/*.txt" }

[[rule]]
decision = "allow"
tool = "fetch"
host = ["docs.example.org", "*.good.org", "127.0.0.1:8080"]

[[rule]]
decision = "allow"
tool = "open"
arguments = { url = "https://docs.example.org/*" }

[[rule]]
decision = "allow"
tool = "read_*"
source = "mcp: files"
folder = "notes"

[[rule]]
decision = "allow"
tool = "send"
arguments = { to = "ann@example.org" }
"""
DENIES = """
[[rule]]
decision = "allow"
source = "*"

[[rule]]
decision = "deny"
folder = "secret"

[[rule]]
decision = "deny"
host = ["evil.com", "*.evil.com", "127.0.0.0/8", "169.254.0.0/16", "::1"]

[[rule]]
decision = "deny"
arguments = { path = "*.env" }

[[rule]]
decision = "deny"
tool = "run"
arguments = { command = "rm *" }

[[rule]]
decision = "deny"
tool = "open"
arguments = { url = "https://bad.org/*" }

[[rule]]
decision = "deny"
arguments = { to = "eve@evil.com" }
"""
TOOLS = {
    "run": Tool("run", "", {}, Effect.EXECUTE, source="built-in"),
    "save": Tool("save", "", {}, Effect.WRITE, source="built-in"),
    "export": Tool("export", "", {}, Effect.WRITE, source="built-in"),
    "read": Tool("read", "", {}, Effect.READ, source="built-in"),
    "fetch": Tool("fetch", "", {}, Effect.NETWORK, source="built-in"),
    "open": Tool("open", "", {}, Effect.NETWORK, source="built-in"),
    "send": Tool("send", "", {}, Effect.NETWORK, source="built-in"),
    "read_file": Tool("read_file", "", {}, Effect.READ, source="mcp: files"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with links that lead out of where they seem to be."""
    top = tmp_path / "work"
    for name in ("notes", "out", "secret", "open"):
        (top / name).mkdir(parents=True)
    (top / "secret" / "key").write_text("key")
    (top / "notes" / "out-of-here").symlink_to("/etc")
    (top / "notes" / "to-secret").symlink_to(top / "secret")
    (top / "notes" / "key").symlink_to(top / "secret" / "key")
    (top / "open" / "way").symlink_to(top / "secret")
    (top / "out" / "a.txt").symlink_to("/etc/passwd")
    (top / "out" / "loop.txt").symlink_to(top / "out" / "loop.txt")
    monkeypatch.chdir(top)
    return top


def runs(text: str, folder: Path, name: str, arguments: Mapping[str, Any]) -> bool:
    tool = TOOLS[name]
    consent = Consent(parse(text), folder)
    call = ToolCall("call_0", name, arguments)
    return consent.verdict(tool, call, [], list(TOOLS.values())) == Allow()


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
def test_what_is_allowed_runs(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    assert runs(ALLOWS, folder, name, arguments)


def test_a_servers_whole_path_runs(folder: Path) -> None:
    assert runs(ALLOWS, folder, "read_file", {"path": str(folder / "notes" / "a")})


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
def test_a_command_that_only_begins_like_one_that_is_allowed_asks(
    folder: Path, command: object
) -> None:
    assert not runs(ALLOWS, folder, "run", {"command": command})


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
def test_a_path_that_leads_out_of_the_allowed_folder_asks(folder: Path, path: object) -> None:
    assert not runs(ALLOWS, folder, "save", {"path": path})


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
def test_another_path_beside_the_allowed_one_asks(folder: Path, more: dict[str, Any]) -> None:
    assert not runs(ALLOWS, folder, "save", {"path": "notes/a", **more})


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
def test_a_pattern_for_paths_is_not_slipped_past(folder: Path, path: str) -> None:
    assert not runs(ALLOWS, folder, "export", {"path": path})


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
def test_a_url_that_only_looks_like_an_allowed_host_asks(folder: Path, url: object) -> None:
    assert not runs(ALLOWS, folder, "fetch", {"url": url})
    assert not runs(ALLOWS, folder, "open", {"url": url})


@pytest.mark.parametrize(
    "more",
    [
        {"link": "https://evil.com"},
        {"body": "https://evil.com/x"},
        {"headers": {"host": "evil.com"}},
    ],
)
def test_another_host_beside_the_allowed_one_asks(folder: Path, more: dict[str, Any]) -> None:
    assert not runs(ALLOWS, folder, "fetch", {"url": "https://docs.example.org", **more})


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
def test_a_path_that_another_process_may_read_otherwise_asks(folder: Path, path: str) -> None:
    assert not runs(ALLOWS, folder, "read_file", {"path": path.format(top=folder)})


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
def test_an_exact_pattern_fits_its_text_only(folder: Path, to: object) -> None:
    assert not runs(ALLOWS, folder, "send", {"to": to})


# Denials


REMOVALS: list[object] = [
    "rm -rf x",
    " rm x",
    "RM x",
    "/bin/rm x",
    "sh -c 'rm x'",
    "ls; rm x",
    "env rm x",
    'r""m x',
    "r\\m x",
    "rm\tx",
    "rm\u00a0x",
    "\uff52m x",
    "r\u200bm x",
    ["rm", "x"],
    ["sh", "-c", "rm x"],
]
DENIED: list[tuple[str, dict[str, Any]]] = [
    *(
        ("read", {"path": path})
        for path in [
            "secret/key",
            "./secret//key",
            "open/../secret/key",
            "open/way/key",
            "notes/key",
            "SECRET/key",
            "Secret/Key",
            "\uff53ecret/key",
            "secret",
            "notes/to-secret",
            "/proc/self/cwd/secret/../secret/key",
            ".",
            "{top}/secret/key",
            ["open/a", "secret/key"],
        ]
    ),
    ("read", {"options": {"file": "secret/key"}}),
    ("read", {"text": "key", "names": "*"}),
    ("read", {}),
    ("read_file", {"path": "{top}/secret/key"}),
    ("read_file", {"path": "secret/key"}),
    ("read_file", {"path": "~/secret"}),
    ("read_file", {"path": "file://{top}/secret/key"}),
    ("read_file", {"path": "{top}/%73ecret/key"}),
    ("run", {"command": "cat secret/key"}),
    *(
        ("fetch", {"url": url})
        for url in [
            "https://evil.com",
            "https://EVIL.com",
            "https://evil.com.",
            "https://www.evil.com/x",
            "https://user:pass@evil.com/",
            "https://good.org@evil.com",
            "https://evil\u3002com",
            "https://\uff45vil.com",
            "evil.com/x",
            "http://127.0.0.1",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0x7f.0.0.1",
            "http://017700000001",
            "http://0177.0.0.1",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http:\\\\evil.com\\x",
            "https://good.org\\@evil.com",
            "https://evil.com:443/",
            " https://evil.com",
            "https://evil.com\t",
            ["https://good.org", "https://evil.com"],
        ]
    ),
    ("fetch", {"request": {"url": "https://evil.com"}}),
    ("fetch", {"query": "no host at all"}),
    *(
        ("export", {"path": path})
        for path in [".env", "a/.env", "a/../.env", "x/.ENV", ".env/", "./.env", "a\u200b.env"]
    ),
    *(("run", {"command": command}) for command in REMOVALS),
    *(
        ("open", {"url": url})
        for url in [
            "https://bad.org/x",
            "HTTPS://BAD.org/x",
            "https://bad.org:443/x",
            "https://user@bad.org/x",
            "https://bad.org./x",
        ]
    ),
    *(
        ("send", {"to": to})
        for to in [
            "eve@evil.com",
            "Eve@Evil.com",
            "eve@evil.com ",
            "eve\u200b@evil.com",
            ["ann", "eve@evil.com"],
        ]
    ),
]


@pytest.mark.parametrize("command", REMOVALS)
def test_a_command_that_is_denied_is_found_within_others(folder: Path, command: object) -> None:
    text = """
        [[rule]]
        decision = "allow"
        [[rule]]
        decision = "deny"
        arguments = { command = "rm *" }
    """
    call = ToolCall("call_0", "run", {"command": command})
    consent = Consent(parse(text), folder)
    assert isinstance(consent.verdict(TOOLS["run"], call, [], []), Deny)
    fine = ToolCall("call_0", "run", {"command": "ls farm x"})
    assert consent.verdict(TOOLS["run"], fine, [], []) == Allow()


def placed(value: Any, top: Path) -> Any:
    match value:
        case str():
            return value.replace("{top}", str(top))
        case list():
            return [placed(item, top) for item in value]
        case dict():
            return {key: placed(item, top) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("name", "arguments"), DENIED)
def test_what_is_denied_does_not_run_in_another_spelling(
    folder: Path, name: str, arguments: dict[str, Any]
) -> None:
    assert not runs(DENIES, folder, name, placed(arguments, folder))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("read", {"path": "open/a"}), ("fetch", {"url": "https://fine.org"}), ("save", {"path": "a"})],
)
def test_what_is_not_denied_runs(folder: Path, name: str, arguments: dict[str, Any]) -> None:
    assert runs(DENIES, folder, name, arguments)


@pytest.mark.parametrize(
    "name",
    [
        "delete_all",
        "Delete_All",
        "DELETE_ALL",
        "files_delete_all",
        "\uff44elete_all",
        "delete_all_",
    ],
)
def test_a_tool_that_is_denied_is_denied_under_another_name(folder: Path, name: str) -> None:
    """Where names clash, a tool is called by its source as well; servers choose letters."""
    text = """
        [[rule]]
        decision = "allow"
        source = "*"
        [[rule]]
        decision = "deny"
        tool = "delete_*"
        source = "MCP: files"
    """
    tool = Tool(name, "", {}, Effect.WRITE, source="mcp: files")
    verdict = Consent(parse(text), folder).verdict(tool, ToolCall("call_0", name, {}), [], [])
    assert isinstance(verdict, Deny)


@pytest.mark.parametrize(
    ("effect", "arguments"),
    [
        (Effect.WRITE, {"target": "secret/key"}),
        (Effect.WRITE, {"path": "open/a", "where": "open/way/key"}),
        (Effect.READ, {"what": ["open/a", "SECRET/key"]}),
        (Effect.NETWORK, {"url": "https://fine.org", "attach": "secret/key"}),
        (Effect.NETWORK, {"url": "https://fine.org", "relay": "evil.com"}),
        (Effect.NETWORK, {"url": "https://fine.org", "via": {"proxy": "127.1"}}),
    ],
)
def test_what_is_denied_is_found_under_a_name_that_says_nothing(
    folder: Path, effect: Effect, arguments: dict[str, Any]
) -> None:
    tool = Tool("do", "", {}, effect, source="mine")
    call = ToolCall("call_0", "do", arguments)
    assert Consent(parse(DENIES), folder).verdict(tool, call, [], []) != Allow()


def test_no_text_takes_long_to_be_compared(folder: Path) -> None:
    text = """
        [[rule]]
        decision = "allow"
        arguments = { command = "*a*b*c*d*e" }
        [[rule]]
        decision = "deny"
        arguments = { command = "*a*b*c*d*e" }
    """
    call = ToolCall("call_0", "run", {"command": "a b c d " * 2000})
    began = time.monotonic()
    assert Consent(parse(text), folder).verdict(TOOLS["run"], call, [], []) != Allow()
    assert time.monotonic() - began < 2


# Answers that are used for more than they were given for


def ask(consent: Consent, tool: Tool, arguments: dict[str, Any], *answers: Any) -> bool:
    """Whether a call runs, where the user gives these answers and then none."""
    left = list(answers)

    def user(question: Question) -> Any:
        assert left, "asked"
        return left.pop(0)

    call = ToolCall("call_0", tool.name, arguments)
    try:
        decision = consent.decide((tool, call), [], list(TOOLS.values()), user)
    except AssertionError:
        return False
    return isinstance(decision, Once | Always)


OTHER_CALLS: list[dict[str, Any]] = [
    {"command": "make test; rm x"},
    {"command": "make test "},
    {"command": "make  test"},
    {"command": "Make test"},
    {"command": "make test", "cwd": "/"},
    {"command": ["make test"]},
    {"command": ["make", "test"]},
    {"Command": "make test"},
    {"command": "make test\u200b"},
    {},
]


@pytest.mark.parametrize("arguments", OTHER_CALLS)
def test_an_answer_for_one_call_is_for_no_other(folder: Path, arguments: dict[str, Any]) -> None:
    consent = Consent(folder=folder)
    assert ask(consent, TOOLS["run"], {"command": "make test"}, Always(exact=True))
    assert ask(consent, TOOLS["run"], {"command": "make test"})
    assert not ask(consent, TOOLS["run"], arguments)


@pytest.mark.parametrize(
    "other",
    [
        Tool("run", "", {}, Effect.EXECUTE, source="mcp: evil"),
        Tool("run", "", {}, Effect.EXECUTE, source="my_tools"),
        Tool("run", "", {}, Effect.EXECUTE),
        Tool("Run", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("run ", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("r\u200bun", "", {}, Effect.EXECUTE, source="built-in"),
        Tool("run2", "", {}, Effect.EXECUTE, source="built-in"),
    ],
)
def test_an_answer_for_one_tool_is_for_no_other(folder: Path, other: Tool) -> None:
    consent = Consent(folder=folder)
    assert ask(consent, TOOLS["run"], {}, Always())
    assert not ask(consent, other, {})


def test_once_is_once(folder: Path) -> None:
    consent = Consent(folder=folder)
    assert ask(consent, TOOLS["run"], {"command": "x"}, Once())
    assert not ask(consent, TOOLS["run"], {"command": "x"})


def test_an_answer_for_good_holds_in_its_own_folder_only(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    first = Consent.open(path, folder)
    assert ask(first, TOOLS["save"], {"path": "a"}, Always(exact=True, keep=True))
    (tmp_path / "other").mkdir()
    assert ask(Consent.open(path, folder), TOOLS["save"], {"path": "a"})
    assert not ask(Consent.open(path, tmp_path / "other"), TOOLS["save"], {"path": "a"})


@pytest.mark.parametrize(
    "name", ['x"\n[[rule]]\ndecision = "allow"\n#', "x'''", 'x"""', "\x00", "x\\", "\u2028[[rule]]"]
)
def test_a_name_writes_no_rule_of_its_own(folder: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "policy.toml"
    tool = Tool(name, "", {}, Effect.EXECUTE, source=name)
    assert ask(Consent.open(path, folder), tool, {name: name}, Always(exact=True, keep=True))
    kept = Consent.open(path, folder).policy
    assert kept.rules == ()
    assert [one.tool for one in kept.always] == [name]


def test_a_link_that_is_turned_after_an_answer_asks(folder: Path) -> None:
    consent = Consent(folder=folder)
    link = folder / "link"
    link.symlink_to(folder / "notes")
    assert ask(consent, TOOLS["save"], {"path": "link/a"}, Always(exact=True))
    link.unlink()
    link.symlink_to("/etc")
    assert not ask(consent, TOOLS["save"], {"path": "link/a"})


def test_a_folder_that_is_moved_away_asks(folder: Path) -> None:
    consent = Consent(parse(ALLOWS), folder)
    assert ask(consent, TOOLS["save"], {"path": "notes/deep/a"})
    (folder / "notes").rename(folder / "was-notes")
    (folder / "notes").mkdir()
    (folder / "notes" / "deep").symlink_to("/etc")
    assert not ask(consent, TOOLS["save"], {"path": "notes/deep/a"})


@pytest.mark.parametrize("level", ["limits", "isolated"])
@pytest.mark.parametrize("name", ["run", "read_file"])
def test_a_sandbox_that_is_demanded_is_not_talked_away(folder: Path, level: str, name: str) -> None:
    consent = Consent(parse(f'sandbox = "{level}"\n{DENIES}'), folder)
    consent.allow(TOOLS[name])
    call = ToolCall("call_0", name, {"path": str(folder / "open")})
    assert isinstance(consent.verdict(TOOLS[name], call, [], []), Deny)


def test_a_weaker_sandbox_does_not_pass_for_a_stronger(folder: Path) -> None:
    limits = Tool("run", "", {}, Effect.EXECUTE, sandbox=Sandbox.LIMITS)
    consent = Consent(parse('sandbox = "isolated"'), folder)
    assert isinstance(consent.verdict(limits, ToolCall("c", "run", {}), [], []), Deny)


# What was read is not carried away


def read(name: str, **arguments: Any) -> Result:
    return Result(ToolCall("call_0", name, arguments), "secret")


@pytest.mark.parametrize("name", ["fetch", "open", "send", "run"])
@pytest.mark.parametrize(
    "before",
    [
        read("read", path="open/a"),
        read("read"),
        read("read_file", path="/x"),
        read("export", path="a"),
        read("gone"),
    ],
)
def test_what_was_allowed_asks_again_after_something_was_read(
    folder: Path, name: str, before: Result
) -> None:
    consent = Consent(parse('[[rule]]\ndecision = "allow"\nsource = "*"'), folder)
    consent.allow(TOOLS[name])
    call = ToolCall("call_1", name, {"url": "https://fine.org"})
    tools = list(TOOLS.values())
    assert consent.verdict(TOOLS[name], call, [], tools) == Allow()
    assert consent.verdict(TOOLS[name], call, [before], tools) != Allow()


def test_there_are_enough_attempts() -> None:
    counts = (len(COMMANDS), len(PATHS), len(URLS), len(SERVER_PATHS), len(DENIED))
    assert sum(counts) >= 180
