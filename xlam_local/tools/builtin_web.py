"""The built-in tool that fetches a page."""

from __future__ import annotations

from ..errors import ToolError
from ..types import Effect
from . import page, web
from .functions import tool
from .web import Reach, Request

REACH = Reach(elsewhere=False)
"""Each host is judged as the argument of a call: where a page leads is told, and not followed."""


def _where(url: str) -> str:
    parts = web.judged(url, REACH)
    return f"GET {url}\nfrom {parts.hostname}"


@tool(Effect.NETWORK, seconds=REACH.seconds + 5, preview=_where)
def fetch_page(url: str) -> str:
    """Fetch a page from the web as text.

    Args:
        url: The address, with http:// or https://.
    """
    response = web.fetch(Request(url), REACH)
    if response.status >= 400:
        raise ToolError(f"{response.url} answers with status {response.status}.")
    return page.text(response) or "(The page has no text.)"
