"""Hosts in arguments and policies: parse them, find their canonical form, match them."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..ip_addresses import Address, embedded_ipv4, inet_aton, ipv4_readings, parse_address

_URL = re.compile(
    r"(?:https?://)(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?:[/?#][!-\[\]-~]*)?",
    re.IGNORECASE,
)
"""A URL that every parser reads in the same way."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d+(?:[/?#]|$))[\\/]*|[\\/]+", re.IGNORECASE)
_SEPARATORS = re.compile(r"[@\\,;\s]+")
"""What parts of an authority can be separated by, for some parser."""
_PORT = re.compile(r"(?<!:):\d*$|(?<=\]):\d*$")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
"""Characters that IDNA reads as dots."""
MAX_HOST_CHARACTERS = 300
"""A longer text is no host; the bound matters because the time of punycode is quadratic."""
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A host that an argument names."""

    name: str
    """In canonical form; empty if there is none."""
    port: int | None
    """The port, or that of the scheme; None if it is not known."""
    certain: bool
    """Whether every URL parser finds this host in the text."""
    readings: frozenset[str] = frozenset()
    """All hosts that some parser or resolver finds in the text, in canonical form."""


def host_target(text: str) -> HostTarget:
    """Return the host in a URL, or in a text that is a host."""
    url = text if "://" in text else f"http://{text}"
    if found := _URL.fullmatch(url):
        host, readings = found["host"].strip("[]").rstrip(".").lower(), host_names(found["host"])
        scheme = url.partition(":")[0].lower() if url == text else ""
        port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme)
        # Some resolvers read 012.0.0.1 as 10.0.0.1 (octal), others as 12.0.0.1.
        address = parse_address(host)
        certain = host in readings if address is None else not any(embedded_ipv4(address))
        return HostTarget(canonical_host(host), port, certain, readings)
    readings = frozenset[str]().union(*map(host_names, _possible_hosts(text)))
    try:
        split = urlsplit(url.strip().replace("\\", "/"))
        return HostTarget(canonical_host(split.hostname or ""), split.port, False, readings)
    except ValueError:
        return HostTarget("", None, certain=False, readings=readings)


def canonical_host(name: str) -> str:
    """Return the one spelling of a host: addresses in standard form, names in lower case."""
    name = _plain(name)
    address = parse_address(name)
    if address is None:
        return str(inet_aton(name) or _to_idna(name))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def host_names(name: str) -> frozenset[str]:
    """Return every host that a name or an address in any notation may stand for.

    IPv6 addresses that lead to an IPv4 address stand for it, too; `localhost` and the addresses
    that mean "this machine" stand for the loopback addresses.
    """
    name = _plain(name)
    if len(name) > MAX_HOST_CHARACTERS:
        return frozenset({name})
    address = parse_address(name)
    addresses: list[Address] = list(ipv4_readings(name)) if address is None else [address]
    for one in tuple(addresses):
        addresses += embedded_ipv4(one)
    names = {str(one) for one in addresses}
    if not addresses:
        names = {_to_idna(name), _to_idna_2008(name)}
    if names & {"0.0.0.0", "localhost"} or name.endswith(".localhost"):
        names.add("127.0.0.1")
    if names & {"::", "localhost"} or name.endswith(".localhost"):
        names.add("::1")
    return frozenset(names - {""})


def host_matches(pattern: str, host: HostTarget) -> bool:
    """Return whether a pattern matches a host.

    A pattern is a name, `*.name` for its subdomains, an address, a range such as 10.0.0.0/8, or
    `*`. It can end with a port, as in `localhost:8080`.
    """
    name, port = _split_port(pattern)
    if port is not None and port != host.port:
        return False
    return _name_matches(name, frozenset({host.name}), frozenset({canonical_host(name)}))


def host_may_match(pattern: str, host: HostTarget) -> bool:
    """Return whether a pattern matches any reading of a host; an unknown port matches."""
    name, port = _split_port(pattern)
    if port is not None and host.certain and host.port not in (None, port):
        return False
    return _name_matches(name, host.readings, host_names(name.removeprefix("*.")))


def pattern_problem(pattern: str) -> str:
    """Return why a pattern can match no host, or an empty string."""
    name, _ = _split_port(pattern)
    if "/" in name and _network(name) is None:
        return f"{pattern!r} must be an address range such as 10.0.0.0/8, or a host without `/`"
    if name != "*" and "*" in name.removeprefix("*."):
        return f"{pattern!r} must have `*` alone or as the first label, as in *.example.org"
    if not name.strip(". ") or set(name) & set(" @?#\\"):
        return f"{pattern!r} must be a host without a scheme, a user name or spaces"
    return ""


def _name_matches(pattern: str, names: frozenset[str], pattern_names: frozenset[str]) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        suffixes = tuple(f".{name.removeprefix('*.')}" for name in pattern_names)
        return any(name.endswith(suffixes) for name in names)
    if "/" in pattern:
        return any(_in_network(name, pattern) for name in names)
    return not names.isdisjoint(pattern_names)


def _split_port(pattern: str) -> tuple[str, int | None]:
    name, colon, port = pattern.rpartition(":")
    if colon and port.isdecimal() and (name.endswith("]") or ":" not in name):
        return name, int(port)
    return pattern, None


def _in_network(name: str, pattern: str) -> bool:
    address, network = parse_address(name), _network(pattern)
    return address is not None and network is not None and address in network


def _network(pattern: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return a range of addresses; one of IPv4-mapped addresses is a range of IPv4 addresses."""
    try:
        network = ipaddress.ip_network(pattern.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        return ipaddress.IPv4Network(f"{inner}/{network.prefixlen - 96}")
    return network


def _possible_hosts(text: str) -> list[str]:
    """Return what some parser takes for the host of a text: browsers, for example, repair much."""
    visible = re.sub(r"[\t\r\n\x00]", "", text).strip()
    rest = _SCHEME.sub("", visible, count=1) if _SCHEME.match(visible) else visible
    authority = re.split(r"[/?#]", unicodedata.normalize("NFKC", unquote(rest)))[0]
    return [_PORT.sub("", part) for part in _SEPARATORS.split(authority)]


def _plain(name: str) -> str:
    """Return a host in lower case, without percent signs, brackets, zone and dots at the end."""
    name = unicodedata.normalize("NFKC", unquote(name)).translate(_DOTS).lower()
    return name.strip("[]").partition("%")[0].rstrip(".")


def _to_idna(name: str) -> str:
    if len(name) > MAX_HOST_CHARACTERS:
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _to_idna_2008(name: str) -> str:
    """Return a name as IDNA 2008 encodes it, which keeps ß, ς and joiners."""
    labels = (
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in name.split(".")
    )
    try:
        return ".".join(labels)
    except UnicodeError:
        return name
