"""Policies, tools and a project folder for attempts to get past a policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlam_local.permissions import AllowVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.types import Effect, Tool, ToolCall

ALLOW_POLICY = """
[[rule]]
decision = "allow"
tool = "run"
arguments = { command = ["git status", "git log *", "ls *"] }

[[rule]]
decision = "allow"
tool = "save"
path = "notes"

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
path = "notes"

[[rule]]
decision = "allow"
tool = "send"
arguments = { to = "ann@example.org" }
"""
DENY_POLICY = """
[[rule]]
decision = "allow"
source = "*"

[[rule]]
decision = "deny"
path = "secret"

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


def runs(policy: str, project: Path, name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a call of one of TOOLS runs without a prompt."""
    approver = Approver(parse(policy), project)
    call = ToolCall("call_0", name, arguments)
    return approver.verdict(TOOLS[name], call, [], list(TOOLS.values())) == AllowVerdict()


def make_project(top: Path) -> Path:
    """Create a folder with links that lead out of it and into other folders."""
    for name in ("notes", "out", "secret", "open"):
        (top / name).mkdir(parents=True)
    (top / "secret" / "key").write_text("key")
    (top / "notes" / "out-of-here").symlink_to("/etc")
    (top / "notes" / "to-secret").symlink_to(top / "secret")
    (top / "notes" / "key").symlink_to(top / "secret" / "key")
    (top / "open" / "way").symlink_to(top / "secret")
    (top / "out" / "a.txt").symlink_to("/etc/passwd")
    (top / "out" / "loop.txt").symlink_to(top / "out" / "loop.txt")
    return top
