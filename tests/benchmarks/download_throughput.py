"""Measure how fast a model is downloaded from a server on this computer, beside curl.

usage: python -m tests.benchmarks.download_throughput [--size MB] [--rounds N] [--folder FOLDER]

The server is the fake Hub of the tests in a process of its own; it sends the bytes with sendfile.
xlam-local and curl take turns. xlam-local is timed in a new process, from the first byte to the
installed model: it verifies the SHA-256 and flushes the file to the disk. curl only writes the
file, and sha256sum verifies it afterwards. FOLDER can be on a disk, or in memory to measure
without the disk.
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
from tests.fakes import fake_hub, gguf_files
with fake_hub.running(fake_hub.FakeHub()) as hub:
    path = gguf_files.write(Path(sys.argv[1]), int(sys.argv[2]))
    hub.add("{repo}", path, "{file}")
    print(hub.endpoint, flush=True)
    sys.stdin.read()
"""
PULL = """
import json, resource, sys, time
from pathlib import Path
from xlam_local.models import Store
from xlam_local.models.pull_model import pull
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


def run_xlam_local(endpoint: str, folder: Path) -> dict[str, float]:
    """Download once into an empty store; return the seconds, CPU seconds and MiB of memory."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", PULL, str(folder), f"hf:{REPO}:{FILE}"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    shutil.rmtree(folder)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run_curl(endpoint: str, folder: Path) -> tuple[float, float]:
    """Return the seconds of curl, and of curl followed by sha256sum."""
    folder.mkdir()
    start = time.perf_counter()
    path = str(folder / FILE)
    subprocess.run(["curl", "-sSf", "-o", path, f"{endpoint}/bytes/{REPO}/{FILE}"], check=True)
    downloaded = time.perf_counter() - start
    subprocess.run(["sha256sum", path], check=True, stdout=subprocess.DEVNULL)
    verified = time.perf_counter() - start
    shutil.rmtree(folder)
    return downloaded, verified


def measure(endpoint: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Run both in turns and return the statistics; `speedup` is curl's time over ours."""
    ours: list[dict[str, float]] = []
    curl: list[float] = []
    curl_and_sha256sum: list[float] = []
    for _ in range(rounds):
        downloaded, verified = run_curl(endpoint, folder / "curl")
        curl.append(downloaded)
        curl_and_sha256sum.append(verified)
        ours.append(run_xlam_local(endpoint, folder / "ours"))
    seconds = [result["seconds"] for result in ours]
    median = statistics.median(seconds)
    return {
        "curl_s": statistics_of(curl),
        "curl_and_sha256sum_s": statistics_of(curl_and_sha256sum),
        "xlam_local_s": statistics_of(seconds),
        "xlam_local_cpu_s": statistics_of([result["cpu"] for result in ours]),
        "xlam_local_memory_mib": max(result["memory"] for result in ours),
        "speedup_over_curl": round(statistics.median(curl) / median, 2),
        "speedup_over_curl_and_sha256sum": round(statistics.median(curl_and_sha256sum) / median, 2),
        "speedup_over_curl_best": round(min(curl) / min(seconds), 2),
        "cores": os.cpu_count(),
    }


def statistics_of(values: list[float]) -> dict[str, float]:
    """Return the median, minimum and maximum."""
    found = {"median": statistics.median(values), "minimum": min(values), "maximum": max(values)}
    return {key: round(value, 2) for key, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.download_throughput")
    parser.add_argument("--size", type=int, default=1000, help="size of the file in MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="folder for the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        script = SERVE.format(repo=REPO, file=FILE)
        command = [sys.executable, "-c", script, str(folder / FILE), str(options.size * 10**6)]
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as server:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            print(json.dumps(measure(endpoint, folder, options.rounds), indent=2))
            server.kill()


if __name__ == "__main__":
    main()
