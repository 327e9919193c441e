"""llama.cpp's own server, from the package xllamacpp.

usage: python -m tests.fakes.llama_server MODEL

It prints its URL and serves until its input ends.
"""

from __future__ import annotations

import sys

import xllamacpp

CONTEXT = 8192
SEQUENCES = 2


def main() -> None:
    """Serve the model."""
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = CONTEXT
    params.n_parallel = SEQUENCES
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.endpoint_props = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
