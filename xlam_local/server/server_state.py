"""What the handlers of requests share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from .. import prompt
from ..agent import Engine
from ..agent.context_window import fit_to_context
from ..time_limit import time_limit
from ..types import Heartbeat, Message, Prompt, Sampling, Tool
from .api_error import ApiError
from .engine_queue import EngineQueue, JobStream
from .metrics import Metrics
from .replies import ReplyItem, ReplyRequest, replies
from .reply_events import ChoiceEvent, ReplyEnd
from .responding import read_body
from .tokens import (
    PromptCounter,
    TextOrTokens,
    Tokenizer,
    check_prompt,
    completion_prompts,
    surely_fits,
)

log = logging.getLogger(__name__)
IGNORED_TOOLS_HEADER = "x-xlam-ignored-tools"


COMPILE_TIMEOUT_S = 10.0
"""The CPU seconds that the schemas and grammars of one request may take."""


@dataclass(slots=True)
class ServerState:
    """The engine's queue, the defaults of requests, and the numbers about them."""

    queue: EngineQueue
    tokenizer: Tokenizer
    sampling: Sampling = Sampling()
    """The sampling of requests that have none of their own."""
    compile_timeout_s: float = COMPILE_TIMEOUT_S
    started: int = field(default_factory=lambda: int(time.time()))
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        queue = self.queue
        self.metrics.watch(
            {
                "requests_running": ("Requests that the model answers.", lambda: queue.running),
                "requests_waiting": ("Requests in the queue.", lambda: queue.waiting),
            }
        )

    @property
    def model(self) -> str:
        """The model's id."""
        return self.queue.engine.name

    async def submit(self, request: ReplyRequest) -> JobStream[ChoiceEvent]:
        """Put a request into the queue.

        Raises:
            ApiError: the queue is full.
            ContextExceeded: the conversation does not fit the context.
        """
        await asyncio.to_thread(self._check_context, request)
        return self.submit_job(lambda engine: replies(request, engine))

    def submit_job(
        self, job: Callable[[Engine], Generator[ReplyItem, None, None]]
    ) -> JobStream[ChoiceEvent]:
        """Put a job that writes replies into the queue, and count what it takes."""
        submitted = time.monotonic()

        def counted(engine: Engine) -> Generator[ChoiceEvent | Heartbeat, None, None]:
            self.metrics.queue_seconds.observe(time.monotonic() - submitted)
            has_text = False
            items = job(engine)
            try:
                for item in items:
                    if isinstance(item, ChoiceEvent):
                        if not has_text:
                            has_text = True
                            self.metrics.first_text_seconds.observe(time.monotonic() - submitted)
                        if isinstance(item.event, ReplyEnd):
                            self.metrics.add(item.event.usage)
                    yield item
            finally:
                items.close()

        try:
            return self.queue.submit(counted)
        except ApiError:
            self.metrics.refused.inc()
            raise

    async def render(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Prompt:
        """Return the prompt of a conversation; a chat template takes time."""
        prompt_format = self.queue.engine.prompt_format
        return await asyncio.to_thread(prompt.render, messages, tools, prompt_format)

    async def count_tokens(self, rendered: Prompt) -> int:
        """Return the number of tokens of a prompt."""
        return len(await asyncio.to_thread(self.tokenizer.tokenize, rendered))

    async def completion_prompts(self, prompts: Sequence[TextOrTokens]) -> list[Prompt]:
        """Return the prompts of texts and token ids.

        Raises:
            ApiError: a token id is unknown, or no text is read as the tokens.
            ContextExceeded: a prompt does not fit the context.
        """
        size = self.queue.engine.context_size
        return await asyncio.to_thread(completion_prompts, prompts, self.tokenizer, size)

    def _check_context(self, request: ReplyRequest) -> None:
        """Refuse a conversation that leaves no room for a reply, as the turn would do later.

        Raises:
            ContextExceeded: it does.
        """
        engine = self.queue.engine
        rendered = prompt.render(request.messages, request.tools, engine.prompt_format)
        if request.output is not None and not request.tools:
            check_prompt(rendered, self.tokenizer, engine.context_size)
            return
        reserved = min(request.sampling.max_tokens, engine.context_size // 4)
        if not surely_fits(rendered, engine.context_size - reserved):
            counter = PromptCounter(engine.prompt_format, engine.context_size, self.tokenizer)
            fit_to_context(
                request.messages, request.tools, counter, request.sampling.max_tokens, strict=True
            )


def ignored_tools_header(ignored_tools: tuple[str, ...]) -> dict[str, str]:
    """Return the header that names the types of tools that were left out, and log them."""
    if not ignored_tools:
        return {}
    names = ", ".join(sorted(set(ignored_tools)))
    log.info("tools of these types were left out: %s", names.encode("ascii", "replace"))
    return {IGNORED_TOOLS_HEADER: names.encode("ascii", "replace").decode()}


Wanted = TypeVar("Wanted")


async def read_wanted(
    read: Callable[[Mapping[str, Any], Sampling], Wanted], state: ServerState, request: Request
) -> Wanted:
    """Read the body of a request with `read`, in a thread and within a limit of time.

    Raises:
        ApiError: the request is invalid.
    """
    body = await read_body(request)

    def read_in_time() -> Wanted:
        too_slow = ApiError(
            f"The schemas of this request take more than {state.compile_timeout_s:g} seconds to "
            "compile. Send fewer tools or simpler schemas.",
            code="schema_timeout",
        )
        with time_limit(state.compile_timeout_s, too_slow):
            return read(body, state.sampling)

    return await asyncio.to_thread(read_in_time)
