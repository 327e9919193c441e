"""The log file: messages of llama.cpp, and tracebacks of tools that failed."""

from __future__ import annotations

import logging
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

from ..atomic_file import make_folder, open_private

MAX_LOG_BYTES = 1_000_000
"""The size at which a log file is rotated."""
BACKUP_COUNT = 2


class _PrivateLogFile(RotatingFileHandler):
    """A log file that only its owner can read, and so are the rotated ones."""

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        return cast(TextIOWrapper, open_private(path, self.mode, encoding=self.encoding))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        """Ignore that the log cannot be written, as on a full disk; logging prints a traceback."""


def start(state_folder: Path) -> None:
    """Write the program's log to a file under `state_folder` instead of the terminal."""
    folder = state_folder / "logs"
    try:
        make_folder(folder)
    except OSError:
        discard()
        return
    handler = _PrivateLogFile(
        folder / "xlam-local.log",
        maxBytes=MAX_LOG_BYTES,
        backupCount=BACKUP_COUNT,
        encoding="utf-8",
        delay=True,
    )
    _use(handler)


def discard() -> None:
    """Write the program's log nowhere."""
    _use(logging.NullHandler())


def _use(handler: logging.Handler) -> None:
    log = logging.getLogger("xlam_local")
    log.propagate = False
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for earlier in log.handlers:
        earlier.close()
    log.handlers = [handler]
    log.setLevel(logging.INFO)
