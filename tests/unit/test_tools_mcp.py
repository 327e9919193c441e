"""MCP servers: configured, started, listed, trusted, called, cancelled, restarted, ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.mcp_servers import call, entry, opened, running, source, tool, written
from xlam_local.errors import ToolError, UsageError
from xlam_local.session import Session
from xlam_local.tools.mcp import McpClients
from xlam_local.tools.mcp.config import parse_server as read
from xlam_local.types import AllowOnce, Effect, Heartbeat, ToolResult

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# A server's life


def test_a_server_is_started_when_it_is_wanted_and_trusted_before_it_is_offered(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, one=entry()) as servers:
        assert source(servers).state == "untrusted"
        assert "not been started" in source(servers).detail
        servers.start()
        assert source(servers).state == "starting"
        servers.wait(30)
        assert source(servers).state == "untrusted"
        assert source(servers).tools == ()
        shown = servers.changes("one")
        assert source(servers).detail.endswith(shown)
        assert "echo: Say it again." in shown
        assert '"text": {"type": "string"}' in shown
        servers.trust("one")
        assert source(servers).state == "ready"
        assert call(servers, text="hi") == "hi"
        one = tool(servers)
        assert (one.source, one.effect, one.description) == (
            "mcp: one",
            Effect.EXECUTE,
            "Say it again.",
        )


def test_what_was_trusted_is_offered_before_its_server_runs(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with running(tmp_path):
        pass
    with opened(tmp_path, one=entry("good")) as servers:
        assert source(servers).state == "ready"
        assert not servers.clients["one"].is_connected
        assert call(servers, text="hi") == "hi"
        assert servers.clients["one"].is_connected
    with opened(tmp_path, one=entry("good", str(heard))) as servers:
        assert source(servers).state == "untrusted", "another command is another server"


@pytest.mark.slow
def test_servers_start_at_the_same_time(tmp_path: Path) -> None:
    many = {f"s{number}": entry() for number in range(5)}
    with opened(tmp_path, **many) as servers:
        servers.start()
        servers.wait(30)
        assert [one.state for one in servers.sources] == ["untrusted"] * 5


def test_a_server_alone_may_be_started(tmp_path: Path) -> None:
    with opened(tmp_path, one=entry(), other=entry()) as servers:
        servers.start(["one"])
        servers.wait(30)
        assert servers.clients["one"].is_connected
        assert not servers.clients["other"].is_connected


def test_a_server_that_is_disabled_is_off(tmp_path: Path) -> None:
    with opened(tmp_path, one=entry(disabled=True)) as servers:
        servers.start()
        assert source(servers).state == "off"


def test_only_the_tools_that_are_allowed_are_offered(tmp_path: Path) -> None:
    with running(tmp_path, allowedTools=["e*"]) as servers:
        assert [one.name for one in source(servers).tools] == ["echo", "environment"]


def test_what_is_no_longer_allowed_is_no_longer_offered(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    with opened(tmp_path, one=entry(allowedTools=["look"])) as servers:
        assert [one.name for one in source(servers).tools] == ["look"]


def test_a_restarted_server_is_another_process(tmp_path: Path) -> None:
    with running(tmp_path, "spawns") as servers:
        first = servers.clients["one"]._process
        assert first is not None
        servers.restart("one")
        servers.wait(30)
        assert call(servers)
        second = servers.clients["one"]._process
        assert second is not None
        assert first.process.pid != second.process.pid
        assert not alive(first.process.pid)


@pytest.mark.parametrize("mode", ["spawns", "detaches"])
def test_what_a_server_has_started_ends_with_it(tmp_path: Path, mode: str) -> None:
    with running(tmp_path, mode) as servers:
        child = int(str(call(servers)))
        assert alive(child)
    until(lambda: not alive(child))


@pytest.mark.slow
def test_a_server_that_will_not_end_is_ended(tmp_path: Path) -> None:
    with running(tmp_path, "stubborn") as servers:
        pipe = servers.clients["one"]._process
        assert pipe is not None
        before = time.monotonic()
    assert time.monotonic() - before < 5
    assert not alive(pipe.process.pid)


@pytest.mark.slow
def test_leaving_the_program_ends_its_servers(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from xlam_local.tools.mcp import McpClients
clients = McpClients.open(Path({str(written(tmp_path, one=entry()))!r}), Path("s"), Path("d"))
clients.start()
clients.wait(30)
print(clients.clients["one"]._process.process.pid)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    until(lambda: not alive(int(done.stdout)))


def test_a_cancelled_call_is_told_to_the_server(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with running(tmp_path, "good", str(heard)) as servers:
        wait, told = tool(servers, "wait"), []

        def work() -> None:
            try:
                assert wait.run is not None
                wait.run()
            except ToolError as error:
                told.append(str(error))

        thread = Thread(target=work)
        thread.start()
        until(lambda: '"tools/call"' in heard.read_text())
        assert wait.cancel is not None
        wait.cancel()
        thread.join(5)
        assert told == ["The call to the server 'one' was cancelled."]
        until(lambda: "notifications/cancelled" in heard.read_text())
        assert call(servers, text="still here") == "still here"


def test_a_call_that_takes_too_long_is_cancelled(tmp_path: Path) -> None:
    with running(tmp_path, timeout=0.3) as servers:
        with pytest.raises(ToolError, match=r"did not answer within 0\.3 seconds"):
            call(servers, "wait")
        assert call(servers, text="still here") == "still here"


def test_calls_at_the_same_time_have_their_own_results(tmp_path: Path) -> None:
    with running(tmp_path) as servers:
        got: dict[int, object] = {}
        threads = [
            Thread(target=lambda n=n: got.update({n: call(servers, text=str(n))}))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert got == {n: str(n) for n in range(20)}


def test_a_tool_that_fails_is_an_error_for_the_model(tmp_path: Path) -> None:
    with running(tmp_path) as servers, pytest.raises(ToolError, match=r"^The disk is full\.$"):
        call(servers, "fail")


def test_a_call_is_shown_with_its_server_and_its_arguments(tmp_path: Path) -> None:
    with running(tmp_path) as servers:
        preview = tool(servers).preview
        assert preview is not None
        shown = preview(text="\x1b[2Jhi")
        assert f"{entry()['args'][0]} good" in shown
        assert 'echo {\n  "text": "\\u001b[2Jhi"\n}' in shown


def test_what_is_not_text_is_told_as_what_it_is(tmp_path: Path) -> None:
    with running(tmp_path, "binary") as servers:
        assert str(call(servers)).splitlines()[:3] == [
            "(image, image/png, 3 bytes, not shown)",
            "(file:///x, binary data, 6 bytes, not shown)",
            "(x: https://x.org)",
        ]
    with running(tmp_path, "structured") as servers:
        assert call(servers) == '{"sum": 5}'


def test_a_server_learns_of_the_environment_what_its_entry_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    with running(tmp_path, env={"GIVEN": "${MY_TOKEN}-${ELSE:-x}"}) as servers:
        seen = json.loads(str(call(servers, "environment")))
        assert seen["GIVEN"] == "secret-x"
        assert "MY_TOKEN" not in seen
        assert "XLAM_LOCAL_HOME" not in seen


def test_a_changed_tool_is_shown_and_trusted_again(tmp_path: Path) -> None:
    with running(tmp_path, "renames") as servers:
        echo = tool(servers)
        assert call(servers) == "renamed"
        until(lambda: source(servers).state == "untrusted")
        assert source(servers).tools == ()
        assert echo.run is not None
        with pytest.raises(ToolError, match="has changed this tool"):
            echo.run(text="x")
        shown = servers.changes("one")
        assert "Changed: echo" in shown
        assert "-echo: Say it again." in shown
        assert "+echo: Now wipes the disk." in shown
        assert "Removed: fail" in shown
        servers.trust("one")
        assert tool(servers).description == "Now wipes the disk."


def test_what_changed_since_it_was_shown_is_not_trusted(tmp_path: Path) -> None:
    with opened(tmp_path, one=entry("renames")) as servers:
        servers.start()
        servers.wait(30)
        shown = source(servers)
        servers.trust("one", shown.content_hash)
        call(servers)
        until(lambda: source(servers).state == "untrusted")
        for _ in range(2):
            with pytest.raises(UsageError, match="changed its tools in the meantime"):
                servers.trust("one", shown.content_hash)
            assert source(servers).state == "untrusted"
        servers.trust("one", source(servers).content_hash)
        assert source(servers).state == "ready"


@pytest.mark.parametrize(
    ("hints", "effect"),
    [
        ({}, Effect.EXECUTE),
        ({"readOnlyHint": True}, Effect.READ),
        ({"readOnlyHint": True, "openWorldHint": True}, Effect.NETWORK),
        ({"destructiveHint": False}, Effect.EXECUTE),
    ],
)
def test_hints_change_what_is_said_of_a_tool(hints: dict[str, bool], effect: Effect) -> None:
    from xlam_local.tools.mcp.tool_listing import ListedTool
    from xlam_local.tools.mcp.tool_listing import tool_effect as found

    assert found(ListedTool("x", hints=hints), remote=False) == effect
    assert found(ListedTool("x", hints=hints), remote=True) == Effect.NETWORK


# mcp.json


def test_without_a_file_there_are_no_servers(tmp_path: Path) -> None:
    assert McpClients.open(tmp_path / "mcp.json", tmp_path, tmp_path).sources == ()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"server": {}}', '{"servers": []}', "\x00", "[" * 100_000]
)
def test_a_file_that_is_none_is_one_source_that_failed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    (found,) = McpClients.open(path, tmp_path, tmp_path).sources
    assert (found.name, found.state) == ("mcp.json", "failed")
    assert str(path) in found.detail


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (3, "not a JSON object"),
        ({}, "one of command and url"),
        ({"command": "x", "url": "http://x"}, "one of command and url"),
        ({"command": ""}, "command must be a string that is not empty, not ''"),
        ({"command": "x", "args": "y"}, "args must be a list of strings, not 'y'"),
        ({"command": "x", "args": [{}]}, "args must be a list of strings, not [{}]"),
        ({"command": "x", "env": {"A": []}}, "env must be an object of strings"),
        ({"command": "x", "env": {"": "a"}}, "env must be an object of strings by the names"),
        ({"command": "x", "env": {"A=B": "a"}}, "env must be an object of strings by the names"),
        (
            {"command": "x", "env": {"A": "${input:key}"}},
            "env: the placeholder ${input:key}",
        ),
        ({"command": "x", "env": {"A": "${A:-${B}}"}}, "env: the placeholder ${A:-${B} is not"),
        ({"url": "https://x.org/${command:y}"}, "url: the placeholder ${command:y} is not"),
        ({"url": "https://x.org", "headers": {"A": "${file(x)}"}}, "headers: the placeholder"),
        ({"url": "https://x.org", "serverUrl": "https://y.org"}, "serverUrl and url differ"),
        ({"command": "x\0y"}, "command must be a string"),
        (
            {"command": "x", "timeout": 60000},
            "timeout must be a number of seconds above 0, at most 3600, not 60000",
        ),
        ({"command": "x", "disabled": "no"}, "disabled must be true or false, not 'no'"),
        ({"url": "file:///etc/passwd"}, "url must be a URL that begins with http:// or https://"),
        ({"url": "http://[::"}, "url must be a URL that begins with http:// or https://"),
        ({"type": "sse", "url": "http://x"}, "sse is not supported"),
        ({"type": "telnet", "url": "http://x"}, "type must be one of stdio, local"),
        ({"type": ["http"], "url": "http://x"}, "type must be one of"),
    ],
)
def test_what_is_wrong_with_a_server_is_a_sentence(item: Any, told: str) -> None:
    assert told in read("x", item).fault


@pytest.mark.parametrize("name", ["../../x", "a/b", "", "x" * 100, "a\n", "\x1b[2J", "..", "é"])
def test_a_name_that_could_be_a_path_is_none(name: str) -> None:
    assert "The name" in read(name, {"command": "x"}).fault


def test_keys_of_other_programs_are_told(tmp_path: Path) -> None:
    with opened(tmp_path, one=entry(autoApprove=["echo"])) as servers:
        assert source(servers).notices == ("Unknown keys: autoApprove.",)


def test_one_server_that_cannot_be_started_keeps_no_other_from_it(tmp_path: Path) -> None:
    missing = {"command": str(tmp_path / "no-such-program")}
    nowhere = {**entry(), "cwd": str(tmp_path / "no-such-folder")}
    wants = {**entry(), "env": {"A": "${NOT_SET_ANYWHERE}"}}
    with opened(
        tmp_path, one=entry(), missing=missing, nowhere=nowhere, wants=wants, faulty={}
    ) as servers:
        servers.start()
        servers.wait(30)
        assert source(servers).state == "untrusted"
        assert {one.state for one in servers.sources if one.name != "one"} == {"failed"}
        assert "no-such-program" in source(servers, "missing").detail
        assert "no-such-folder" in source(servers, "nowhere").detail
        assert "NOT_SET_ANYWHERE is not set" in source(servers, "wants").detail


def test_a_server_that_is_not_there_cannot_be_trusted(tmp_path: Path) -> None:
    with opened(tmp_path, one=entry("not-mcp")) as servers:
        with pytest.raises(UsageError, match=r"Unknown server 'two'\. Servers: one"):
            servers.trust("two")
        with pytest.raises(UsageError, match=r"exit code 2.*'Hello, who is there"):
            servers.trust("one")


def test_an_agreement_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for text in ("{", "[]", '{"one": {}}', '{"one": {"launch": "x", "tools": {"a": {"b": 1}}}}'):
        (tmp_path / "data" / "mcp-trust.json").write_text(text)
        with opened(tmp_path, one=entry()) as servers:
            assert "Remove it and trust them again" in servers.sources[0].detail


def test_mcp_is_imported_when_a_server_is_started() -> None:
    code = "import sys, xlam_local.tools.mcp; sys.exit('mcp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# In a turn


def test_leaving_a_turn_cancels_the_call_that_runs(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with running(tmp_path, "good", str(heard)) as servers:
        calls = [json.dumps([{"name": "wait", "arguments": {"text": "x"}}])]
        session = Session(Scripted(calls), [tool(servers, "wait")], lambda question: AllowOnce())
        events = session.send("Go.")
        for event in events:
            if isinstance(event, Heartbeat) and '"tools/call"' in heard.read_text():
                break
        events.close()
        until(lambda: "notifications/cancelled" in heard.read_text())
        assert isinstance(session.messages[-1], ToolResult)
        assert "cancelled" in session.messages[-1].output


def test_a_server_that_dies_in_a_turn_costs_one_call(tmp_path: Path) -> None:
    with running(tmp_path, "die") as servers:
        calls = [json.dumps([{"name": "echo", "arguments": {"text": "x"}}])]
        session = Session(
            Scripted(calls, ["It died."]), [tool(servers)], lambda question: AllowOnce()
        )
        assert session.ask("Go.") == "It died."
        (result,) = (one for one in session.messages if isinstance(one, ToolResult))
        assert not result.ok
        assert "It ended with exit code 3" in result.output
