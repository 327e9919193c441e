"""llama.cpp's log: passed on to `logging`, and searched for the reason of a failure."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from functools import lru_cache

import llama_cpp

log = logging.getLogger(__name__)

MAX_ERRORS = 20
GGML_ERROR = 4
LEVELS = {2: logging.INFO, 3: logging.WARNING, GGML_ERROR: logging.ERROR}
"""`enum ggml_log_level`."""
OUT_OF_MEMORY_TEXTS = (
    "out of memory",
    "failed to allocate",
    "cannot allocate",
    "not enough memory",
)


class LlamaLog:
    """Receives llama.cpp's log messages and remembers the last errors."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=MAX_ERRORS)
        self.callback = llama_cpp.llama_log_callback(self._receive)

    def _receive(self, level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if not line:
            return
        log.log(LEVELS.get(level, logging.DEBUG), "%s", line)
        if level == GGML_ERROR:
            self.errors.append(line)

    def reason(self) -> str:
        """Return the first remembered error, without a full stop."""
        return next(iter(self.errors), "no reason given").rstrip(".")

    def out_of_memory(self) -> bool:
        """Return whether one of the errors is about memory."""
        return any(
            text in error.casefold() for error in self.errors for text in OUT_OF_MEMORY_TEXTS
        )


def start_log() -> LlamaLog:
    """Initialize llama.cpp if necessary, and return its log without any errors."""
    llama_log = _initialize()
    # token_counter redirects the log, so it is redirected to us again.
    llama_cpp.llama_log_set(llama_log.callback, ctypes.c_void_p(0))
    llama_log.errors.clear()
    return llama_log


@lru_cache(maxsize=1)
def _initialize() -> LlamaLog:
    llama_cpp.llama_backend_init()
    return LlamaLog()
