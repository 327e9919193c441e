"""What makes a tool the same tool, so that a grant for it still holds."""

from __future__ import annotations

import hashlib
import json

from ..types import Tool


def tool_identity(tool: Tool) -> tuple[str, str, str]:
    """Return the name of a tool in its source, the source and the file that defines it."""
    return tool.original_name or tool.name, tool.source, tool.file


def tool_digest(tool: Tool) -> str:
    """Return a hash of everything that a user approves of a tool, except its arguments.

    The content of its file and the listing of its server are in `content_hash`.
    """
    content = {
        "name": tool_identity(tool),
        "parameters": tool.parameters,
        "effect": tool.effect.value,
        "sandbox": tool.sandbox.value,
        "network": tool.network,
        "content": tool.content_hash,
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
