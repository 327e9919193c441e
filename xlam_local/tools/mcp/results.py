"""What a call of a server's tool gives, as text for the model."""

from __future__ import annotations

import json
from typing import Any

from ...errors import ToolError


def text(result: Any) -> str:
    """The text of a result; what is not text is told as what it is.

    Raises:
        ToolError: the server says that the call failed.
    """
    parts = [_part(block.model_dump(by_alias=True, exclude_none=True)) for block in result.content]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    written = "\n".join(parts)
    if result.is_error:
        raise ToolError(written or "The server says that it failed, and not why.")
    return written


def _part(block: dict[str, Any]) -> str:
    match block:
        case {"type": "text", "text": str(words)}:
            return words
        case {"type": "resource", "resource": {"text": str(words)}}:
            return words
        case {"type": "resource", "resource": {"blob": str(data), **rest}}:
            return _left_out(str(rest.get("mimeType", "binary data")), data)
        case {"type": "resource_link", "uri": uri, "name": name}:
            return f"({name}: {uri})"
        case {"type": "image" | "audio" as kind, "data": str(data), **rest}:
            return _left_out(f"{kind}, {rest.get('mimeType', 'of no known type')}", data)
    return f"(something of the kind {block.get('type')!r}, not shown)"


def _left_out(what: str, data: str) -> str:
    return f"({what}, {len(data) * 3 // 4:,} bytes, not shown)"
