"""The page about MCP servers and its example."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.fakes.command_line import run_process
from xlam_local.tools.mcp import (
    client,
    config,
    http_transport,
    launch,
    stdio_transport,
    tool_listing,
)

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mcp.md").read_text(encoding="utf-8")


def test_the_servers_of_the_example_are_valid() -> None:
    servers = config.load_servers(DOCS / "examples" / "mcp.json")
    assert [(server.name, server.fault, server.unknown_keys) for server in servers] == [
        ("files", "", ()),
        ("time", "", ()),
        ("issues", "", ()),
    ]


def test_the_servers_of_the_page_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        path = tmp_path / "mcp.json"
        path.write_text(block, encoding="utf-8")
        (server,) = config.load_servers(path)
        assert (server.fault, server.unknown_keys) == ("", ())


@pytest.mark.slow
def test_the_first_server_of_the_page_works_offline(own_folders: Path) -> None:
    file = own_folders / "config" / "mcp.json"
    file.parent.mkdir(parents=True)
    block = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    file.write_text(block.replace('"python"', json.dumps(sys.executable)), encoding="utf-8")
    trust, test, ask = re.findall(r"^xlam-local ((?:tools|ask) .*)$", PAGE, re.MULTILINE)[:3]
    assert run_process(*shlex.split(trust), "--trust").returncode == 0
    called = run_process(*shlex.split(test))
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["timezone"] == "Europe/Oslo"
    assert "get_current_time" in ask


def test_the_example_uses_every_key_that_is_not_the_default() -> None:
    example = json.loads((DOCS / "examples" / "mcp.json").read_text(encoding="utf-8"))
    used = {key for server in example["mcpServers"].values() for key in server}
    assert config.KEY_CHECKS.keys() - used == {"cwd"}


def test_the_page_names_every_key_and_variable() -> None:
    for name in (*config.KEY_CHECKS, *launch.INHERITED_VARIABLES):
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("time for a call", f"`timeout`, {config.DEFAULT_TIMEOUT_S:.0f} seconds"),
        ("starts of a server that crashed", f"{client.MAX_STARTS} in total"),
        ("tools of a server", f"{tool_listing.MAX_TOOLS}"),
        ("characters in a tool's name", f"{tool_listing.MAX_NAME_CHARS:,}"),
        ("characters in a description", f"{tool_listing.MAX_DESCRIPTION_CHARS:,}"),
        ("characters in a schema", f"{tool_listing.MAX_SCHEMA_CHARS:,}"),
        ("tool lists", f"{client.MAX_PAGES} pages, {client.MAX_LISTING_CHARS >> 20} MiB"),
        ("changes of the tool list", f"{client.MAX_CHANGES_PER_MINUTE} a minute"),
        ("one message of a stdio server", f"{stdio_transport.MAX_MESSAGE_BYTES >> 20} MiB"),
        (
            "messages without a request from us",
            f"{stdio_transport.MAX_UNSOLICITED_MESSAGES:,}, or "
            f"{stdio_transport.MAX_UNSOLICITED_BYTES >> 20} MiB",
        ),
        ("lines on stdout that are not messages", f"{stdio_transport.MAX_STRAY_LINES}"),
        ("one HTTP response", f"{http_transport.MAX_ANSWER_BYTES >> 20} MiB"),
        ("stderr in the log file", f"{stdio_transport.MAX_LOG_BYTES >> 20} MiB"),
        ("time to exit before it is killed", f"{stdio_transport.STOP_TIMEOUT_S:.0f} second"),
    ],
)
def test_the_page_has_the_limits_of_the_code(limit: str, value: str) -> None:
    assert f"| {limit} | {value}" in PAGE
