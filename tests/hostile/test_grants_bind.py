"""Attempts to use a grant, or trust, for something else than what the user has seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.policies import CONTEXT, RUN, decide
from tests.fakes.tool_calls import run
from xlam_local.errors import ToolError
from xlam_local.permissions import AllowVerdict, AskVerdict, PolicyContext
from xlam_local.permissions.approver import Approver
from xlam_local.permissions.rules import Grant
from xlam_local.tools.sources import ToolPaths
from xlam_local.tools.toolbox import Toolbox
from xlam_local.types import AllowAlways, Decision, Effect, Sandbox, Tool, ToolCall

TOOL = Tool(
    "save",
    "Save a text.",
    {"type": "object", "properties": {"text": {"type": "string"}}},
    Effect.WRITE,
    sandbox=Sandbox.ISOLATED,
    source="mine",
    file="/tools/mine.toml",
    content_hash="1",
)
SERVER_TOOL = Tool("save", "", {}, Effect.WRITE, source="mcp: notes", content_hash="1")


def other_verdict(allowed: Tool, other: Tool, exact: bool, tmp_path: Path) -> object:
    """Return the verdict on a call of a tool after the user has allowed another one for good."""
    policy = tmp_path / "policy.toml"
    call = ToolCall("c", allowed.name, {"text": "a"})

    def ask(_request: object) -> Decision:
        return AllowAlways(exact_arguments=exact, permanent=True)

    Approver.open(policy, tmp_path).decide(allowed, call, [], [allowed], ask)
    again = Approver.open(policy, tmp_path)
    assert again.verdict(allowed, call, [], [allowed]) == AllowVerdict()
    return again.verdict(other, ToolCall("c", other.name, {"text": "a"}), [], [other])


OTHERS: list[tuple[Tool, dict[str, Any]]] = [
    (TOOL, {"content_hash": "2"}),
    (TOOL, {"content_hash": ""}),
    (TOOL, {"effect": Effect.EXECUTE}),
    (TOOL, {"effect": Effect.NETWORK}),
    (TOOL, {"sandbox": Sandbox.LIMITS}),
    (TOOL, {"sandbox": Sandbox.NONE}),
    (TOOL, {"network": True}),
    (TOOL, {"parameters": {"type": "object"}}),
    (TOOL, {"source": "other"}),
    (TOOL, {"source": "mcp: mine"}),
    (TOOL, {"source": "built-in"}),
    (TOOL, {"file": "/project/mine.toml"}),
    (TOOL, {"file": ""}),
    (TOOL, {"original_name": "store"}),
    (TOOL, {"name": "mine_save"}),
    (TOOL, {"name": "save_", "original_name": "delete"}),
    (SERVER_TOOL, {"content_hash": "2"}),
    (SERVER_TOOL, {"source": "mcp: other"}),
    (SERVER_TOOL, {"source": "mcp: notes "}),
    (SERVER_TOOL, {"original_name": "SAVE"}),
    (SERVER_TOOL, {"effect": Effect.READ, "name": "save_all"}),
]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("allowed", "change"), OTHERS)
def test_a_grant_does_not_cover_another_tool(
    tmp_path: Path, allowed: Tool, change: dict[str, Any], exact: bool
) -> None:
    other = replace(allowed, **change)
    assert isinstance(other_verdict(allowed, other, exact, tmp_path), AskVerdict)


def test_a_grant_stays_with_its_tool_after_a_name_clash(tmp_path: Path) -> None:
    renamed = replace(TOOL, name="mine_save", original_name="save")
    assert other_verdict(TOOL, renamed, False, tmp_path) == AllowVerdict()
    taken = replace(TOOL, source="theirs", file="/tools/theirs.toml")
    assert isinstance(other_verdict(renamed, taken, False, tmp_path / "x"), AskVerdict)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("tool", [TOOL, SERVER_TOOL, replace(TOOL, source="built-in", file="")])
def test_a_grant_does_not_cover_another_working_folder(
    tmp_path: Path, tool: Tool, exact: bool
) -> None:
    policy = tmp_path / "policy.toml"
    call = ToolCall("c", "save", {"text": "a"})
    answer = AllowAlways(exact_arguments=exact, permanent=True)
    folders = [tmp_path / name for name in ("one", "one/sub", "two")]
    for folder in folders:
        folder.mkdir()
    Approver.open(policy, folders[0]).decide(tool, call, [], [tool], lambda _: answer)
    verdicts = [Approver.open(policy, one).verdict(tool, call, [], [tool]) for one in folders]
    assert [type(verdict) for verdict in verdicts] == [AllowVerdict, AskVerdict, AskVerdict]


@pytest.mark.parametrize(
    "grant",
    [
        Grant("f"),
        Grant("f", cwd=str(CONTEXT.cwd)),
        Grant("f", digest="0" * 64, cwd=str(CONTEXT.cwd)),
        Grant("f", call="{}", cwd=str(CONTEXT.cwd)),
        Grant("*", cwd=str(CONTEXT.cwd)),
    ],
)
def test_a_grant_without_the_digest_of_the_tool_covers_nothing(grant: Grant) -> None:
    context: PolicyContext = replace(CONTEXT, session_grants=(grant,))
    assert isinstance(decide("", RUN, {}, context), AskVerdict)


# Tool files


COMMAND = """
[[tool]]
name = "build"
description = "Build."
command = {command}
effect = "execute"
cwd = "{cwd}"
"""


@pytest.fixture
def paths(tmp_path: Path) -> ToolPaths:
    for name in ("config/tools", "work/sub", "work/src"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("work/build.sh", "work/sub/build.sh", "work/src/tool.py", "work/run"):
        script = tmp_path / name
        script.write_text("#!/bin/sh\necho good\n" if "py" not in name else "print('good')\n")
        script.chmod(0o755)
    return ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path / "work")


def write(paths: ToolPaths, command: list[str], cwd: str = ".") -> None:
    text = COMMAND.format(command=json.dumps(command), cwd=cwd)
    (paths.config / "tools" / "mine.toml").write_text(text)


def outputs(toolbox: Toolbox) -> list[str]:
    """Return what the tool prints if it can be called."""
    tools = [tool for tool in toolbox.tools if tool.name == "build"]
    try:
        return [str(run(tool)).strip() for tool in tools]
    except ToolError:
        return []


PYTHON = shutil.which("python3") or "python3"
PROGRAMS: list[tuple[list[str], str, str]] = [
    (["./build.sh"], ".", "build.sh"),
    (["./run"], ".", "run"),
    (["sub/build.sh"], ".", "sub/build.sh"),
    (["./build.sh"], "sub", "sub/build.sh"),
    (["./../build.sh"], "sub", "build.sh"),
    (["sh", "build.sh"], ".", "build.sh"),
    (["sh", "-c", "./build.sh && true"], ".", "build.sh"),
    (["sh", "-c", "exec sh 'sub/build.sh'"], ".", "sub/build.sh"),
    (["env", "X=1", "./run"], ".", "run"),
    ([PYTHON, "src/tool.py"], ".", "src/tool.py"),
    ([PYTHON, "-m", "src.tool"], ".", "src/tool.py"),
    (["timeout", "5", "./run"], ".", "run"),
]


def rewrite(path: Path) -> None:
    path.write_text("#!/bin/sh\necho evil\n" if path.suffix != ".py" else "print('evil')\n")


def rewrite_and_restore_time(path: Path) -> None:
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_link(path: Path) -> None:
    other = path.with_name("other" + path.suffix)
    other.write_bytes(path.read_bytes())
    rewrite(other)
    other.chmod(0o755)
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [rewrite, rewrite_and_restore_time, replace_by_link])
@pytest.mark.parametrize(("command", "cwd", "program"), PROGRAMS)
def test_a_program_that_changed_does_not_run(
    paths: ToolPaths, command: list[str], cwd: str, program: str, change: Callable[[Path], None]
) -> None:
    write(paths, command, cwd)
    with Toolbox.open(paths) as toolbox:
        toolbox.trust("mine")
        assert outputs(toolbox) == ["good"]
        change(paths.cwd / program)
        assert outputs(toolbox) == []
        toolbox.refresh()
        assert outputs(toolbox) == []
        (source,) = [source for source in toolbox.sources if source.name == "mine"]
        assert source.state == "untrusted"
        assert program.rpartition("/")[2] in source.detail
    with Toolbox.open(paths) as toolbox:
        assert outputs(toolbox) == []


def test_trust_does_not_cover_the_program_of_another_project(
    paths: ToolPaths, tmp_path: Path
) -> None:
    write(paths, ["./build.sh"])
    with Toolbox.open(paths) as toolbox:
        toolbox.trust("mine")
    other = tmp_path / "other"
    other.mkdir()
    with Toolbox.open(replace(paths, cwd=other)) as toolbox:
        assert outputs(toolbox) == []
        rewrite(other / "build.sh")
        (other / "build.sh").chmod(0o755)
        toolbox.refresh()
        assert outputs(toolbox) == []
    with Toolbox.open(paths) as toolbox:
        assert outputs(toolbox) == ["good"]


def test_a_grant_does_not_cover_a_file_that_was_trusted_again(paths: ToolPaths) -> None:
    verdicts = []
    policy = paths.config / "policy.toml"
    for command in (["echo", "a"], ["echo", "b"]):
        write(paths, command)
        with Toolbox.open(paths) as toolbox:
            toolbox.trust("mine")
            (tool,) = [tool for tool in toolbox.tools if tool.name == "build"]
            call = ToolCall("c", "build", {})
            approver = Approver.open(policy, paths.cwd)
            verdicts.append(approver.verdict(tool, call, [], [tool]))
            approver.decide(tool, call, [], [tool], lambda _: AllowAlways(permanent=True))
            assert approver.verdict(tool, call, [], [tool]) == AllowVerdict()
    assert [type(verdict) for verdict in verdicts] == [AskVerdict, AskVerdict]


def test_a_program_on_the_path_and_data_need_no_new_trust(paths: ToolPaths) -> None:
    data = paths.cwd / "data.csv"
    data.write_text("good\n")
    write(paths, ["cat", "data.csv"])
    with Toolbox.open(paths) as toolbox:
        toolbox.trust("mine")
        assert outputs(toolbox) == ["good"]
        data.write_text("other\n")
        assert outputs(toolbox) == ["other"]
