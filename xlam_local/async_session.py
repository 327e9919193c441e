"""A session for asyncio: turns run in a thread, and their events arrive in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

from .agent import TurnOptions
from .session import Session, answer_format
from .types import AskUser, Done, Event, Schema, Tool, ToolResult, UserMessage

T = TypeVar("T")
Result = TypeVar("Result")
Turn = Generator[Event, None, Done]


class AsyncSession:
    """Wraps a session whose turns must not block the event loop.

    One turn runs at a time; another one waits. Tools and `approve` are called in the thread of
    the turn. To cancel a turn, cancel the task that awaits it, or close the iterator.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        """The session. Do not use it while a turn runs."""
        self._lock = asyncio.Lock()

    async def ask(self, text: str) -> str:
        """Send a user message and return the answer, as `Session.ask` does."""
        return await self._run(lambda: self.session.send(text), self.session.answer)

    @overload
    async def ask_object(self, text: str, kind: type[T]) -> T: ...

    @overload
    async def ask_object(self, text: str, kind: Schema) -> Any: ...

    async def ask_object(self, text: str, kind: type[T] | Schema) -> T | Any:
        """Send a user message and return the answer as an object, as `Session.ask_object` does."""
        form = answer_format(kind)
        return await self._run(
            lambda: self.session.send_for_json(text, form.schema),
            lambda done: form.parse(self.session.answer(done)),
        )

    async def send(
        self,
        message: str | UserMessage,
        *,
        tools: Sequence[Tool] | None = None,
        options: TurnOptions | None = None,
        approve: AskUser | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Send a user message and yield the events of the turn, as `Session.send` does."""

        def start() -> Turn:
            return self.session.send(message, tools=tools, options=options, approve=approve)

        async with self._events(start) as events:
            async for event in events:
                yield event

    async def submit_results(self, results: Sequence[ToolResult]) -> AsyncGenerator[Event, None]:
        """Continue a turn with the results of its calls, as `Session.submit_results` does."""
        async with self._events(lambda: self.session.submit_results(results)) as events:
            async for event in events:
                yield event

    async def _run(self, start: Callable[[], Turn], finish: Callable[[Done], Result]) -> Result:
        """Play a turn to its end, and return what `finish` makes of it."""
        async with self._events(start) as events:
            async for event in events:
                if isinstance(event, Done):
                    return finish(event)
        raise AssertionError("A turn ends with Done.")

    @asynccontextmanager
    async def _events(self, start: Callable[[], Turn]) -> AsyncIterator[AsyncIterator[Event]]:
        """Run a turn in a thread; it is cancelled if the block is left before its end."""
        async with self._lock:
            turn = start()
            # One thread runs the whole turn: an engine is used by one thread at a time.
            with ThreadPoolExecutor(1, "xlam-local turn") as pool:
                loop = asyncio.get_running_loop()
                try:
                    yield _next_events(turn, loop, pool)
                finally:
                    closing = loop.run_in_executor(pool, turn.close)
                    await asyncio.shield(closing)


async def _next_events(
    turn: Turn, loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor
) -> AsyncIterator[Event]:
    while (event := await loop.run_in_executor(pool, next, turn, None)) is not None:
        yield event
