"""The built-in tool that fetches a web page."""

from __future__ import annotations

from dataclasses import replace

from ...errors import ToolError
from ...permissions.hosts import canonical_host
from ...types import Effect
from ..http import client, html_text
from ..http.client import FetchPolicy, Request
from ..python.decorator import tool

FETCH_POLICY = FetchPolicy(allow_other_hosts=False)
"""The user approves a host, so a redirect to another one is reported and not followed."""
EXTRA_TIMEOUT_S = 5.0
"""How much longer than the request's own timeout a call may take; resolving a host can hang."""


def _preview(url: str) -> str:
    parts = client.check_url(url, FETCH_POLICY)
    return f"GET {client.ascii_url(url)}\nfrom {canonical_host(parts.hostname or '')}"


@tool(Effect.NETWORK, timeout=FETCH_POLICY.timeout + EXTRA_TIMEOUT_S, preview=_preview)
def fetch_page(url: str) -> str:
    """Fetch a page from the web as text.

    Args:
        url: The address, with http:// or https://.
    """
    response = client.fetch(Request(url), FETCH_POLICY)
    if response.status >= 300:
        raise ToolError(f"{response.url} returned status {response.status}.")
    return html_text.response_text(response) or "(The page has no text.)"


fetch_page = replace(fetch_page, public=True)
