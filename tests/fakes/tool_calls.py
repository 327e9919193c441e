"""Call tools and previews in tests."""

from __future__ import annotations

from typing import Any

import pytest

from xlam_local.tools.sandbox.isolation import unavailable_reason
from xlam_local.types import Sandbox, Tool

CAN_ISOLATE = not unavailable_reason(Sandbox.ISOLATED)
needs_isolation = pytest.mark.skipif(not CAN_ISOLATE, reason="this machine cannot isolate programs")


def run(tool: Tool, **arguments: Any) -> Any:
    """Call a tool."""
    assert tool.run is not None
    return tool.run(**arguments)


def preview(tool: Tool, **arguments: Any) -> str:
    """Return what a tool says that a call would do."""
    assert tool.preview is not None
    return tool.preview(**arguments)
