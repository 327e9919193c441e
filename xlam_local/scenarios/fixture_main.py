"""Run one function of the user's file, in a process of its own that imports no xlam_local.

stdin has a request as JSON; the last line of stdout is the answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Read a request, call its function with the working folder, and print what it returned."""
    request = json.load(sys.stdin)
    namespace: dict[str, Any] = {"__name__": "fixture", "__file__": request["path"]}
    exec(compile(request["text"], request["path"], "exec"), namespace)
    value = namespace[request["function"]](Path.cwd(), *request["arguments"])
    print("\n" + json.dumps({"value": None if value is None else str(value)}))


if __name__ == "__main__":
    main()
