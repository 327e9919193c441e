"""The endpoints of other APIs: Anthropic's and Ollama's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import messages, ollama
from .api_error import ApiError
from .messages import MessageEvents
from .ollama import OllamaLines
from .openai_endpoints import reply_ends
from .responding import (
    StreamFormat,
    StreamResponse,
    collect,
    json_line,
    sse_named,
)
from .server_state import ServerState, ignored_tools_header, read_wanted

Json = Any
ANTHROPIC_STREAM = StreamFormat(
    sse_named,
    lambda error: sse_named(messages.error_json(error)),
    keep_alive=sse_named({"type": "ping"}),
)
OLLAMA_STREAM = StreamFormat(
    json_line,
    lambda error: json_line(ollama.error_json(error)),
    media_type="application/x-ndjson",
    keep_alive=b"\n",
)
OLLAMA_VERSION = "0.40.0"
"""The version whose API the endpoints follow; clients compare it."""


async def create_message(state: ServerState, request: Request) -> Any:
    """Answer a conversation, in the format of Anthropic's messages."""
    wanted = await read_wanted(messages.read_request, state, request)
    headers = ignored_tools_header(wanted.ignored_tools)
    stream = await state.submit(wanted.reply)
    if wanted.reply.stream:
        events = MessageEvents(state.model)
        return StreamResponse(stream, events, ANTHROPIC_STREAM, headers, anthropic_error)
    (end,) = reply_ends(await collect(request, stream))
    message = messages.message_json(state.model, messages.new_message_id(), end)
    return JSONResponse(message, headers=headers)


async def count_message_tokens(state: ServerState, request: Request) -> Response:
    """Return the number of tokens of a conversation."""
    conversation, tools = await read_wanted(messages.read_counted, state, request)
    rendered = await state.render(conversation, tools)
    return JSONResponse({"input_tokens": await state.count_tokens(rendered)})


def anthropic_error(error: ApiError) -> Response:
    """Return an error in Anthropic's form."""
    return JSONResponse(messages.error_json(error), error.status, error.headers)


async def ollama_chat(state: ServerState, request: Request) -> Any:
    """Answer a conversation, in Ollama's format."""
    wanted = await read_wanted(ollama.read_request, state, request)
    headers = ignored_tools_header(wanted.ignored_tools)
    stream = await state.submit(wanted.reply)
    if wanted.reply.stream:
        lines = OllamaLines(state.model)
        return StreamResponse(stream, lines, OLLAMA_STREAM, headers, ollama_error)
    (end,) = reply_ends(await collect(request, stream))
    return JSONResponse(ollama.chat_json(state.model, end), headers=headers)


async def ollama_tags(state: ServerState, request: Request) -> Response:
    """List the one model, in Ollama's format."""
    model = {"name": state.model, "model": state.model, "modified_at": ollama.now()}
    details = {"format": "gguf", "family": "", "parameter_size": "", "quantization_level": ""}
    return JSONResponse({"models": [{**model, "size": 0, "digest": "", "details": details}]})


async def ollama_show(state: ServerState, request: Request) -> Response:
    """Describe the model, in Ollama's format."""
    size = state.queue.engine.context_size
    return JSONResponse(
        {
            "modelfile": "",
            "parameters": f"num_ctx {size}",
            "template": "",
            "details": {"format": "gguf", "family": "", "families": []},
            "model_info": {"general.basename": state.model, "general.context_length": size},
            "capabilities": ["completion", "tools"],
        }
    )


async def ollama_version(state: ServerState, request: Request) -> Response:
    """Return the version of Ollama's API."""
    return JSONResponse({"version": OLLAMA_VERSION})


def ollama_error(error: ApiError) -> Response:
    """Return an error in Ollama's form."""
    return JSONResponse(ollama.error_json(error), error.status, error.headers)


ERROR_FORMS: Mapping[str, Any] = {"/v1/messages": anthropic_error, "/api/": ollama_error}
"""The form of errors by the beginning of the path; all others are in OpenAI's form."""
