"""The command `serve`, as a program of its own with a real engine."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import run
from tests.fakes.serve_process import server
from tests.fakes.server_client import USER, events, function_json

TIMEOUT_S = 60


def request(url: str, token: str, body: Any) -> Any:
    """Return the answer to a request."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as response:
        return response.read().decode()


@pytest.mark.slow
def test_a_server_answers_and_ends_after_a_signal(qwen_path: Path, own_folders: Path) -> None:
    with server("-m", str(qwen_path), "--context", "2048") as (process, url, printed):
        token = (own_folders / "config" / "server-token").read_text().strip()
        assert any(f": {token}\n" in line for line in printed)
        tools = [function_json("add", a={"type": "integer"}, b={"enum": ["x", "y"]})]
        body = {"messages": USER, "tools": tools, "tool_choice": "required", "max_tokens": 80}
        body["parallel_tool_calls"] = False
        reply = json.loads(request(f"{url}/chat/completions", token, body))
        (call,) = reply["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"])["b"] in ("x", "y")
        streamed = events(request(f"{url}/chat/completions", token, {**body, "stream": True}))
        assert streamed[-1] == ("", "[DONE]")
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def test_the_token_is_printed_on_request(own_folders: Path) -> None:
    printed = run("serve", "--print-token")
    assert printed.returncode == 0
    assert printed.stdout == (own_folders / "config" / "server-token").read_text()


def test_an_address_that_cannot_be_used_is_an_error() -> None:
    done = run("serve", "--host", "192.0.2.1")
    assert done.returncode == 2
    assert "Cannot listen on 192.0.2.1, port 8000" in done.stderr
