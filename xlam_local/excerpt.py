"""What a model reads of a tool's result: text, and of a long one its beginning and end."""

from __future__ import annotations

import json
from collections.abc import Mapping

HEAD = 2 / 3
"""The share of what is kept that is the beginning; the rest is the end."""
KINDS: Mapping[bytes, str] = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "gzip data",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
}


def text(value: object) -> str:
    """A result as text: text as it is, bytes by what they are, all else as JSON."""
    if isinstance(value, str):
        # Half of a pair of surrogates is in no encoding.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, (bytes, bytearray)):
        return _bytes(bytes(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def cut(whole: str, most: int, where: str = "") -> str:
    """The beginning and the end of a text, with a note in between of what is left out.

    `most` is how many characters stay, besides the note; `where` is where all of it is.
    """
    if len(whole) <= most:
        return whole
    head = int(most * HEAD)
    tail = most - head
    start, end = whole[:head], whole[len(whole) - tail :]
    # Whole lines, where that costs little.
    if (line := start.rfind("\n")) > head * 0.8:
        start = start[: line + 1]
    if 0 <= (line := end.find("\n")) < tail * 0.2:
        end = end[line + 1 :]
    left = len(whole) - len(start) - len(end)
    kept = f" All of it is in {where}, for the user." if where else ""
    return f"{start}\n[{left:,} of {len(whole):,} characters are left out here.{kept}]\n{end}"


def _bytes(data: bytes) -> str:
    try:
        if b"\0" not in data:
            return data.decode()
    except UnicodeDecodeError:
        pass
    kind = next((name for start, name in KINDS.items() if data.startswith(start)), "no text")
    return f"(Binary data of {len(data):,} bytes: {kind}.)"
