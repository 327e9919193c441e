"""The log file: what llama.cpp says, and the tracebacks of tools that failed."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

LARGEST = 1_000_000
"""Bytes of a log file before the next one begins."""


def start(state: Path) -> None:
    """Write this program's log to a file under `state`, not to the terminal."""
    log = logging.getLogger("xlam_local")
    log.propagate = False
    folder = state / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = RotatingFileHandler(
            folder / "xlam-local.log", maxBytes=LARGEST, backupCount=2, encoding="utf-8", delay=True
        )
    except OSError:
        # A folder that cannot be written costs the log, never the answer.
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
