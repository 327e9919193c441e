"""Requests to hosts that may be asked, at the very address that was judged."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ..errors import ToolError

HOPS = 5
"""The most redirects that are followed."""
REDIRECTS = {301, 302, 303, 307, 308}
WRAPPED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""IPv6 addresses that end in an IPv4 address, and lead there."""
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
OPEN = {"accept", "accept-language", "content-type", "user-agent"}
"""Headers for whichever host is asked in the end; all others may hold a secret of the first."""
PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Sequence[str]]


def lookup(host: str, port: int) -> list[str]:
    """The addresses of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached, and for how long."""

    hosts: tuple[str, ...] = ()
    """The hosts that may be asked; `*.example.org` for all below one. Empty: every public one."""
    private: bool = False
    """Whether addresses that only this machine or its network can reach may be asked."""
    elsewhere: bool = True
    """Whether a redirect may lead to another host."""
    seconds: float = 20.0
    most: int = 2 << 20
    """The most bytes that are read."""
    lookup: Lookup = lookup


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a host."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What a host answers."""

    url: str
    """Where it came from in the end."""
    status: int
    kind: str
    """The media type, without its parameters."""
    charset: str
    body: bytes
    whole: bool
    """Whether the body was read to its end."""


def fetch(request: Request, reach: Reach) -> Response:
    """Ask a host, and follow where it leads; each place is judged anew.

    Raises:
        ToolError: a place may not be asked, or does not answer.
    """
    deadline = time.monotonic() + reach.seconds
    for _ in range(HOPS + 1):
        answer = _asked(request, reach, deadline)
        if isinstance(answer, Response):
            return answer
        before, request = request, _redirected(request, *answer)
        if not reach.elsewhere and _host(before.url) != _host(request.url):
            raise ToolError(f"{before.url} leads to another host: {request.url}")
    raise ToolError(f"{request.url} leads on and on; it was left after {HOPS} redirects.")


def judged(url: str, reach: Reach) -> SplitResult:
    """The parts of a URL that may be asked, as far as its text tells.

    Raises:
        ToolError: it may not be.
    """
    # urlsplit drops tabs and line breaks, so that what is asked would not be what is shown.
    if not url.isprintable():
        raise ToolError(f"{url!r} is not a URL.")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError as error:
        raise ToolError(f"{url!r} is not a URL.") from error
    if parts.scheme not in PORTS:
        raise ToolError(f"{url!r} cannot be fetched: only http and https can.")
    if not host or parts.username is not None or "\\" in parts.netloc:
        raise ToolError(f"{url!r} does not name its host plainly.")
    if reach.hosts and not any(_matches(host, pattern) for pattern in reach.hosts):
        raise ToolError(f"The host {host} may not be asked; only {', '.join(reach.hosts)}.")
    return parts


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".")


def _matches(host: str, pattern: str) -> bool:
    wanted = pattern.lower().rstrip(".")
    if wanted.startswith("*."):
        return host.endswith(wanted[1:])
    return host == wanted


def _asked(request: Request, reach: Reach, deadline: float) -> Response | tuple[int, str]:
    """The answer of one host, or the status and place of a redirect."""
    parts = judged(request.url, reach)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or PORTS[parts.scheme]
    connection = _connection(parts.scheme, host, port, _address(host, port, reach))
    connection.timeout = max(deadline - time.monotonic(), 0.1)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    headers = {"Accept-Encoding": "identity", "User-Agent": "xlam-local", **request.headers}
    try:
        connection.request(request.method, target, request.body, headers)
        response = connection.getresponse()
        place = response.headers.get("Location")
        if response.status in REDIRECTS and place:
            return response.status, urljoin(request.url, place)
        return _response(request.url, response, reach.most, deadline)
    except TimeoutError as error:
        raise ToolError(f"{host} did not answer within {reach.seconds:g} seconds.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ToolError(f"{host} does not answer: {error}.") from error
    finally:
        connection.close()


def _redirected(request: Request, status: int, url: str) -> Request:
    """The request that a redirect asks for; no secret goes to another host."""
    if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        kept = {k: v for k, v in request.headers.items() if k.lower() in OPEN}
        request = replace(request, headers=kept)
    if status == 303 or (status in {301, 302} and request.method == "POST"):
        request = replace(request, method="GET", body=None)
    return replace(request, url=url)


def _response(url: str, response: http.client.HTTPResponse, most: int, deadline: float) -> Response:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ToolError(f"{url} answers in a compressed form that was not asked for.")
    data = bytearray()
    while len(data) <= most and (piece := response.read1(1 << 16)):
        data += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    return Response(
        url,
        response.status,
        response.headers.get_content_type(),
        response.headers.get_content_charset() or "",
        bytes(data[:most]),
        len(data) <= most,
    )


def _address(host: str, port: int, reach: Reach) -> str:
    """The address to connect to, if every address of the host may be asked."""
    try:
        addresses = reach.lookup(host, port)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"There is no host {host!r}, or no network.") from error
    for address in addresses:
        if not reach.private and not _public(ipaddress.ip_address(address.partition("%")[0])):
            raise ToolError(f"{host} is at {address}, an address that is not public.")
    if not addresses:
        raise ToolError(f"The host {host!r} has no address.")
    return addresses[0]


def _public(address: Address) -> bool:
    """Whether an address is one that everybody reaches, also where it wraps another."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if any(address in net for net in WRAPPED):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(inner)
        if address.teredo or address in LOCAL_NAT64:
            return False
    return address.is_global and not address.is_multicast


def _connection(scheme: str, host: str, port: int, address: str) -> http.client.HTTPConnection:
    return _Plain(host, port, address) if scheme == "http" else _Secure(host, port, address)


class _Plain(http.client.HTTPConnection):
    """A connection to the address that was judged, whatever the name leads to by now."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port)
        self._address = address

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _Secure(_Plain):
    """The same over TLS, for the name."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect, and see that the host is who it says."""
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
