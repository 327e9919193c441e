"""The child process that renders chat templates: one JSON object per line in, one out.

A template is a program from a model's file. The process ends at a template that takes too long, and
cannot use more memory than its limit. It ends with its input, when the parent process has ended.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import template_environment

MIN_RENDERED_LIMIT = 1 << 20
RENDERED_CHARACTERS_PER_BYTE = 8
"""How much longer than its conversation a prompt may be: JSON in ASCII is six times its text."""
MAX_REASON_CHARACTERS = 300


def main() -> None:
    """Answer requests until the input ends; the arguments are the limits in seconds and bytes."""
    cpu_limit_s = float(sys.argv[1])
    limit_memory(int(sys.argv[2]))
    start = time.process_time()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["first"]:
            start = time.process_time()
        remaining_s = cpu_limit_s - (time.process_time() - start)
        if remaining_s <= 0:
            # A timer would not end a rendering that is shorter than its resolution.
            answer = {"limit": f"it takes more than {cpu_limit_s:g} s of CPU time"}
        else:
            # The default action of SIGPROF ends the process, also within a function in C.
            signal.setitimer(signal.ITIMER_PROF, remaining_s)
            max_characters = MIN_RENDERED_LIMIT + RENDERED_CHARACTERS_PER_BYTE * len(line)
            answer = render(request, max_characters)
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer), flush=True)


def limit_memory(limit: int) -> None:
    """Limit the address space, in bytes more than now. macOS has no such limit."""
    total = limit + address_space()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (total, total))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def address_space() -> int:
    """Return the size of this process in bytes; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def render(request: Mapping[str, Any], max_characters: int) -> dict[str, Any]:
    """Return the answer to a request."""
    try:
        rendered = template_environment.render(request["source"], request["variables"])
    except MemoryError:
        return {"limit": f"it needs more than {int(sys.argv[2]) >> 20} MiB of memory"}
    except RecursionError:
        return {"error": "it is nested too deeply or calls itself without end"}
    except Exception as error:  # A template is a program and can raise anything.
        return {"error": one_line(str(error)) or type(error).__name__}
    if len(rendered) > max_characters:
        return {"limit": f"it writes more than {max_characters:,} characters"}
    return {"rendered": rendered}


def one_line(text: str) -> str:
    """Return a phrase for an error message, without control characters."""
    words = " ".join(text[:MAX_REASON_CHARACTERS].split()).rstrip(".")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
