"""A server in the network: streamable HTTP, with a bound on what it may answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

MOST_ANSWER = 32 << 20
"""Bytes of one answer."""


def client(headers: Mapping[str, str], seconds: float) -> Any:
    """A client for one server; redirects to other hosts are followed by nobody."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """An answer that fails where it is too long."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            taken = 0
            async for piece in self.inner:
                taken += len(piece)
                if taken > MOST_ANSWER:
                    raise httpx2.ReadError(f"the answer has more than {MOST_ANSWER >> 20} MB")
                yield piece

        async def aclose(self) -> None:
            await self.inner.aclose()

    async def bound(response: httpx2.Response) -> None:
        response.stream = Bounded(response.stream)

    timeout = httpx2.Timeout(30.0, read=max(300.0, seconds))
    return httpx2.AsyncClient(
        headers=dict(headers), timeout=timeout, event_hooks={"response": [bound]}
    )
