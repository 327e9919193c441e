"""The command `serve` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Yield a running server, its URL, and what it has printed."""
    command = [sys.executable, "-m", "xlam_local", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        printed = []
        try:
            for line in process.stderr:
                printed.append(line)
                if found := re.fullmatch(r"Serving .+ on (http://127\.0\.0\.1:\d+/v1)\n", line):
                    yield process, found[1], printed
                    break
            else:
                raise AssertionError(printed)
        finally:
            process.kill()
