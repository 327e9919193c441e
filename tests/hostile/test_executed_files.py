"""Attempts to write files that other programs execute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.policies import decide
from tests.fakes.tool_calls import needs_isolation
from xlam_local.permissions import (
    AllowVerdict,
    AskVerdict,
    DenyVerdict,
    PolicyContext,
    grant_for_call,
    grant_for_tool,
)
from xlam_local.permissions.executed_files import executed_file
from xlam_local.permissions.rules import Grant
from xlam_local.tools.sandbox.config import Limits, SandboxConfig
from xlam_local.tools.sandbox.process import run
from xlam_local.types import Effect, Sandbox, Tool, ToolCall

ALLOW_ALL = '[[rule]]\ndecision = "allow"\nsource = "*"\n'
ALLOW_FOLDER = '[[rule]]\ndecision = "allow"\ntool = "write_file"\npath = "."\n'
ALLOW_GIT = """
[[rule]]
decision = "allow"
tool = "run_command"
arguments = { command = "git *" }
"""
WRITE_FILE = Tool("write_file", "", {"type": "object"}, Effect.WRITE, source="built-in")
ISOLATED = Sandbox.ISOLATED
RUN_COMMAND = Tool(
    "run_command", "", {"type": "object"}, Effect.EXECUTE, source="built-in", sandbox=ISOLATED
)
SERVER = Tool("save", "", {"type": "object"}, Effect.READ, source="mcp: files")
EXECUTED = [
    ".git/config",
    ".git/hooks/post-checkout",
    "sub/.git/config",
    ".GIT/Config",
    ".git\u200b/config",
    "./.git/../.git/info/attributes",
    ".gitmodules",
    ".gitattributes",
    ".githooks/pre-push",
    ".husky/pre-commit",
    ".envrc",
    "sub/.envrc",
    ".vscode/tasks.json",
    ".idea/workspace.xml",
    "x.code-workspace",
    ".devcontainer/devcontainer.json",
    "Makefile",
    "makefile",
    "GNUmakefile",
    "rules.mk",
    "justfile",
    "Taskfile.yml",
    "CMakeLists.txt",
    "package.json",
    "node_modules/x/index.js",
    ".npmrc",
    "setup.py",
    "pyproject.toml",
    "tox.ini",
    "conftest.py",
    "tests/conftest.py",
    "sitecustomize.py",
    "lib/evil.pth",
    ".pre-commit-config.yaml",
    ".github/workflows/ci.yml",
    ".gitlab-ci.yml",
    "Dockerfile",
    "docker-compose.yml",
    "Vagrantfile",
    "build.rs",
    "build.gradle.kts",
    "gradlew",
    ".cargo/config.toml",
    "flake.nix",
    ".bashrc",
    ".zshenv",
    ".profile",
    ".config/fish/config.fish",
    ".config/autostart/x.desktop",
    ".config/systemd/user/x.service",
    ".local/bin/ls",
    "Library/LaunchAgents/x.plist",
    ".ssh/authorized_keys",
    ".vimrc",
    ".emacs.d/init.el",
    ".tmux.conf",
    ".claude/settings.json",
    ".mcp.json",
    "vite.config.ts",
    ".venv/bin/python",
]
ORDINARY = [
    "notes.md",
    "src/main.py",
    "docs/makefile.md",
    "git/config",
    "gitignore.txt",
    "setup.txt",
    "data/package.csv",
    "vscode/x.json",
    ".gitignore",
    "README",
]


@pytest.mark.parametrize("path", EXECUTED)
def test_a_rule_does_not_allow_writing_what_others_execute(path: str) -> None:
    for policy in (ALLOW_ALL, ALLOW_FOLDER):
        verdict = decide(policy, WRITE_FILE, {"path": path, "text": "x"})
        assert isinstance(verdict, AskVerdict)
        assert "other programs execute" in verdict.reason


@pytest.mark.parametrize("path", ORDINARY)
def test_other_files_are_still_allowed(path: str) -> None:
    assert decide(ALLOW_FOLDER, WRITE_FILE, {"path": path, "text": "make"}) == AllowVerdict()


@pytest.mark.parametrize(
    "command",
    [
        "git log --output=.git/config --format=x",
        "git log --output .git/hooks/post-commit",
        "git archive -o .envrc HEAD",
        "git log --output='Makefile'",
        "git diff --output=sub/.vscode/tasks.json",
        "git format-patch -o .husky",
    ],
)
def test_a_rule_does_not_allow_a_command_that_names_one(command: str) -> None:
    verdict = decide(ALLOW_GIT, RUN_COMMAND, {"command": command})
    assert not isinstance(verdict, AllowVerdict)
    asked = decide(ALLOW_ALL, RUN_COMMAND, {"command": command.split()})
    assert isinstance(asked, AskVerdict)


@pytest.mark.parametrize(
    "arguments",
    [{"to": ".envrc"}, {"items": [{"name": ".git/config"}]}, {".bashrc": "text"}],
)
def test_a_servers_tool_is_asked_about_in_every_argument(arguments: dict[str, Any]) -> None:
    assert isinstance(decide(ALLOW_ALL, SERVER, arguments), AskVerdict)


def test_only_a_grant_for_the_exact_call_allows_it() -> None:
    arguments = {"path": ".envrc", "text": "use flake"}
    call = ToolCall("call_0", "write_file", arguments)
    cwd = Path("/home/u/project")
    bare = PolicyContext(cwd, Path("/home/u"), lambda path: path)
    whole = grant_for_tool(WRITE_FILE, bare, tainted=False)
    exact = grant_for_call(WRITE_FILE, call, bare, tainted=False)

    def verdict(grant: Grant, text: str) -> object:
        context = replace(bare, session_grants=(grant,))
        return decide("", WRITE_FILE, arguments | {"text": text}, context)

    assert isinstance(verdict(whole, "use flake"), AskVerdict)
    assert verdict(exact, "use flake") == AllowVerdict()
    assert isinstance(verdict(exact, "rm -rf ~"), AskVerdict)


def test_a_denial_stays_a_denial_and_the_list_can_be_extended() -> None:
    deny = '[[rule]]\ndecision = "deny"\ntool = "write_file"\n'
    assert isinstance(decide(deny, WRITE_FILE, {"path": ".envrc", "text": ""}), DenyVerdict)
    extended = 'executed_files = ["deploy.sh", "scripts/*"]\n' + ALLOW_FOLDER
    for path in ("deploy.sh", "sub/Deploy.sh", "scripts/x.py"):
        assert isinstance(decide(extended, WRITE_FILE, {"path": path, "text": ""}), AskVerdict)
    assert decide(extended, WRITE_FILE, {"path": "a.sh", "text": ""}) == AllowVerdict()


def test_the_message_names_the_part_that_matches() -> None:
    assert executed_file(Path("a/.git/config")) == ".git"
    assert executed_file(Path("x/.config/autostart/y")) == ".config/autostart"
    assert executed_file(None) == ""


# Isolated programs


@pytest.fixture
def sandbox(tmp_path: Path) -> SandboxConfig:
    folder = tmp_path / "work"
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".git" / "config").write_text("[core]\n")
    (folder / "Makefile").write_text("all:\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "conftest.py").write_text("")
    return SandboxConfig(folder, Sandbox.ISOLATED, Limits(timeout=10))


@needs_isolation
@pytest.mark.parametrize(
    "script",
    [
        "echo '[core] pager = evil' >> .git/config",
        "echo evil > .git/hooks/post-checkout",
        "mkdir .git/new",
        "rm -rf .git",
        "mv .git old",
        "echo evil >> Makefile",
        "rm -f Makefile && echo evil > Makefile",
        "ln -sf /tmp/x Makefile",
        "echo evil > sub/conftest.py",
        "chmod 777 Makefile",
    ],
)
def test_an_isolated_program_cannot_change_one(sandbox: SandboxConfig, script: str) -> None:
    before = {path: path.stat().st_mode for path in sandbox.cwd.rglob("*")}
    run(["sh", "-c", script], sandbox)
    assert {path: path.stat().st_mode for path in sandbox.cwd.rglob("*")} == before
    assert (sandbox.cwd / "Makefile").read_text() == "all:\n"
    assert (sandbox.cwd / ".git" / "config").read_text() == "[core]\n"


@needs_isolation
@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("echo evil > .envrc", ".envrc"),
        ("mkdir .vscode; echo evil > .vscode/tasks.json", ".vscode"),
        ("mkdir -p a/b; echo evil > a/b/Makefile", "a/b/Makefile"),
        ("ln -s /etc/passwd package.json", "package.json"),
        ("mv sub old; mkdir sub; echo evil > sub/conftest.py", "sub/conftest.py"),
        ("(sleep 0.2; echo evil > setup.py) & exit 0", "setup.py"),
    ],
)
def test_a_new_one_is_renamed(sandbox: SandboxConfig, script: str, name: str) -> None:
    completed = run(["sh", "-c", f"{script}; sleep 0.5"], sandbox)
    assert not (sandbox.cwd / name).exists()
    assert not (sandbox.cwd / name).is_symlink()
    if (sandbox.cwd / f"{name}.blocked").is_symlink() or (sandbox.cwd / f"{name}.blocked").exists():
        assert name in completed.stderr.decode()


@needs_isolation
def test_an_isolated_program_still_writes_other_files(sandbox: SandboxConfig) -> None:
    completed = run(["sh", "-c", "echo x > sub/a.txt && cat Makefile .git/config"], sandbox)
    assert (sandbox.cwd / "sub" / "a.txt").read_text() == "x\n"
    assert completed.stdout == b"all:\n[core]\n"
    assert completed.stderr == b""
