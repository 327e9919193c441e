"""The formats of strings that are followed exactly, as patterns."""

from __future__ import annotations

from .language import language
from .shapes import Strings

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
PCHAR = rf"(?:[A-Za-z0-9._~{SUB}:@-]|{ESCAPED})"
USERINFO = rf"(?:[A-Za-z0-9._~{SUB}:-]|{ESCAPED})*"
NAME = rf"(?:[A-Za-z0-9._~{SUB}-]|{ESCAPED})*"
IPLIT = rf"\[(?:{IPV6}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~{SUB}:-]+)\]"
AUTHORITY = rf"(?:{USERINFO}@)?(?:{IPLIT}|{NAME})(?::\d*)?"
TAIL = rf"(?:\?(?:{PCHAR}|[/?])*)?(?:#(?:{PCHAR}|[/?])*)?"
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
PATH = rf"(?:/{PCHAR}*)*"
ROOTED = rf"/(?:{PCHAR}+{PATH})?"
URI = rf"{SCHEME}:(?://{AUTHORITY}{PATH}|{ROOTED}|{PCHAR}+{PATH}|){TAIL}"
SEGMENT = rf"(?:[A-Za-z0-9._~{SUB}@-]|{ESCAPED})+"
RELATIVE = rf"(?://{AUTHORITY}{PATH}|{ROOTED}|{SEGMENT}{PATH}|){TAIL}"
DURATION = (
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)"
    r"(?:T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?"
    r"|T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))"
)
POINTER = r"(?:/(?:[^~/]|~[01])*)*"

PATTERNS = {
    "date": DATE,
    "time": TIME,
    "date-time": rf"{DATE}[Tt]{TIME}",
    "duration": DURATION,
    "email": EMAIL,
    "hostname": HOST,
    "ipv4": IPV4,
    "ipv6": IPV6,
    "uuid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "uri": URI,
    "uri-reference": rf"(?:{URI}|{RELATIVE})",
    "json-pointer": POINTER,
    "relative-json-pointer": rf"(?:0|[1-9]\d*)(?:#|{POINTER})",
}


REGEX = "regex"
"""The format that no pattern can say: it is checked."""


def shape(name: object) -> Strings | None:
    """The strings of a format, if the format is known."""
    if not isinstance(name, str) or name not in PATTERNS:
        return None
    return Strings(language(f"^(?:{PATTERNS[name]})$"), most=LONGEST.get(name))


LONGEST = {"hostname": 253}
"""Characters that a format allows at most, beside its pattern."""
