"""A process with the leaderboard's original code, without ours between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes import bfcl_original
from tests.fakes.resources import fetch
from xlam_local.evaluation.bfcl_checker import WORKER
from xlam_local.json_lines_process import JsonLinesProcess

TIMEOUT_S = 120.0


class Original:
    """Asks the process."""

    def __init__(self, process: JsonLinesProcess) -> None:
        self._process = process

    def ask(self, **request: Any) -> Any:
        """Return the answer to a request of `bfcl_original`."""
        return self._process.request(request, TIMEOUT_S)["answer"]


@contextmanager
def original(cwd: Path) -> Iterator[Original]:
    """Start the process; it writes empty folders into `cwd`."""
    folders = [str(fetch(name)) for name in ("bfcl", "mpmath")]
    command = [sys.executable, "-I", "-S", "-B", str(Path(bfcl_original.__file__))]
    environment = {"BFCL_PROJECT_ROOT": str(cwd)}
    process = JsonLinesProcess.start(
        [*command, str(WORKER), *folders], subprocess.DEVNULL, environment=environment
    )
    try:
        yield Original(process)
    finally:
        process.close()
