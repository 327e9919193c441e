"""The process of llama.cpp: requests on stdin, answers on stdout, a JSON object a line."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import Cancelled, XlamError
from ..types import End, Note, Piece, Prefill, Prompt, Sampling
from .local import Engine
from .process import FAREWELL, write_format
from .settings import Settings

Json = Mapping[str, Any]

IDLE = 1.0
"""Seconds without a request after which a prefix is kept."""
FRAME = 0.04
"""Seconds of text that go out together: each message takes a core from those that compute."""
STEP = 0.01
"""Progress of a load that is worth a message."""


class Child:
    """Answers one request after the other, and hears meanwhile whether it is cancelled."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._in = requests
        self._out = answers
        self._waiting: queue.Queue[Json | None] = queue.Queue()
        self._engine: Engine | None = None
        self._rules: str | None = None
        self._number = 0
        self._over: set[int] = set()
        """Requests that are cancelled."""
        self._enough: set[int] = set()
        """Replies that are to end."""
        self._loaded = 0.0
        self._text = ""
        """What is written and not sent yet."""
        self._frame = 0.0
        """When the next text is sent."""

    def run(self) -> None:
        """Answer until there are no more requests."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (request := self._next()) is not None:
            self._number = request.get("number", 0)
            try:
                self._answer(request)
            except Cancelled:
                self._tell(cancelled=True)
            except XlamError as error:
                self._tell(error=type(error).__name__, message=str(error))
            except Exception:
                self._tell(bug=traceback.format_exc())
        if self._engine is not None:
            self._engine.close()

    def _next(self) -> Json | None:
        if self._engine is None:
            return self._waiting.get()
        try:
            return self._waiting.get(timeout=IDLE)
        except queue.Empty:
            self._engine.keep_prefix()
            return self._waiting.get()

    def _listen(self) -> None:
        """Take in requests; a cancelled one is stopped in the middle of a decode."""
        for line in self._in:
            request = json.loads(line)
            if "cancel" in request:
                self._over.add(request["cancel"])
                if self._engine is not None and request["cancel"] == self._number:
                    self._engine.stop()
            elif "finish" in request:
                self._enough.add(request["finish"])
            else:
                self._waiting.put(request)
        if self._engine is not None:
            self._engine.stop()
        self._over.add(self._number)
        self._waiting.put(None)
        threading.Event().wait(FAREWELL)
        os._exit(0)

    def _answer(self, request: Json) -> None:
        if "load" in request:
            self._load(Path(request["load"]), request["settings"])
        elif self._number in self._over:
            raise Cancelled
        elif "count" in request:
            self._tell(
                counts=self._loaded_engine().count([_prompt(one) for one in request["count"]])
            )
        else:
            self._generate(request)

    def _load(self, path: Path, told: Mapping[str, Any]) -> None:
        folder = told["prefixes"]
        settings = Settings(**{**told, "prefixes": Path(folder) if folder else None})
        self._engine = engine = Engine.load(path, settings, self._progress)
        form = write_format(engine.format)
        # It takes half a second, and nearly every prompt that follows needs it.
        _ = engine.compiler
        self._tell(loaded={"name": engine.name, "size": engine.size, "format": form})

    def _progress(self, done: float) -> None:
        if done - self._loaded >= STEP:
            self._loaded = done
            self._tell(loading=done)

    def _loaded_engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def _generate(self, request: Json) -> None:
        rules = request["rules"]
        self._rules = self._rules if rules is True else rules or self._rules
        items = self._loaded_engine().write(
            _prompt(request["generate"]),
            self._rules if rules else None,
            Sampling(**request["sampling"]),
        )
        enough: bool | None = None
        self._text, self._frame = "", 0.0
        with contextlib.closing(items):
            while True:
                try:
                    item = items.send(enough)
                except StopIteration:
                    return
                if self._number in self._over:
                    raise Cancelled
                enough = (isinstance(item, str) and self._number in self._enough) or None
                self._say(item)

    def _say(self, item: Prefill | str | Note | End) -> None:
        if isinstance(item, str):
            self._text += item
            if time.monotonic() < self._frame:
                return
        if self._text:
            self._tell(text=self._text)
            self._text, self._frame = "", time.monotonic() + FRAME
        match item:
            case Prefill(done, total):
                self._tell(prefill=(done, total))
            case Note(text):
                self._tell(note=text)
            case End(cut, usage):
                self._tell(cut=cut, usage=asdict(usage))
            case _:
                pass

    def _tell(self, **message: Any) -> None:
        line = json.dumps({"number": self._number, **message}).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            self._out.write(line)
            self._out.flush()


def _prompt(pieces: list[tuple[str, bool]]) -> Prompt:
    return tuple(Piece(text, special) for text, special in pieces)


def _first_to_go() -> None:
    """Ask the system to end this process, and not the program, when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


def main() -> None:
    """Serve the process that started this one."""
    answers = os.fdopen(os.dup(1), "wb")
    # What a library prints goes to the log, not among the answers.
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    _first_to_go()
    Child(sys.stdin.buffer, answers).run()


if __name__ == "__main__":
    main()
