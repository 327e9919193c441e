"""Streamable HTTP with a limit on the size of answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2

MAX_ANSWER_BYTES = 32 << 20
"""Bytes of one answer."""


def http_client(headers: Mapping[str, str], seconds: float) -> Any:
    """Return an HTTP client for one server; it does not follow redirects."""

    class Bounded(httpx2.AsyncByteStream):
        """A response body that fails if it is too long."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            taken = 0
            async for piece in self.inner:
                taken += len(piece)
                if taken > MAX_ANSWER_BYTES:
                    raise httpx2.ReadError(f"the answer is longer than {MAX_ANSWER_BYTES >> 20} MB")
                yield piece

        async def aclose(self) -> None:
            await self.inner.aclose()

    async def bound(response: httpx2.Response) -> None:
        response.stream = Bounded(response.stream)

    timeout = httpx2.Timeout(30.0, read=max(300.0, seconds))
    return httpx2.AsyncClient(
        headers=dict(headers), timeout=timeout, event_hooks={"response": [bound]}
    )
