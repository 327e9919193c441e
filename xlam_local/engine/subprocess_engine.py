"""An engine that runs llama.cpp in a child process.

If llama.cpp crashes or runs out of memory, only the current reply is lost.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import prompt
from ..errors import EngineCrashed, OutOfMemory
from ..grammar import Enforced
from ..hardware import compute_cores
from ..types import (
    GenerationEnd,
    Heartbeat,
    LoadProgress,
    Notice,
    PrefillProgress,
    Prompt,
    PromptPart,
    Sampling,
    TokenLogprobs,
)
from .grammar_text import GrammarSerializer, GrammarText
from .load_options import AdapterOption, LoadOptions, adapters_to_json
from .token_count_cache import TokenCountCache
from .worker_process import POLL_S, SHUTDOWN_TIMEOUT_S, WorkerProcess
from .worker_protocol import Json, is_last, item_from_json, prompt_to_json, raise_error

LOAD_NUMBER = 0
"""The number of the request to load the model."""
HANG_TIMEOUT_S = 300.0
"""How long the process may be silent before it is stopped."""

Generation = Generator[
    PrefillProgress | str | TokenLogprobs | Notice | Heartbeat | GenerationEnd, bool | None, None
]


class SubprocessEngine:
    """A model loaded in a child process.

    It has the methods of `LocalEngine`. Several threads may call `count` and `generate` at once:
    `sequences` replies are written side by side, others wait in their order. If the process ends
    before any text of a reply has arrived, it is restarted and the request is repeated; otherwise
    the next request restarts it.
    """

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        log: Path | None = None,
        hang_timeout_s: float = HANG_TIMEOUT_S,
    ) -> None:
        self.planned_device = ""
        """Where the model computes, as a phrase; set by the caller that made the plan."""
        self._threads = 0
        """The threads that computed the last token; 0 if unknown."""
        self.hang_timeout_s = hang_timeout_s
        self._path = path
        self._options = options
        self._log = log
        self._serializer = GrammarSerializer(options.grammar_backend, self._is_xlam)
        self._worker: WorkerProcess | None = None
        self._token_counts = TokenCountCache()
        self._request_number = 0
        self._sent_grammar: GrammarText | None = None
        """The grammar that the process received last."""
        self._send_lock = threading.Lock()
        self._start_lock = threading.Lock()
        """Held while the process is started again."""
        self._model_info: Json = {}
        self._notices: list[Notice] = []
        """Notices to yield with the next reply."""

    @classmethod
    def load(
        cls, path: Path, options: LoadOptions = LoadOptions(), log: Path | None = None
    ) -> SubprocessEngine:
        """Load a GGUF file and wait until it is loaded.

        Raises:
            EngineCrashed: the process ended.
            XlamError: as `LocalEngine.load`.
        """
        engine = cls(path, options, log)
        for _ in engine.start():
            pass
        return engine

    def start(self) -> Generator[LoadProgress, None, None]:
        """Start the process and load the model. To cancel, close the generator.

        Raises:
            EngineCrashed: the process ended.
            XlamError: as `LocalEngine.load`.
        """
        worker = WorkerProcess(self._log)
        # This also ends the process of an engine that was not closed.
        self._finalizer = weakref.finalize(self, worker.close, SHUTDOWN_TIMEOUT_S)
        done = 0.0
        try:
            worker.open(LOAD_NUMBER)
            load = {"load": str(self._path), "options": self._options.to_json()}
            worker.send(load, self.hang_timeout_s)
            with self._send_lock:
                self._worker, self._sent_grammar = worker, None
            while not self._loaded(message := worker.receive(LOAD_NUMBER, self.hang_timeout_s)):
                done = message["loading"] if message else done
                yield LoadProgress(done)
        except EngineCrashed as error:
            self.close()
            if error.killed:
                raise OutOfMemory(f"{error} Loading may need more memory than there is.") from error
            raise
        except BaseException:
            self.close(wait_s=0.0)
            raise

    def _loaded(self, message: Json | None) -> bool:
        if message is None:
            return False
        raise_error(message)
        self._model_info = message.get("loaded", self._model_info)
        return "loaded" in message

    def close(self, wait_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        """End the process; it has `wait_s` seconds to save the prompt cache."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close(wait_s)
            self._finalizer.detach()

    @property
    def name(self) -> str:
        """The model's name from its file."""
        return str(self._model_info["name"])

    @property
    def context_size(self) -> int:
        """Tokens of context of each reply."""
        return int(self._model_info["context_size"])

    @property
    def sequences(self) -> int:
        """How many replies are written at once; others wait."""
        return self._options.sequences

    @property
    def prompt_format(self) -> prompt.PromptFormat:
        """How the model's prompts are written."""
        return prompt.format_from_json(self._model_info["prompt_format"])

    def _is_xlam(self) -> bool:
        return isinstance(self.prompt_format, prompt.Family)

    @property
    def device(self) -> str:
        """Where the model computes, as a phrase, with the threads in use if they are fewer."""
        if self._options.threads or not 0 < self._threads < compute_cores():
            return self.planned_device
        return f"{self.planned_device}, {self._threads} in use"

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._path

    @property
    def adapters(self) -> tuple[AdapterOption, ...]:
        """The LoRA adapters that change the model."""
        return self._options.adapters

    @property
    def pid(self) -> int | None:
        """The process ID, or None if no process is running."""
        return self._worker.pid if self._worker else None

    @property
    def memory(self) -> int:
        """Bytes of resident memory of the process; 0 if none is running."""
        return self._worker.memory if self._worker else 0

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt.

        Only parts that were not counted before are sent to the process, which is restarted if it
        has ended.
        """
        return self._token_counts.count(prompts, self._count_parts)

    def set_adapters(self, adapters: Sequence[AdapterOption]) -> None:
        """Change the model by these LoRA adapters from now on; none is the model itself.

        The engine then reads all prompts again.

        Raises:
            UsageError: a reply is being written.
            ModelError: llama.cpp cannot load an adapter; those from before stay.
        """
        for _ in self._ensure_running():
            pass
        answer = self._request({"adapters": adapters_to_json(adapters)})
        self._model_info = answer["loaded"]
        self._options = replace(self._options, adapters=tuple(adapters))

    def _count_parts(self, parts: Sequence[PromptPart]) -> list[int]:
        for _ in self._ensure_running():
            pass
        request = {"count": [prompt_to_json((part,)) for part in parts]}
        worker = self._worker
        try:
            return self._request_counts(request)
        except EngineCrashed as error:
            for _ in self._restart(error, worker):
                pass
            self._notices.append(_restarted(error))
            return self._request_counts(request)

    def _request_counts(self, request: Json) -> list[int]:
        return list(self._request(request)["counts"])

    def _request(self, request: Json) -> Json:
        """Send a request that has one answer, and return it."""
        worker = self._loaded_worker()
        with self._send_lock:
            number = self._open(worker)
            worker.send({**request, "number": number}, self.hang_timeout_s)
        try:
            while (answer := worker.receive(number, self.hang_timeout_s)) is None:
                pass
        finally:
            worker.forget(number)
        raise_error(answer)
        return answer

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Generate as `LocalEngine.generate` does.

        A Heartbeat is yielded while nothing arrives, and a Notice if the process was restarted.

        Raises:
            EngineCrashed: the process ended in the middle of the reply, or twice before it.
        """
        reply = _ReplyRequest(prompt, self._serializer.serialize(grammar), sampling)
        yield from self._ensure_running()
        worker = self._worker
        try:
            yield from self._take_notices()
            yield from self._request_reply(reply)
        except EngineCrashed as error:
            if reply.text_received or self._worker is None:
                raise
            yield from self._restart(error, worker)
            yield _restarted(error)
            yield from self._request_reply(reply)

    def _ensure_running(self) -> Iterator[Heartbeat]:
        """Restart the process if it has ended."""
        worker = self._worker
        if worker is None or worker.pid is None:
            reason = "llama.cpp had stopped."
            yield from self._restart(reason, worker)
            self._notices.append(_restarted(reason))

    def _restart(self, reason: object, ended: WorkerProcess | None) -> Iterator[Heartbeat]:
        """Replace a process that has ended, unless another thread has done so."""
        while not self._start_lock.acquire(timeout=POLL_S):
            yield Heartbeat()
        try:
            if self._worker is ended:
                if ended is not None:
                    ended.close(wait_s=0.0)
                    self._finalizer.detach()
                for _ in self.start():
                    yield Heartbeat()
        finally:
            self._start_lock.release()

    def _take_notices(self) -> Iterator[Notice]:
        while self._notices:
            yield self._notices.pop(0)

    def _request_reply(self, reply: _ReplyRequest) -> Generation:
        worker = self._loaded_worker()
        with self._send_lock:
            number = self._open(worker)
            worker.send(
                {
                    "number": number,
                    "generate": prompt_to_json(reply.prompt),
                    "grammar": self._grammar_to_send(reply.grammar),
                    "sampling": asdict(reply.sampling),
                },
                self.hang_timeout_s,
            )
        ended = finishing = False
        try:
            while not ended:
                message = worker.receive(number, self.hang_timeout_s)
                ended = is_last(message)
                raise_error(message or {})
                item = item_from_json(message) if message else Heartbeat()
                if isinstance(item, GenerationEnd):
                    self._threads = item.threads
                if isinstance(item, str):
                    reply.text_received = True
                if finishing and not ended:
                    continue
                if (yield item):
                    finishing = True
                    self._send_quietly(worker, {"finish": number})
        finally:
            worker.forget(number)
            if not ended:
                self._send_quietly(worker, {"cancel": number})

    def _grammar_to_send(self, grammar: GrammarText | None) -> Json | bool | None:
        """Return a grammar for a message; True is the one that the process received last."""
        if grammar is None:
            return None
        if grammar == self._sent_grammar:
            return True
        self._sent_grammar = grammar
        return asdict(grammar)

    def _loaded_worker(self) -> WorkerProcess:
        if self._worker is None:
            raise EngineCrashed("The model was unloaded.")
        return self._worker

    def _open(self, worker: WorkerProcess) -> int:
        """Return the number of a new request, which the answers to it repeat."""
        self._request_number += 1
        worker.open(self._request_number)
        return self._request_number

    def _send_quietly(self, worker: WorkerProcess, message: Json) -> None:
        with self._send_lock, suppress(EngineCrashed):
            worker.send(message, self.hang_timeout_s)


@dataclass
class _ReplyRequest:
    """What a reply is asked for with, and whether any of its text has arrived."""

    prompt: Prompt
    grammar: GrammarText | None
    sampling: Sampling
    text_received: bool = False


def _restarted(reason: object) -> Notice:
    return Notice(f"{reason} It was restarted.")
