"""The endpoints of OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from . import chat_completions, completions, responses
from .api_error import ApiError
from .chat_completions import ChatChunks, ReplyHead
from .completions import CompletionChunks
from .reply_events import ChoiceEvent, ReplyEnd
from .responding import (
    OPENAI_STREAM,
    StreamFormat,
    StreamResponse,
    collect,
    sse_named,
)
from .responses import ResponseEvents
from .server_state import ServerState, ignored_tools_header, read_wanted

Json = Any


async def list_models(state: ServerState, request: Request) -> Response:
    """List the one model."""
    return JSONResponse({"object": "list", "data": [_model_json(state)]})


async def show_model(state: ServerState, request: Request) -> Response:
    """Describe the model."""
    if request.path_params["model"] != state.model:
        raise ApiError(
            f"The model is {state.model!r}; there is no {request.path_params['model']!r}.",
            status=404,
            code="model_not_found",
        )
    return JSONResponse(_model_json(state))


def _model_json(state: ServerState) -> Mapping[str, Json]:
    size = state.queue.engine.context_size
    return {
        "id": state.model,
        "object": "model",
        "created": state.started,
        "owned_by": "xlam-local",
        "max_model_len": size,
        "meta": {"n_ctx": size},
    }


async def create_chat_completion(state: ServerState, request: Request) -> Any:
    """Answer a conversation, in the format of chat completions."""
    wanted = await read_wanted(chat_completions.read_request, state, request)
    headers = ignored_tools_header(wanted.ignored_tools)
    stream, head = await state.submit(wanted.reply), reply_head(state, "chatcmpl")
    if wanted.reply.stream:
        chunks = ChatChunks(head, wanted.reply.choices, wanted.include_usage)
        return StreamResponse(stream, chunks, OPENAI_STREAM, headers)
    ends = reply_ends(await collect(request, stream))
    return JSONResponse(chat_completions.completion(head, ends), headers=headers)


async def create_completion(state: ServerState, request: Request) -> Any:
    """Continue prompts, in the format of completions."""
    wanted = await read_wanted(completions.read_request, state, request)
    prompts = await state.completion_prompts(wanted.prompts)
    stream = state.submit_job(partial(completions.completions, wanted, prompts))
    head = reply_head(state, "cmpl")
    if wanted.stream:
        return StreamResponse(stream, CompletionChunks(head, wanted.include_usage), OPENAI_STREAM)
    ends = reply_ends(await collect(request, stream))
    return JSONResponse(completions.completion(head, ends))


async def create_response(state: ServerState, request: Request) -> Any:
    """Answer a conversation, in the format of responses."""
    wanted = await read_wanted(responses.read_request, state, request)
    headers = ignored_tools_header(wanted.ignored_tools)
    stream = await state.submit(wanted.reply)
    events = ResponseEvents(state.model, int(time.time()), wanted)
    if wanted.reply.stream:
        return StreamResponse(stream, events, RESPONSES_STREAM, headers)
    items = await collect(request, stream)
    reply_ends(items)
    return JSONResponse(responses.complete_response(events, items), headers=headers)


def _response_error(error: ApiError) -> bytes:
    event = {"code": error.code, "message": str(error), "param": error.param}
    return sse_named({"type": "error", "sequence_number": 0, **event})


RESPONSES_STREAM = StreamFormat(sse_named, _response_error)


def reply_head(state: ServerState, prefix: str) -> ReplyHead:
    """Return the head of a new reply."""
    return ReplyHead.new(state.model, int(time.time()), f"xlam-local-{__version__}", prefix)


def reply_ends(events: Sequence[ChoiceEvent]) -> list[ReplyEnd]:
    """Return the ends of the replies, which hold all of them.

    Raises:
        ApiError: there is none, because the server ends.
    """
    ends = [item.event for item in events if isinstance(item.event, ReplyEnd)]
    if not ends:
        raise ApiError("The server is shutting down.", status=503)
    return ends
