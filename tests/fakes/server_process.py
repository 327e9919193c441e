"""The command `serve` as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.fakes.tiny_models import write_model

TIMEOUT_S = 120
READY = re.compile(r"Serving .+ on (http://127\.0\.0\.1:\d+)/v1\n")
TOKEN = "secret"


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    printed: list[str]
    """The lines of stderr before it was ready."""

    def get(self, path: str) -> str:
        """Return the answer to a request."""
        return self._answer(urllib.request.Request(f"{self.url}{path}", headers=self.headers))

    def post(self, path: str, body: Any) -> str:
        """Return the answer to a request with a JSON body."""
        data = json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        return self._answer(urllib.request.Request(f"{self.url}{path}", data, headers))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each request."""
        return {"Authorization": f"Bearer {TOKEN}"}

    def memory(self) -> int:
        """Return the bytes of resident memory of the server and its processes."""
        top = psutil.Process(self.process.pid)
        found = [top, *top.children(recursive=True)]
        return sum(each.memory_info().rss for each in found if each.is_running())

    def _answer(self, request: urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            text: str = response.read().decode()
            return text


@contextmanager
def server_process(*options: str, home: Path | None = None) -> Iterator[ServerProcess]:
    """Run `serve` with the token TOKEN on a free port, and end it at the end.

    Without `home`, it uses the folders of this process.
    """
    command = [sys.executable, "-m", "xlam_local", "serve", "--port", "0", *options]
    environment = {**os.environ, "XLAM_LOCAL_TOKEN": TOKEN}
    if home is not None:
        environment["XLAM_LOCAL_HOME"] = str(home)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        printed: list[str] = []
        try:
            for line in process.stderr:
                printed.append(line)
                if found := READY.fullmatch(line):
                    yield ServerProcess(process, found[1], printed)
                    break
            else:
                raise AssertionError(printed)
        finally:
            process.kill()


@contextmanager
def tiny_server(*options: str) -> Iterator[ServerProcess]:
    """Run `serve` with a model of random weights and a small vocabulary, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "xLAM-2-tiny.gguf"
        write_model(model, "qwen2", "xLAM-2-tiny")
        with server_process("-m", str(model), *options, home=Path(folder) / "home") as running:
            yield running
