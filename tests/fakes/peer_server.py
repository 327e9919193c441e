"""llama.cpp's own server from the package xllamacpp, as a process: MODEL SLOTS THREADS CONTEXT.

It prints its address when it is ready, and ends with its standard input.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Serve until standard input is closed."""
    xllamacpp: Any = import_module("xllamacpp")

    model, slots, threads, context = sys.argv[1], *map(int, sys.argv[2:5])
    params: Any = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = slots
    params.n_ctx = context * slots
    params.kv_unified = True
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.warmup = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
