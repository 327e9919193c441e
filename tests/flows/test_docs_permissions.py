"""The policies in docs/permissions.md and docs/examples/policy.toml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from xlam_local.permissions import AllowVerdict, AskVerdict, DenyVerdict, Verdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.permissions.rules import GRANT_KEYS, POLICY_KEYS, RULE_KEYS
from xlam_local.permissions.tool_identity import tool_digest
from xlam_local.types import Effect, Sandbox, Tool, ToolCall, ToolResult

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "permissions.md").read_text(encoding="utf-8")
EXAMPLE = (DOCS / "examples" / "policy.toml").read_text(encoding="utf-8")
HOME = Path.home()


def read_blocks(page: str) -> dict[str, str]:
    """Return the TOML blocks of a Markdown page by the heading before each."""
    blocks = {}
    for section in re.split(r"^#+ ", page, flags=re.MULTILINE):
        if found := re.search(r"```toml\n(.*?)```", section, re.DOTALL):
            blocks[section.partition("\n")[0]] = found[1]
    return blocks


BLOCKS = read_blocks(PAGE)
BUILT_IN = {
    "read_file": Effect.READ,
    "write_file": Effect.WRITE,
    "edit_file": Effect.WRITE,
    "fetch_page": Effect.NETWORK,
    "search_wiki": Effect.NETWORK,
}
TOOLS = {
    name: Tool(name, "", {}, effect, source="built-in") for name, effect in BUILT_IN.items()
} | {
    "run_command": Tool(
        "run_command", "", {}, Effect.EXECUTE, sandbox=Sandbox.ISOLATED, source="built-in"
    ),
    "run_with_limits": Tool(
        "run_command", "", {}, Effect.EXECUTE, sandbox=Sandbox.LIMITS, source="built-in"
    ),
    "run_freely": Tool("run_command", "", {}, Effect.EXECUTE, source="built-in"),
    "read_text_file": Tool("read_text_file", "", {}, Effect.READ, source="mcp: files"),
    "delete_file": Tool("delete_file", "", {}, Effect.EXECUTE, source="mcp: files"),
    "other_server": Tool("read_text_file", "", {}, Effect.READ, source="mcp: other"),
}
Case = tuple[str, dict[str, Any], type[Verdict]]
ALLOW, ASK, DENY = AllowVerdict, AskVerdict, DenyVerdict

NOTES: list[Case] = [
    ("write_file", {"path": "notes/a.md", "text": ""}, ALLOW),
    ("edit_file", {"path": "x/../notes/a.md"}, ALLOW),
    ("write_file", {"path": "notes/a.py"}, ASK),
    ("write_file", {"path": "notes/deep/a.md"}, ASK),
    ("write_file", {"path": ".git/hooks/pre-commit"}, ASK),
    ("write_file", {"path": "notes/../Makefile"}, ASK),
]
KEYS: list[Case] = [
    ("read_file", {"path": f"{HOME}/.ssh/id_ed25519"}, DENY),
    ("read_file", {"path": "a"}, ALLOW),
]
COMMANDS: list[Case] = [
    ("run_command", {"command": "ls -l"}, ALLOW),
    ("run_command", {"command": "ls -l; rm -rf x"}, ASK),
    ("run_command", {"command": "ls -la"}, ASK),
    ("run_command", {"command": "git log --output=x"}, ASK),
    ("run_with_limits", {"command": "ls -l"}, DENY),
    ("run_with_limits", {"command": "make"}, ASK),
]
SERVER: list[Case] = [
    ("read_text_file", {"path": f"{HOME}/notes/a"}, ALLOW),
    ("read_text_file", {"path": "~/notes/a"}, ASK),
    ("read_text_file", {"path": "/etc/passwd"}, ASK),
    ("delete_file", {"path": f"{HOME}/notes/a"}, ASK),
    ("other_server", {"path": f"{HOME}/notes/a"}, ASK),
]
SITE: list[Case] = [
    ("fetch_page", {"url": "https://docs.python.org/3/"}, ALLOW),
    ("fetch_page", {"url": "https://docs.python.org.example.net/"}, ASK),
    ("fetch_page", {"url": "http://2852039166/latest/meta-data"}, DENY),
]
CASES: dict[str, list[Case]] = {
    "Allow one kind of file": NOTES,
    "Deny a folder": [*KEYS, ("run_command", {"command": "ls -l"}, ASK)],
    "Order of rules": [*SITE, ("fetch_page", {"url": "https://www.example.com/"}, DENY)],
    "Allow fixed commands": COMMANDS,
    "Files that other programs execute": [
        ("write_file", {"path": "deploy.sh"}, ASK),
        ("read_file", {"path": "deploy.sh"}, ALLOW),
    ],
    "MCP servers": SERVER,
    "Grants": [
        ("edit_file", {"path": "a"}, ASK),
        ("write_file", {"path": "a"}, ASK),
        ("run_command", {"command": "ls -l"}, ASK),
    ],
    "Exfiltration check": [
        ("search_wiki", {"url": "https://wiki.example.org/?q=a"}, ALLOW),
        ("search_wiki", {"url": "https://example.org/?q=a"}, ASK),
    ],
    "Sandbox levels": [
        ("run_freely", {"command": "ls"}, DENY),
        ("run_with_limits", {"command": "ls"}, ASK),
        ("delete_file", {}, DENY),
        ("read_file", {"path": "a"}, ALLOW),
    ],
}


def decide(policy: str, cwd: Path, case: Case, *messages: ToolResult) -> Verdict:
    tool = TOOLS[case[0]]
    approver = Approver(parse(policy), cwd)
    call = ToolCall("call_0", tool.name, case[1])
    return approver.verdict(tool, call, messages, list(TOOLS.values()))


def test_every_example_of_the_page_has_cases() -> None:
    assert set(BLOCKS) == set(CASES)
    assert len(BLOCKS) == PAGE.count("```toml")


@pytest.mark.parametrize(
    ("heading", "case"), [(heading, case) for heading, cases in CASES.items() for case in cases]
)
def test_an_example_of_the_page_decides_as_described(
    tmp_path: Path, heading: str, case: Case
) -> None:
    assert isinstance(decide(BLOCKS[heading], tmp_path, case), case[2])


@pytest.mark.parametrize(
    "case",
    [
        *(*NOTES, *KEYS, *COMMANDS, *SERVER, *SITE),
        ("read_file", {"path": ".env"}, DENY),
        ("write_file", {"path": "notes/.env"}, DENY),
        ("read_text_file", {"path": f"{HOME}/notes/.env"}, DENY),
    ],
)
def test_the_example_policy_decides_as_described(tmp_path: Path, case: Case) -> None:
    assert isinstance(decide(EXAMPLE, tmp_path, case), case[2])


def test_a_grant_holds_in_its_folder_for_the_tool_as_it_was(tmp_path: Path) -> None:
    policy = BLOCKS["Grants"].replace("/home/ann/project", str(tmp_path.resolve()))
    for digest, name in (("c1ab…", "edit_file"), ("9e07…", "run_command")):
        policy = policy.replace(digest, tool_digest(TOOLS[name]))
    assert decide(policy, tmp_path, ("edit_file", {"path": "a"}, ALLOW)) == ALLOW()
    assert decide(policy, tmp_path, ("run_command", {"command": "ls -l"}, ALLOW)) == ALLOW()
    for name, command in (("run_command", "ls"), ("run_freely", "ls -l")):
        assert decide(policy, tmp_path, (name, {"command": command}, ASK)) != ALLOW()


def test_only_the_tainted_example_skips_the_exfiltration_check(tmp_path: Path) -> None:
    read = ToolResult(ToolCall("call_0", "read_file", {"path": "a"}), "secret")
    page = ("fetch_page", {"url": "https://docs.python.org/3/"}, ASK)
    wiki = ("search_wiki", {"url": "https://wiki.example.org/"}, ALLOW)
    assert isinstance(decide(EXAMPLE, tmp_path, page, read), AskVerdict)
    assert decide(BLOCKS["Exfiltration check"], tmp_path, wiki, read) == AllowVerdict()


def test_the_page_names_every_key() -> None:
    for key in RULE_KEYS | GRANT_KEYS | POLICY_KEYS:
        assert f"`{key}`" in PAGE
