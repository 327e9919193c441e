"""Attempts to send out private data after reading it from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlam_local.permissions import AllowVerdict, AskVerdict, parse
from xlam_local.permissions.approver import Approver
from xlam_local.tools.builtin.web import fetch_page
from xlam_local.types import (
    Effect,
    Message,
    Sandbox,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

ALLOW = '[[rule]]\ndecision = "allow"\nsource = "*"\n'
SEND = Tool("send", "", {"type": "object"}, Effect.NETWORK, source="mail.toml", file="/t/mail.toml")
SENDERS = [
    SEND,
    Tool("post", "", {"type": "object"}, Effect.READ, source="mcp: chat"),
    Tool("curl", "", {"type": "object"}, Effect.EXECUTE, source="built-in"),
    Tool(
        "build", "", {"type": "object"}, Effect.WRITE, sandbox=Sandbox.ISOLATED, network=True,
        source="x.py", file="/t/x.py",
    ),
]  # fmt: skip
READERS = [
    Tool("inbox", "", {"type": "object"}, Effect.NETWORK, source="imap.toml", file="/t/imap.toml"),
    Tool("notes", "", {"type": "object"}, Effect.READ, source="mcp: notes"),
    Tool("save", "", {"type": "object"}, Effect.WRITE, source="mcp: notes"),
    Tool("lookup", "", {"type": "object"}, Effect.NETWORK, source="mcp: search"),
    Tool("list", "", {"type": "object"}, Effect.WRITE, source="x.py", file="/t/y.py"),
    Tool("read_notes", "", {"type": "object"}, Effect.READ, source="built-in"),
    Tool("read_clipboard", "", {"type": "object"}, Effect.READ, source="built-in"),
    Tool("wiki", "", {"type": "object"}, Effect.NETWORK, source="python: wiki"),
]


def verdict(sender: Tool, messages: list[Message], tools: list[Tool]) -> object:
    approver = Approver(parse(ALLOW), Path("/work"))
    return approver.verdict(sender, ToolCall("call_1", sender.name, {}), messages, [*tools, sender])


@pytest.mark.parametrize("sender", SENDERS, ids=lambda tool: tool.name)
@pytest.mark.parametrize("reader", READERS, ids=lambda tool: tool.name)
@pytest.mark.parametrize("ok", [True, False])
def test_what_any_source_has_returned_is_not_sent_unasked(
    reader: Tool, sender: Tool, ok: bool
) -> None:
    call = ToolCall("call_0", reader.name, {})
    messages: list[Message] = [ToolCalls((call,)), ToolResult(call, "secret", ok)]
    asked = verdict(sender, messages, [reader])
    assert isinstance(asked, AskVerdict)
    assert asked.tainted


@pytest.mark.parametrize("sender", SENDERS, ids=lambda tool: tool.name)
def test_attached_files_are_not_sent_unasked(sender: Tool) -> None:
    asked = verdict(sender, [UserMessage("See @a.\n\na: secret", ("a",))], [])
    assert isinstance(asked, AskVerdict)
    assert "attached a" in asked.reason


def test_public_pages_and_calculations_are_not_private() -> None:
    add = Tool("add", "", {"type": "object"}, Effect.READ, source="built-in", deterministic=True)
    for reader in (fetch_page, add):
        call = ToolCall("call_0", reader.name, {"url": "https://example.org"})
        messages: list[Message] = [ToolCalls((call,)), ToolResult(call, "page")]
        assert verdict(SEND, messages, [reader]) == AllowVerdict()


def test_a_server_may_send_what_only_it_has_returned() -> None:
    server = [Tool(name, "", {"type": "object"}, Effect.READ, source="mcp: a") for name in "rw"]
    call = ToolCall("call_0", "r", {})
    messages: list[Message] = [ToolCalls((call,)), ToolResult(call, "x")]
    assert verdict(server[1], messages, server) == AllowVerdict()
