"""How fast a model comes from a server on this machine, beside curl.

usage: python -m tests.throughput [--size MB] [--rounds N] [--folder FOLDER]

The server, a process of its own, is the local Hub of the tests; it hands the bytes to the kernel
with sendfile. Our fetch and curl take turns. Ours is timed in a fresh process from the first
byte to the installed model: its SHA-256 is checked and its bytes are safe on the disk by then,
while curl only writes them, and sha256sum checks them after it. Put FOLDER on a disk, or in memory
to leave the disk out of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPO, FILE = "someone/some-model-gguf", "some-model-Q4_K_M.gguf"

SERVE = """
import sys
from pathlib import Path
from tests import gguf_files, hub
with hub.running(hub.Hub()) as served:
    path = gguf_files.write(Path(sys.argv[1]), int(sys.argv[2]))
    served.add("{repo}", path, "{file}")
    print(served.endpoint, flush=True)
    sys.stdin.read()
"""
PULL = """
import json, resource, sys, time
from pathlib import Path
from xlam_local.models import Store, pull
top, start = Path(sys.argv[1]), None
for step in pull(sys.argv[2], Store(top / "hub", top / "data", top / "config")):
    start = start or time.perf_counter()
    last = step
assert last.path is not None
seconds = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_SELF)
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": usage.ru_maxrss >> 10}))
"""


def ours(endpoint: str, folder: Path) -> dict[str, float]:
    """One fetch into an empty store."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", PULL, str(folder), f"hf:{REPO}:{FILE}"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    shutil.rmtree(folder)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def curl(endpoint: str, folder: Path) -> tuple[float, float]:
    """The same bytes by curl, in seconds; and checked by sha256sum after that."""
    folder.mkdir()
    start = time.perf_counter()
    path = str(folder / FILE)
    subprocess.run(["curl", "-sSf", "-o", path, f"{endpoint}/bytes/{REPO}/{FILE}"], check=True)
    seconds = time.perf_counter() - start
    subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)
    checked = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds, checked


def measured(endpoint: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Both in turns; the medians and what lies between them."""
    mine: list[dict[str, float]] = []
    its: list[float] = []
    checked: list[float] = []
    for _ in range(rounds):
        for column, value in zip((its, checked), curl(endpoint, folder / "curl"), strict=True):
            column.append(value)
        mine.append(ours(endpoint, folder / "ours"))
    seconds = [each["seconds"] for each in mine]
    return {
        "curl_seconds": figures(its),
        "curl_and_sha256sum_seconds": figures(checked),
        "our_seconds": figures(seconds),
        "our_cpu_seconds": figures([each["cpu"] for each in mine]),
        "our_memory_mb": max(each["memory"] for each in mine),
        "times_curl": round(statistics.median(its) / statistics.median(seconds), 2),
        "times_curl_and_sha256sum": round(
            statistics.median(checked) / statistics.median(seconds), 2
        ),
        "times_curl_at_best": round(min(its) / min(seconds), 2),
        "cores": os.cpu_count(),
    }


def figures(seconds: list[float]) -> dict[str, float]:
    """Median and extremes."""
    values = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {key: round(value, 2) for key, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.throughput")
    parser.add_argument("--size", type=int, default=1000, help="of the file, in MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        script = SERVE.format(repo=REPO, file=FILE)
        command = [sys.executable, "-c", script, str(folder / FILE), str(options.size * 10**6)]
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as server:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            print(json.dumps(measured(endpoint, folder, options.rounds), indent=2))
            server.kill()


if __name__ == "__main__":
    main()
