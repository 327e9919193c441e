"""Engines for tests of the app: one that waits for permission, one that crashes."""

from __future__ import annotations

import threading

from tests.fakes.fake_engine import Scripted
from xlam_local.agent import Generation
from xlam_local.errors import EngineCrashed
from xlam_local.grammar import Enforced
from xlam_local.types import GenerationEnd, PrefillProgress, Prompt, Sampling

WAIT_S = 10.0


class SteppedEngine(Scripted):
    """Writes one piece at each `go.release()`: the given pieces, or "on " without end."""

    def __init__(self, *pieces: str) -> None:
        super().__init__()
        self.pieces = pieces
        self.go = threading.Semaphore(0)

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        left = list(self.pieces)
        try:
            while self.go.acquire(timeout=WAIT_S):
                yield left.pop(0) if left else "on "
                if self.pieces and not left:
                    yield GenerationEnd()
                    return
        finally:
            self.closed += 1


class HeldEngine(Scripted):
    """Yields its items, waits for `go`, and crashes."""

    def __init__(self, *items: PrefillProgress | str) -> None:
        super().__init__()
        self.items = items
        self.go = threading.Event()

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        yield from self.items
        self.go.wait(WAIT_S)
        raise EngineCrashed("llama.cpp ended with signal 9.")


class CrashingEngine(Scripted):
    """Crashes in its first reply; the others are scripted."""

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        if not self.prompts:
            self.prompts.append("")
            yield "Well, "
            raise EngineCrashed("llama.cpp ended with signal 11.")
        yield from super().generate(written, grammar, sampling)
