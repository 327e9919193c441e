"""String formats that are enforced exactly, as patterns after their RFCs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..regular.pattern_language import pattern_language
from ..regular.search import pattern_error
from . import strings
from .value_sets import Strings

YEAR = r"\d{4}"
LEAP = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
DATE = (
    rf"(?:{YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|{LEAP}-02-29)"
)
ZONE = r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
TIME = rf"(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?{ZONE}|23:59:60(?:\.\d+)?[Zz])"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = rf"{LABEL}(?:\.{LABEL})*"
BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPV4 = rf"{BYTE}(?:\.{BYTE}){{3}}"
H16 = r"[0-9A-Fa-f]{1,4}"
LS32 = rf"(?:{H16}:{H16}|{IPV4})"
IPV6 = (
    "(?:"
    + "|".join(
        [
            rf"(?:{H16}:){{6}}{LS32}",
            rf"::(?:{H16}:){{5}}{LS32}",
            *(rf"(?:(?:{H16}:){{0,{n}}}{H16})?::(?:{H16}:){{{4 - n}}}{LS32}" for n in range(5)),
            rf"(?:(?:{H16}:){{0,5}}{H16})?::{H16}",
            rf"(?:(?:{H16}:){{0,6}}{H16})?::",
        ]
    )
    + ")"
)
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LOCAL = rf"(?:{ATOM}(?:\.{ATOM})*|\"(?:[ !#-\[\]-~]|\\[ -~])*\")"
EMAIL = rf"{LOCAL}@(?:{HOST}|\[(?:{IPV4}|IPv6:{IPV6})\])"
ESCAPED = r"%[0-9A-Fa-f]{2}"
SUB = r"!$&'()*+,;="
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
UCSCHAR = r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF" + "".join(
    rf"\u{{{plane:X}{0x1000 if plane == 0xE else 0:04X}}}-\u{{{plane:X}FFFD}}"
    for plane in range(1, 0xF)
)
"""Characters that an IRI may have besides those of a URI (RFC 3987)."""
IPRIVATE = r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}"
"""Characters that only the query of an IRI may have."""


def uri(more: str = "", in_query: str = "") -> tuple[str, str]:
    """Return the patterns of a URI and of a relative reference, with more characters."""
    pchar = rf"(?:[A-Za-z0-9._~{SUB}:@{more}-]|{ESCAPED})"
    query = rf"(?:[A-Za-z0-9._~{SUB}:@{more}{in_query}-]|{ESCAPED})" if in_query else pchar
    userinfo = rf"(?:[A-Za-z0-9._~{SUB}:{more}-]|{ESCAPED})*"
    name = rf"(?:[A-Za-z0-9._~{SUB}{more}-]|{ESCAPED})*"
    ip = rf"\[(?:{IPV6}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~{SUB}:-]+)\]"
    authority = rf"(?:{userinfo}@)?(?:{ip}|{name})(?::\d*)?"
    tail = rf"(?:\?(?:{query}|[/?])*)?(?:#(?:{pchar}|[/?])*)?"
    path = rf"(?:/{pchar}*)*"
    rooted = rf"/(?:{pchar}+{path})?"
    segment = rf"(?:[A-Za-z0-9._~{SUB}@{more}-]|{ESCAPED})+"
    return (
        rf"{SCHEME}:(?://{authority}{path}|{rooted}|{pchar}+{path}|){tail}",
        rf"(?://{authority}{path}|{rooted}|{segment}{path}|){tail}",
    )


URI, RELATIVE = uri()
IRI, RELATIVE_IRI = uri(UCSCHAR, IPRIVATE)
VARIABLE = rf"(?:[A-Za-z0-9_]|{ESCAPED})(?:\.?(?:[A-Za-z0-9_]|{ESCAPED}))*(?::[1-9]\d{{0,3}}|\*)?"
TEMPLATE = (
    rf"(?:[!#$&(-;=?-\[\]_a-z~{UCSCHAR}{IPRIVATE}]|{ESCAPED}"
    rf"|\{{[+#./;?&=,!@|]?{VARIABLE}(?:,{VARIABLE})*\}})*"
)
DURATION = (
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)"
    r"(?:T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?"
    r"|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
)
BEYOND_ASCII = r"\u0080-\uD7FF\uE000-\u{10FFFF}"
IDN_LABEL = LABEL.replace("0-9", f"0-9{BEYOND_ASCII}")
DOTS = "[.\u3002\uff0e\uff61]"
"""The dots that separate the labels of an internationalized host name (RFC 3490)."""
IDN_HOST = rf"{IDN_LABEL}(?:{DOTS}{IDN_LABEL})*"
IDN_LOCAL = LOCAL.replace("0-9", f"0-9{BEYOND_ASCII}").replace(r"\]-~]", rf"\]-~{BEYOND_ASCII}]")
POINTER = r"(?:/(?:[^~/]|~[01])*)*"

PATTERNS = {
    "date": DATE,
    "time": TIME,
    "date-time": rf"{DATE}[Tt]{TIME}",
    "duration": DURATION,
    "email": EMAIL,
    "idn-email": rf"{IDN_LOCAL}@{IDN_HOST}",
    "hostname": HOST,
    "idn-hostname": IDN_HOST,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uuid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "uri": URI,
    "uri-reference": rf"(?:{URI}|{RELATIVE})",
    "iri": IRI,
    "iri-reference": rf"(?:{IRI}|{RELATIVE_IRI})",
    "uri-template": TEMPLATE,
    "json-pointer": POINTER,
    "relative-json-pointer": rf"(?:0|[1-9]\d*)(?:#|{POINTER})",
}


def _is_idn_host(value: str) -> bool:
    """Return whether every label is a valid one of IDNA 2008."""
    if len(value) > MAX_HOST_CHARS:
        return False
    import idna  # its tables take a few milliseconds to load

    try:
        idna.encode(value)
    except (idna.IDNAError, UnicodeError):
        return False
    return True


MAX_HOST_CHARS = 253
CHECKED_FORMATS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "regex": (
        lambda value: not pattern_error(value),
        "a regular expression is validated after decoding",
    ),
    "idn-hostname": (
        _is_idn_host,
        "the labels are validated after decoding",
    ),
    "idn-email": (
        lambda value: _is_idn_host(value.rpartition("@")[2]),
        "the host name is validated after decoding",
    ),
}
"""Formats that no pattern describes fully: what validates them, and the reason for a report."""
MAX_CHARS = dict.fromkeys(("hostname", "idn-hostname"), MAX_HOST_CHARS)
"""The most characters of a format, in addition to its pattern."""


def format_strings(name: object) -> Strings | None:
    """Return the strings of a format, or None if no pattern describes it."""
    if not isinstance(name, str) or name not in PATTERNS:
        return None
    return Strings(pattern_language(f"^(?:{PATTERNS[name]})$"), maximum=MAX_CHARS.get(name))


def has_format(name: str, value: str) -> bool:
    """Return whether a string has a format; any string has an unknown one."""
    shape = format_strings(name)
    if shape is not None and not strings.contains(shape, value):
        return False
    return name not in CHECKED_FORMATS or CHECKED_FORMATS[name][0](value)
