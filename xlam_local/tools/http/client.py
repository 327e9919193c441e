"""An HTTP client for tools: hosts must be allowed, and their addresses public unless stated.

Every redirect is checked like a first request. The connection goes to the address that was checked,
so that a second DNS answer cannot lead to another one (DNS rebinding).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ...errors import ToolError
from ...ip_addresses import Address, embedded_ipv4
from ...permissions.hosts import canonical_host

MAX_REDIRECTS = 5
REDIRECT_STATUSES = {301, 302, 303, 307, 308}
NON_PUBLIC_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        "64:ff9b:1::/48",  # NAT64 with a prefix of the network's own choice (RFC 8215)
        "2001::/32",  # Teredo
        "fec0::/10",  # site-local (RFC 3879)
        "5f00::/16",  # segment routing (RFC 9602)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
"""Networks that are not public although Python counts them as global."""
CROSS_ORIGIN_HEADERS = {"accept", "accept-language", "content-type", "user-agent"}
"""The headers that are sent on after a redirect to another origin; all others can hold a secret."""
DEFAULT_PORTS = {"http": 80, "https": 443}
READ_BYTES = 1 << 16
MIN_TIMEOUT_S = 0.1
HostResolver = Callable[[str, int], Sequence[str]]


def resolve_host(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host.

    Raises:
        OSError: the host cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Which hosts a request may reach, and how much time and data it may take."""

    allowed_hosts: tuple[str, ...] = ()
    """Host names; `*.example.org` allows all hosts below example.org. Empty allows all hosts."""
    allow_private: bool = False
    """Whether addresses may be contacted that only this machine or its network can reach."""
    allow_other_hosts: bool = True
    """Whether a redirect may lead to another host."""
    timeout: float = 20.0
    """Seconds for the request with all its redirects."""
    max_bytes: int = 2 << 20
    """How much of the body is read."""
    resolve: HostResolver = resolve_host


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    url: str
    """The URL after all redirects."""
    status: int
    media_type: str
    """Content-Type without its parameters."""
    charset: str
    body: bytes
    complete: bool
    """Whether `body` is the whole body."""


def fetch(request: Request, policy: FetchPolicy) -> Response:
    """Send a request and follow redirects, each of which is checked like the first URL.

    Raises:
        ToolError: a URL or an address is not allowed, or a host does not respond.
    """
    deadline = time.monotonic() + policy.timeout
    for _ in range(MAX_REDIRECTS + 1):
        answer = _send(request, policy, deadline)
        if isinstance(answer, Response):
            return answer
        previous, request = request, _follow_redirect(request, *answer)
        if not policy.allow_other_hosts and _host(previous.url) != _host(request.url):
            raise ToolError(f"{previous.url} redirects to another host: {request.url}")
    raise ToolError(f"Too many redirects ({MAX_REDIRECTS}): {request.url}")


def check_url(url: str, policy: FetchPolicy) -> SplitResult:
    """Return the parts of a URL if its scheme and host are allowed. Nothing is resolved.

    Raises:
        ToolError: the URL is invalid or not allowed.
    """
    # urlsplit drops tabs and line breaks, so the user would see another URL than the one requested.
    if not url.isprintable():
        raise ToolError(f"{url!r} is not a URL.")
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        _ = parts.port
    except ValueError as error:
        raise ToolError(f"{url!r} is not a URL.") from error
    if parts.scheme not in DEFAULT_PORTS:
        raise ToolError(f"{url!r} cannot be fetched: only http and https are supported.")
    if not host or parts.username is not None or "\\" in parts.netloc:
        raise ToolError(f"{url!r} must contain a host, and no user name or backslash.")
    if policy.allowed_hosts and not any(_matches(host, name) for name in policy.allowed_hosts):
        allowed = ", ".join(policy.allowed_hosts)
        raise ToolError(f"Host {host} is not allowed. Allowed hosts: {allowed}.")
    return parts


def ascii_url(url: str) -> str:
    """Return a URL for people to read: its host in ASCII, so that it looks like no other host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host.isascii():
        return url
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{canonical_host(host)}{port}").geturl()


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".")


def _matches(host: str, allowed: str) -> bool:
    name = allowed.lower().rstrip(".")
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _send(request: Request, policy: FetchPolicy, deadline: float) -> Response | tuple[int, str]:
    """Send one request and return the response, or the status and URL of a redirect."""
    parts = check_url(request.url, policy)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    connection_class = _HTTPConnection if parts.scheme == "http" else _HTTPSConnection
    connection = connection_class(host, port, _checked_address(host, port, policy))
    connection.timeout = max(deadline - time.monotonic(), MIN_TIMEOUT_S)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    headers = {"Accept-Encoding": "identity", "User-Agent": "xlam-local", **request.headers}
    try:
        connection.request(request.method, target, request.body, headers)
        response = connection.getresponse()
        location = response.headers.get("Location")
        if response.status in REDIRECT_STATUSES and location:
            return response.status, urljoin(request.url, location)
        return _read_response(request.url, response, policy.max_bytes, deadline)
    except TimeoutError as error:
        raise ToolError(f"{host} did not respond within {policy.timeout:g} seconds.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ToolError(f"The request to {host} failed: {error}.") from error
    finally:
        connection.close()


def _follow_redirect(request: Request, status: int, url: str) -> Request:
    """Return the request for a redirect; another origin gets no header that could be secret."""
    if urlsplit(url)[:2] != urlsplit(request.url)[:2]:
        headers = request.headers.items()
        kept = {name: value for name, value in headers if name.lower() in CROSS_ORIGIN_HEADERS}
        request = replace(request, headers=kept)
    if status == 303 or (status in {301, 302} and request.method == "POST"):
        request = replace(request, method="GET", body=None)
    return replace(request, url=url)


def _read_response(
    url: str, response: http.client.HTTPResponse, max_bytes: int, deadline: float
) -> Response:
    encoding = (response.headers.get("Content-Encoding") or "identity").strip().lower()
    decompress, is_whole = _decompressor(encoding, url)
    body = bytearray()
    while len(body) <= max_bytes and (data := response.read1(READ_BYTES)):
        try:
            body += decompress(data, max_bytes + 1 - len(body))
        except zlib.error as error:
            raise ToolError(f"{url} sent a response that is not valid {encoding}.") from error
        if time.monotonic() > deadline:
            raise TimeoutError
    if len(body) <= max_bytes and (response.length or (body and not is_whole())):
        raise ToolError(f"{url} ended its response before all of it was sent.")
    return Response(
        url,
        response.status,
        response.headers.get_content_type(),
        response.headers.get_content_charset() or "",
        bytes(body[:max_bytes]),
        len(body) <= max_bytes,
    )


def _decompressor(
    encoding: str, url: str
) -> tuple[Callable[[bytes, int], bytes], Callable[[], bool]]:
    """Return functions that decompress a piece of a body, and that tell whether it is at its end.

    A piece becomes at most a number of bytes.

    Some servers compress although only `identity` was requested.
    """
    if encoding == "identity":
        return (lambda data, _limit: data), lambda: True
    if encoding not in ZLIB_FORMATS:
        raise ToolError(f"{url} sent a response compressed as {encoding!r}; gzip is supported.")
    stream = zlib.decompressobj(ZLIB_FORMATS[encoding])

    def decompress(data: bytes, limit: int) -> bytes:
        nonlocal stream
        found = stream.decompress(data, limit)
        while stream.eof and stream.unused_data and len(found) < limit:
            data, stream = stream.unused_data, zlib.decompressobj(ZLIB_FORMATS[encoding])
            found += stream.decompress(data, limit - len(found))
        return found

    return decompress, lambda: stream.eof


ZLIB_FORMATS = {"gzip": 47, "x-gzip": 47, "deflate": 47}
"""For each encoding zlib's `wbits`; 47 recognizes the header of gzip or zlib."""


def _checked_address(host: str, port: int, policy: FetchPolicy) -> str:
    """Return the address to connect to. Every address of the host must be allowed."""
    try:
        addresses = policy.resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"The host {host!r} cannot be resolved.") from error
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if not policy.allow_private and not _is_public(ip):
            raise ToolError(f"{host} has the address {address}, which is not public.")
    if not addresses:
        raise ToolError(f"The host {host!r} has no address.")
    return addresses[0]


def _is_public(address: Address) -> bool:
    """Return whether an address, and each IPv4 address within it, is globally reachable."""
    inner = list(embedded_ipv4(address))
    if any(address in network for network in NON_PUBLIC_NETWORKS):
        return False
    if inner:
        return all(map(_is_public, inner))
    return address.is_global and not address.is_multicast


class _HTTPConnection(http.client.HTTPConnection):
    """A connection to an address that was checked. The host name is not resolved again."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port)
        self._address = address

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _HTTPSConnection(_HTTPConnection):
    """The same over TLS. The certificate must be valid for the host name."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect and verify the certificate."""
        super().connect()
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
