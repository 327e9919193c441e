"""The protocol's reference servers, started as their users start them."""

from __future__ import annotations

import json
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.fakes.mcp_servers import opened, tool
from xlam_local.errors import ToolError
from xlam_local.tools.mcp import McpClients

NPX = shutil.which("npx")
REFERENCE = "@modelcontextprotocol/server-"


def needs(server: str) -> None:
    """Skip a test whose server cannot be had here."""
    if server in {"time", "fetch"}:
        if find_spec(f"mcp_server_{server}") is None:
            pytest.skip(f"mcp-server-{server} is not installed")
    elif NPX is None:
        pytest.skip("npx is not installed")


def started(top: Path, server: str) -> dict[str, Any]:
    """How a user writes a reference server down."""
    folder = top / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("hello")
    if server in {"time", "fetch"}:
        return {"command": sys.executable, "args": ["-m", f"mcp_server_{server}"], "timeout": 30}
    more = [str(folder)] if server == "filesystem" else []
    env = {"MEMORY_FILE_PATH": str(top / "memory.json")}
    return {"command": NPX, "args": ["-y", REFERENCE + server, *more], "env": env, "timeout": 30}


LISTED = {
    "filesystem": {"read_text_file", "write_file", "list_directory", "move_file"},
    "memory": {"create_entities", "read_graph", "search_nodes"},
    "everything": {"echo", "get-sum", "trigger-long-running-operation"},
    "time": {"get_current_time", "convert_time"},
    "fetch": {"fetch"},
}


@pytest.fixture(params=LISTED)
def server(request: pytest.FixtureRequest) -> str:
    """The name of a reference server that can be had here."""
    needs(request.param)
    return str(request.param)


def call(servers: McpClients, name: str, **arguments: Any) -> str:
    run = tool(servers, name).run
    assert run is not None
    return str(run(**arguments))


def use(servers: McpClients, server: str, top: Path) -> None:
    """Call a server's tools as a model does."""
    match server:
        case "filesystem":
            folder = top / "folder"
            assert call(servers, "read_text_file", path=str(folder / "a.txt")) == "hello"
            call(servers, "write_file", path=str(folder / "b.txt"), content="new")
            assert (folder / "b.txt").read_text() == "new"
            with pytest.raises(ToolError, match="outside allowed directories"):
                call(servers, "read_text_file", path="/etc/passwd")
        case "memory":
            known = {"name": "Ada", "entityType": "person", "observations": ["counts"]}
            call(servers, "create_entities", entities=[known])
            assert "counts" in call(servers, "search_nodes", query="Ada")
        case "everything":
            assert "hi" in call(servers, "echo", message="hi")
            assert "5" in call(servers, "get-sum", a=2, b=3)
            assert "image/png" in call(servers, "get-tiny-image")
        case "time":
            told = json.loads(call(servers, "get_current_time", timezone="Asia/Tokyo"))
            assert told["timezone"] == "Asia/Tokyo"
            with pytest.raises(ToolError, match="timezone"):
                call(servers, "get_current_time", timezone="Nowhere/None")
        case "fetch":
            with pytest.raises(ToolError):
                call(servers, "fetch", url="http://127.0.0.1:1/")


@pytest.mark.slow
def test_a_reference_server_is_listed_called_and_restarted(tmp_path: Path, server: str) -> None:
    with opened(tmp_path, one=started(tmp_path, server)) as servers:
        servers.trust("one")
        (source,) = servers.sources
        assert LISTED[server] <= {one.name for one in source.tools}
        use(servers, server, tmp_path)
        first = servers.clients["one"]._process
        servers.restart("one")
        servers.wait(60)
        assert servers.clients["one"]._process is not first
        assert servers.sources[0].state == "ready"
        use(servers, server, tmp_path)


@pytest.mark.slow
def test_a_long_call_of_a_reference_server_is_cancelled(tmp_path: Path) -> None:
    needs("everything")
    with opened(tmp_path, one=started(tmp_path, "everything")) as servers:
        servers.trust("one")
        slow, told = tool(servers, "trigger-long-running-operation"), []

        def work() -> None:
            try:
                assert slow.run is not None
                slow.run(duration=60, steps=60)
            except ToolError as error:
                told.append(str(error))

        thread = Thread(target=work)
        thread.start()
        time.sleep(1)
        assert slow.cancel is not None
        slow.cancel()
        thread.join(5)
        assert told == ["The call to the server 'one' was cancelled."]
        assert "hi" in call(servers, "echo", message="hi")


@pytest.mark.slow
def test_reference_servers_start_together(tmp_path: Path) -> None:
    for server in LISTED:
        needs(server)
    entries = {server: started(tmp_path, server) for server in LISTED}
    with opened(tmp_path, **entries) as servers:
        servers.start()
        servers.wait(90)
        assert {one.name: one.state for one in servers.sources} == dict.fromkeys(
            LISTED, "untrusted"
        )
