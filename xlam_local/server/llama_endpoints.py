"""The endpoints of llama-server's API, and those of monitoring."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__, prompt
from ..types import Message, Sampling, Tool
from . import fields, tokens
from .fields import Fields
from .metrics import MEDIA_TYPE
from .responding import read_body
from .security import AUTHORIZED
from .server_state import ServerState, read_wanted

Json = Any


async def health(state: ServerState, request: Request) -> Response:
    """Say whether requests are accepted; with a token, how busy the model is too."""
    queue = state.queue
    answer: dict[str, Json] = {"status": "shutting down" if queue.is_closed else "ok"}
    if request.scope.get(AUTHORIZED):
        answer |= {
            "model": state.model,
            "version": __version__,
            "context_size": queue.engine.context_size,
            "sequences": queue.engine.sequences,
            "requests_running": queue.running,
            "requests_waiting": queue.waiting,
            "requests_refused": queue.refused,
            "max_queue": queue.max_waiting,
            "uptime_seconds": int(time.time()) - state.started,
        }
    return JSONResponse(answer, 503 if queue.is_closed else 200)


async def metrics(state: ServerState, request: Request) -> Response:
    """Return the metrics for Prometheus."""
    return Response(state.metrics.text(), media_type=MEDIA_TYPE)


async def properties(state: ServerState, request: Request) -> Response:
    """Return llama-server's properties of the model."""
    size = state.queue.engine.context_size
    prompt_format = prompt.format_to_json(state.queue.engine.prompt_format)
    return JSONResponse(
        {
            "model_alias": state.model,
            "model_path": state.model,
            "prompt_format": prompt_format,
            "total_slots": state.queue.engine.sequences,
            "default_generation_settings": {"n_ctx": size},
            "modalities": {"vision": False, "audio": False},
            "build_info": f"xlam-local {__version__}",
        }
    )


async def slots(state: ServerState, request: Request) -> Response:
    """Return how many replies the model can write at once, and how many it is writing."""
    engine, running = state.queue.engine, state.queue.running
    return JSONResponse(
        [
            {"id": number, "n_ctx": engine.context_size, "is_processing": number < running}
            for number in range(engine.sequences)
        ]
    )


async def apply_template(state: ServerState, request: Request) -> Response:
    """Return the prompt of a conversation as text."""
    conversation, tools = await read_wanted(_read_conversation, state, request)
    rendered = await state.render(conversation, tools)
    return JSONResponse({"prompt": prompt.text(rendered)})


def _read_conversation(
    body: Mapping[str, Json], _default: Sampling
) -> tuple[tuple[Message, ...], tuple[Tool, ...]]:
    """Return the messages and the tools of a request."""
    request = Fields(body)
    tools = fields.offered_tools(request.list("tools") or []).tools
    return fields.messages(request.list("messages") or []), tools


async def tokenize_text(state: ServerState, request: Request) -> Response:
    """Return the tokens of a text."""
    body = await read_body(request)
    return JSONResponse(await asyncio.to_thread(tokens.tokenize, body, state.tokenizer))


async def detokenize_tokens(state: ServerState, request: Request) -> Response:
    """Return the text of tokens."""
    body = await read_body(request)
    return JSONResponse(await asyncio.to_thread(tokens.detokenize, body, state.tokenizer))
