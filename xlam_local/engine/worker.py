"""The program of SubprocessEngine's child process: JSON requests on stdin, answers on stdout."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .. import prompt
from ..errors import Cancelled
from .grammar_text import GrammarText
from .load_options import LoadOptions, adapters_from_json
from .local_engine import LocalEngine
from .scheduler import Reply
from .worker_process import SHUTDOWN_TIMEOUT_S
from .worker_protocol import (
    Json,
    error_to_json,
    item_to_json,
    prompt_from_json,
    sampling_from_json,
)

IDLE_S = 1.0
"""How long without a request until the prompt is saved to the disk cache."""
TEXT_INTERVAL_S = 0.04
"""Text is sent at most this often: each message takes CPU time from llama.cpp's threads."""
LOAD_PROGRESS_STEP = 0.01
"""The share of a model that is loaded between two progress reports."""
OOM_SCORE_ADJUSTMENT = "800"
"""Makes Linux kill this process before others when memory runs out; 1000 is the maximum."""


class ReplyJob:
    """A reply that was asked for, and its text that was not sent yet."""

    def __init__(self, number: int, reply: Reply) -> None:
        self.number = number
        self.reply = reply
        self._unsent_text = ""
        self._send_text_at = 0.0
        """The monotonic time from which text is sent."""

    def take_messages(self) -> Iterator[Json]:
        """Yield what is to be sent now; text is held back until TEXT_INTERVAL_S has passed."""
        for item in self.reply.take_items():
            if isinstance(item, str):
                self._unsent_text += item
                continue
            yield from self._take_text()
            yield item_to_json(item)
        if self.reply.ended or time.monotonic() >= self._send_text_at:
            yield from self._take_text()
        if self.reply.error is not None:
            yield error_to_json(self.reply.error)

    def _take_text(self) -> Iterator[Json]:
        if self._unsent_text:
            yield {"text": self._unsent_text}
            self._unsent_text, self._send_text_at = "", time.monotonic() + TEXT_INTERVAL_S


class EngineWorker:
    """Writes the replies that are asked for, while a thread receives requests."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._queue: queue.Queue[Json | None] = queue.Queue()
        self._engine: LocalEngine | None = None
        self._grammar: GrammarText | None = None
        """The grammar that was received last."""
        self._jobs: dict[int, ReplyJob] = {}
        """The replies that have not ended, by the numbers of their requests."""
        self._cancelled: set[int] = set()
        self._closed = False
        """Whether stdin is closed."""
        self._reported_progress = 0.0

    def run(self) -> None:
        """Answer requests until stdin is closed."""
        threading.Thread(target=self._receive, daemon=True).start()
        while not self._closed:
            for request in self._take_requests():
                self._answer(request)
            if self._jobs:
                self._step()
        if self._engine is not None:
            self._engine.close()

    def _take_requests(self) -> Iterator[Json]:
        """Yield the requests that have arrived; wait for one if no reply is being written."""
        request = self._poll() if self._jobs else self._wait()
        while request is not None:
            yield request
            request = self._poll()

    def _poll(self) -> Json | None:
        with suppress(queue.Empty):
            return self._queue.get_nowait()
        return None

    def _wait(self) -> Json | None:
        """Wait for a request, and use the time to save prompts; return None if stdin is closed."""
        if self._engine is not None:
            with suppress(queue.Empty):
                return self._queue.get(timeout=IDLE_S)
            self._engine.save_prompts()
        return self._queue.get()

    def _receive(self) -> None:
        """Receive requests, and pass on cancellations immediately."""
        for line in self._requests:
            request = json.loads(line)
            if "cancel" in request:
                self._cancelled.add(request["cancel"])
                self._cancel(request["cancel"])
            elif "finish" in request:
                if job := self._jobs.get(request["finish"]):
                    job.reply.finishing = True
            else:
                self._queue.put(request)
        for number in list(self._jobs):
            self._cancel(number)
        self._closed = True
        self._queue.put(None)
        threading.Event().wait(SHUTDOWN_TIMEOUT_S)
        os._exit(0)

    def _cancel(self, number: int) -> None:
        if (job := self._jobs.get(number)) and self._engine is not None:
            self._engine.scheduler.cancel(job.reply)

    def _answer(self, request: Json) -> None:
        number = request.get("number", 0)
        try:
            if number in self._cancelled:
                raise Cancelled
            if "load" in request:
                self._load(Path(request["load"]), LoadOptions.from_json(request["options"]))
            elif "adapters" in request:
                self._loaded_engine().set_adapters(adapters_from_json(request["adapters"]))
                self._send(number, **self._describe())
            elif "count" in request:
                prompts = [prompt_from_json(parts) for parts in request["count"]]
                self._send(number, counts=self._loaded_engine().count(prompts))
            else:
                self._submit(number, request)
        except Exception as error:
            self._send(number, **error_to_json(error))

    def _load(self, path: Path, options: LoadOptions) -> None:
        self._engine = engine = LocalEngine.load(path, options, self._report_progress)
        description = self._describe()
        # Creating the compiler takes half a second, and most requests need it.
        _ = engine.constraint_compiler
        self._send(0, **description)

    def _describe(self) -> Json:
        engine = self._loaded_engine()
        return {
            "loaded": {
                "name": engine.name,
                "context_size": engine.context_size,
                "prompt_format": prompt.format_to_json(engine.prompt_format),
            }
        }

    def _report_progress(self, done: float) -> None:
        if done - self._reported_progress >= LOAD_PROGRESS_STEP:
            self._reported_progress = done
            self._send(0, loading=done)

    def _loaded_engine(self) -> LocalEngine:
        assert self._engine is not None
        return self._engine

    def _submit(self, number: int, request: Json) -> None:
        grammar = request["grammar"]
        if isinstance(grammar, dict):
            self._grammar = GrammarText(**grammar)
        reply = self._loaded_engine().submit(
            prompt_from_json(request["generate"]),
            self._grammar if grammar else None,
            sampling_from_json(request["sampling"]),
        )
        self._jobs[number] = ReplyJob(number, reply)
        if number in self._cancelled:  # The cancellation may have arrived just now.
            self._cancel(number)

    def _step(self) -> None:
        """Write all replies on by one step, and send what is new."""
        try:
            self._loaded_engine().scheduler.step()
        except Exception as error:  # A bug: no reply can go on.
            for number in list(self._jobs):
                self._send(number, **error_to_json(error))
            raise
        for job in list(self._jobs.values()):
            for message in job.take_messages():
                self._send(job.number, **message)
            if job.reply.ended:
                del self._jobs[job.number]
                self._cancelled.discard(job.number)

    def _send(self, number: int, **message: Any) -> None:
        line = json.dumps({"number": number, **message}).encode() + b"\n"
        with suppress(BrokenPipeError):
            self._answers.write(line)
            self._answers.flush()


def _raise_oom_score() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE_ADJUSTMENT, encoding="ascii")


def main() -> None:
    """Serve the process that started this one."""
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints must go to the log, not between the answers.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _raise_oom_score()
    EngineWorker(sys.stdin.buffer, answers).run()


if __name__ == "__main__":
    main()
