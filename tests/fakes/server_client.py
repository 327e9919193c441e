"""A client of the server's application, in this process, with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from tests.fakes.fake_engine import Scripted
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.agent.engine import ReplyItem
from xlam_local.server import AccessRules, EngineQueue, ServerState, build_app

Json = Any
Script = Sequence[ReplyItem]
OPEN = AccessRules()
"""Rules without a token."""
USER = [{"role": "user", "content": "2 + 3?"}]


def function_json(name: str = "add", **properties: Json) -> dict[str, Json]:
    """A tool in OpenAI's format; all its properties are required."""
    properties = properties or {"a": {"type": "integer"}, "b": {"type": "integer"}}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": f"{name}.", "parameters": parameters}
    return {"type": "function", "function": function}


@contextmanager
def serving(
    *replies: Script, rules: AccessRules = OPEN, max_queue: int = 8, **options: Any
) -> Iterator[tuple[TestClient, Scripted]]:
    """Yield a client of a server with a scripted model, and the model.

    `options` are the model's `context_size` and fields of the server's state.
    """
    engine = Scripted(*replies, context_size=options.pop("context_size", 1 << 20))
    queue = EngineQueue(engine, max_queue)
    try:
        app = build_app(ServerState(queue, WordTokenizer(), **options), rules)
        yield TestClient(app, base_url="http://127.0.0.1"), engine
    finally:
        queue.close()


def post(path: str, body: Json, *replies: Script, status: int = 200) -> Json:
    """Return the answer to one request."""
    with serving(*replies) as (client, _):
        response = client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()


def events(text: str) -> list[tuple[str, Json]]:
    """Return the names and data of server-sent events; comments are left out."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if fields:
            data = fields["data"]
            found.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


def stream(path: str, body: Json, *replies: Script) -> list[tuple[str, Json]]:
    """Return the events of the answer to one request."""
    with serving(*replies) as (client, _):
        response = client.post(path, json={**body, "stream": True})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return events(response.text)
