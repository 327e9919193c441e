"""Convert the complete result of a server's tool to text for the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import ToolError
from ...json_depth import exceeds_depth
from ...schema.arrays import json_key

MAX_BLOCK_CHARS = 500
"""How much of a block of an unknown type is shown."""
OWN_KEYS = {"content", "structuredContent", "isError", "_meta"}
"""The keys of a result in the protocol."""
FAILED = (True, "true", "True")
"""Values of isError in a failed call's result."""


def result_text(result: Any) -> str:
    """Return the text of a result; other content is replaced by a description.

    Raises:
        ToolError: the server reports that the call failed.
    """
    written = "\n".join(_parts(result))
    if isinstance(result, Mapping) and result.get("isError") in FAILED:
        raise ToolError(written or "The server reported an error without a message.")
    return written


def _parts(result: Any) -> Iterator[str]:
    """Yield the texts of a result's blocks, its structured content, and what else it has."""
    if isinstance(result, list) and all(isinstance(each, Mapping) for each in result):
        result = {"content": result}
    if not isinstance(result, Mapping):
        if result is not None:
            yield _json(result)
        return
    if "toolResult" in result and "content" not in result:  # protocol versions before 2024-11-05
        yield from _parts(result["toolResult"])
        return
    content = result.get("content")
    blocks = content if isinstance(content, list) else [] if content is None else [content]
    texts = [_block(block) for block in blocks]
    yield from filter(None, texts)
    structured = result.get("structuredContent")
    if structured is not None and not _is_said(structured, texts):
        yield _json(structured)
    more = {key: value for key, value in result.items() if key not in OWN_KEYS}
    if more.get("resultType") == "complete":
        del more["resultType"]
    if more:
        yield _json(more)


def _is_said(structured: Any, texts: list[str]) -> bool:
    """Return whether the texts repeat the structured content.

    Servers repeat it as text. They wrap a value that is no object as the only one of an object, for
    example {"result": …} or {"content": …}, and list its items as one text each.
    """
    inner = structured
    if isinstance(structured, Mapping) and len(structured) == 1:
        (inner,) = structured.values()
    values = [json_key(_parsed(text)) for text in texts]
    whole, only = json_key(structured), json_key(inner)
    if any(value in (whole, only) for value in values) or inner in texts:
        return True
    listed = ("array", tuple(values))
    return isinstance(inner, list) and bool(inner) and (only == listed or inner == texts)


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if exceeds_depth(value) else value


def _block(block: Any) -> str:
    """Return the text of one block of content, or a description of it."""
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return f"(unknown content: {_shortened(block)})"
    kind = block.get("type")
    text = BLOCKS[kind](block) if isinstance(kind, str) and kind in BLOCKS else None
    return f"(content of type {kind!r}: {_shortened(block)})" if text is None else text


def _text(block: Mapping[str, Any]) -> str | None:
    words = block.get("text")
    return words if isinstance(words, str) or words is None else _json(words)


def _resource(block: Mapping[str, Any]) -> str | None:
    match block.get("resource"):
        case {"text": str(words), **rest} if not rest.get("blob"):
            return f"({rest['uri']})\n{words}" if rest.get("uri") else words
        case {"blob": str(data), **rest}:
            shown = _placeholder(rest.get("mimeType", "binary data"), data, rest.get("uri"))
            return f"{shown}\n{rest['text']}" if isinstance(rest.get("text"), str) else shown
    return None


def _resource_link(block: Mapping[str, Any]) -> str | None:
    if not isinstance(block.get("uri"), str):
        return None
    said: Iterable[Any] = (block.get(key) for key in ("title", "description", "mimeType"))
    size = block.get("size")
    said = (*said, f"{size:,} bytes" if isinstance(size, int) else None)
    more = "".join(f", {text}" for text in said if text)
    return f"({block.get('name') or 'link'}: {block['uri']}{more})"


def _media(block: Mapping[str, Any]) -> str | None:
    data = block.get("data")
    if not isinstance(data, str):
        return None
    return _placeholder(f"{block['type']}, {block.get('mimeType', 'unknown type')}", data, None)


BLOCKS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "text": _text,
    "resource": _resource,
    "resource_link": _resource_link,
    "image": _media,
    "audio": _media,
}
"""The text of each type of block; None if the block has another form."""


def _placeholder(what: object, data: str, uri: object) -> str:
    where = f"{uri}, " if uri else ""
    return f"({where}{what}, {len(data) * 3 // 4:,} bytes, not shown)"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shortened(value: Any) -> str:
    text = _json(value)
    return text if len(text) <= MAX_BLOCK_CHARS else text[:MAX_BLOCK_CHARS] + "…"
