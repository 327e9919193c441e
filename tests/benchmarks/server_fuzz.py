"""Send requests that schemathesis makes from the OpenAPI document to a server with random weights.

usage: python -m tests.benchmarks.server_fuzz [--requests N] [--seed N] [--workers N]

It prints how many responses had each status, and ends with 1 if a response has a status of 500 or
more or does not arrive within a minute. Needs `pip install schemathesis`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fakes.server_process import TOKEN, tiny_server

REQUEST_TIMEOUT_S = 60
SERVER_OPTIONS = ("--context", "1024", "--max-tokens", "8", "--max-queue", "100")


def command(url: str, examples: int, seed: int, workers: int, report: Path) -> list[str]:
    """Return the command line of schemathesis."""
    return [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--phases", "coverage,fuzzing", "--max-examples", str(examples), "--seed", str(seed)),
        *("--checks", "not_a_server_error", "--continue-on-failure", "--no-shrink"),
        *("--request-timeout", str(REQUEST_TIMEOUT_S), "--workers", str(workers)),
        *("--header", f"Authorization: Bearer {TOKEN}", "--suppress-health-check", "all"),
        *("--report", "ndjson", "--report-ndjson-path", str(report), "--warnings", "off"),
    ]


def statuses(report: Path) -> Counter[int]:
    """Return how many responses had each status; 0 is none within the time."""
    found: Counter[int] = Counter()
    for line in report.read_text(encoding="utf-8").splitlines():
        for response in responses(json.loads(line)):
            found[response] += 1
    return found


def responses(value: Any) -> list[int]:
    """Return the statuses of the responses within an event of the report."""
    if isinstance(value, list):
        return [status for item in value for status in responses(item)]
    if not isinstance(value, dict):
        return []
    if "status_code" in value:
        return [int(value["status_code"])]
    return [status for item in value.values() for status in responses(item)]


def main() -> int:
    """Run schemathesis against a new server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tiny_server(*SERVER_OPTIONS) as server:
        document = json.loads(server.get("/openapi.json"))
        with_body = sum(
            "requestBody" in each.get("post", {}) for each in document["paths"].values()
        )
        examples = -(-options.requests // with_body)
        report = Path(folder) / "report.ndjson"
        words = command(server.url, examples, options.seed, options.workers, report)
        code = subprocess.run(words, cwd=folder, check=False).returncode
        found = statuses(report)
        print(f"{sum(found.values())} responses by status:", dict(sorted(found.items())))
        alive = server.process.poll() is None and json.loads(server.get("/health"))
        print("The server is alive:", alive)
    return int(bool(code) or not alive)


if __name__ == "__main__":
    sys.exit(main())
