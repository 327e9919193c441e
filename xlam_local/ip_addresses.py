"""IP addresses in every notation that some program reads, and IPv4 addresses within IPv6 ones."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
MAX_DIGITS = 25
"""Digits without leading zeros; a longer number is no address in any notation."""
_IPV4_AT_END = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
    )
)
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""NAT64 with a prefix length of the network's own choice (RFC 8215)."""
_ISATAP = (0x5EFE, 0x2005EFE)
"""The upper half of an interface number that ends in an IPv4 address (RFC 5214)."""
_LAST_32_BITS = 0xFFFFFFFF


def parse_address(text: str) -> Address | None:
    """Return the IP address that a text is in standard notation, without its zone."""
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def embedded_ipv4(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that packets to an IPv6 address may reach."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) in (0, 1):
        return
    number = int(address)
    if any(address in network for network in _IPV4_AT_END) or (
        (number >> 32) & _LAST_32_BITS in _ISATAP
    ):
        yield ipaddress.IPv4Address(number & _LAST_32_BITS)
    if address.sixtofour is not None:
        yield address.sixtofour
    yield from address.teredo or ()
    if address in _LOCAL_NAT64:
        # RFC 6052: the bits 64 to 71 are left out, whatever the length of the prefix.
        without_gap = (number >> 64 << 56) | (number & ((1 << 56) - 1))
        for prefix_length in (48, 56, 64):
            shift = 120 - prefix_length - 32
            yield ipaddress.IPv4Address((without_gap >> shift) & _LAST_32_BITS)
        yield ipaddress.IPv4Address(number & _LAST_32_BITS)


def inet_aton(text: str) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that `inet_aton` reads in 127.1, 0x7f000001 or 017700000001."""
    numbers = _parse_numbers(text, base_after_zero=8)
    if not numbers or max(numbers[:-1], default=0) > 0xFF or numbers[-1] >> 8 * (5 - len(numbers)):
        return None
    return _address(numbers)


def ipv4_readings(text: str) -> set[ipaddress.IPv4Address]:
    """Return all IPv4 addresses that some program reads in numbers such as 010.0.0.1.

    Some read a leading zero as decimal, and some drop the bits that are too many.
    """
    readings = (_parse_numbers(text, base) for base in (8, 10))
    return {_address(numbers) for numbers in readings if numbers}


def _parse_numbers(text: str, base_after_zero: int) -> list[int]:
    """Return up to four numbers with dots between them; none if the text is something else."""
    parts = text.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return []
    if any(len(part.removeprefix("0x").lstrip("0")) > MAX_DIGITS for part in parts):
        return []
    return [_parse_number(part, base_after_zero) for part in parts]


def _address(numbers: list[int]) -> ipaddress.IPv4Address:
    *head, tail = numbers
    total = tail & ((1 << 8 * (4 - len(head))) - 1)
    for index, number in enumerate(head):
        total |= (number & 0xFF) << (24 - 8 * index)
    return ipaddress.IPv4Address(total)


def _parse_number(text: str, base_after_zero: int) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    is_decimal = not text.startswith("0") or "8" in text or "9" in text
    return int(text.lstrip("0") or "0", 10 if is_decimal else base_after_zero)
