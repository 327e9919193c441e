"""The leaderboard's original checker, in an isolated process."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, Self

from ..errors import XlamError
from ..json_lines_process import InvalidMessage, JsonLinesProcess, ProcessEnded
from ..tools.sandbox import isolation, process
from ..tools.sandbox.config import Limits, SandboxConfig

Json = Mapping[str, Any]

WORKER = Path(__file__).with_name("bfcl_worker.py")
TIMEOUT_S = 300.0
"""How long one answer may take; the original executes what the model calls."""


class CheckerError(XlamError):
    """The process of the original checker failed."""


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt of a case, to which the original waits for a reply."""

    messages: Sequence[Json]
    functions: Sequence[Json]
    allowed: Sequence[Json]
    """The functions that may be called: also those that a later message has added."""
    prompt: str
    """The prompt that the original handler of xLAM's Qwen models writes."""


class CheckerStopped(CheckerError):
    """The process ended, hung or wrote nonsense in one case; the next case gets a new process."""


class Checker:
    """A process with the original code. One thread at a time may use it."""

    def __init__(self, folders: Sequence[Path], timeout_s: float = TIMEOUT_S) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._timeout_s = timeout_s
        self._scratch = tempfile.TemporaryDirectory(prefix="xlam-eval-")
        self._process: JsonLinesProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._stop()
        self._scratch.cleanup()

    def _start(self) -> JsonLinesProcess:
        config = SandboxConfig(
            cwd=Path(self._scratch.name),
            level=isolation.best_available(),
            limits=Limits(cpu_seconds=0),
            readable=(*self._folders, WORKER.parent),
        )
        command = [sys.executable, "-I", "-S", "-B", str(WORKER), *map(str, self._folders)]
        running = process.start(command, config, PIPE, PIPE, DEVNULL)
        assert running.popen.stdout is not None
        output = os.dup(running.popen.stdout.fileno())
        return JsonLinesProcess(running.popen, output, running.kill, running.end)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def cases(self, category: str) -> Sequence[Json]:
        """Return the cases of a category, as the original shows them to a model."""
        return self._request({"cases": category})["cases"]  # type: ignore[no-any-return]

    def judge(self, category: str, case_id: str, reply: str) -> Json:
        """Return the original's verdict on the reply to a single-turn case."""
        return self._request({"judge": case_id, "category": category, "reply": reply})

    def judge_entry(self, category: str, entry: Json, answer: Any, reply: str) -> Json:
        """Return the original's verdict on the reply to a case that is not the leaderboard's."""
        return self._request(
            {"entry": entry, "category": category, "answer": answer, "reply": reply}
        )

    def multi_turn(self, category: str, case_id: str) -> Generator[Query, str, Json]:
        """Play a case with the original loop: yield queries, take replies, return the verdict."""
        message = self._request({"multi_turn": case_id, "category": category})
        while "query" in message:
            try:
                reply = yield Query(**message["query"])
            except BaseException:
                if self._process is not None:
                    self._request({"abort": True})
                raise
            message = self._request({"reply": reply})
        return message

    def _request(self, request: Json) -> Json:
        self._process = self._process or self._start()
        try:
            answer = self._process.request(request, self._timeout_s)
        except BaseException as error:
            self._stop()
            match error:
                case ProcessEnded():
                    reason = f"The process of the checker {error}."
                case TimeoutError():
                    reason = f"The checker did not answer in {self._timeout_s:g} seconds."
                case InvalidMessage():
                    reason = f"The checker's answer is invalid: {error}"
                case _:
                    raise
            raise CheckerStopped(reason) from error
        if "fatal" in answer:
            raise CheckerError(f"The original checker cannot run: {answer['fatal']}.")
        return answer
