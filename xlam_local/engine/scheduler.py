"""Write several replies at once: each step decodes the next tokens of all of them in one batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from operator import attrgetter

from ..errors import Cancelled, XlamError
from ..types import GenerationEnd, Notice, PrefillProgress, TokenLogprobs
from .llama_context import DecodeRequest, LlamaContext, LlamaSequence
from .sequence_pool import SequencePool
from .speculative import NEW_VALUE_WEIGHT, BatchCosts

PROMPT_STEP_S = 0.25
"""How long parts of prompts may delay a step while other replies are being written."""
MIN_PROMPT_PART_TOKENS = 8
MEASURED_PROMPT_TOKENS = 16
"""From how many tokens of prompts on a step shows how long one of them takes."""

Item = PrefillProgress | str | TokenLogprobs | Notice | GenerationEnd
TEXT = (str, TokenLogprobs)
"""The items that are not passed on after a reply was asked to finish."""
ReplySteps = Generator[Item | DecodeRequest, None, None]
"""Yields the items of a reply, and requests; it is resumed when they are decoded."""


class FinishReply(Exception):
    """Thrown into a reply that is to end early."""


class Reply:
    """A reply that a scheduler writes. `write` is called with its sequence when it begins."""

    def __init__(self, prompt: Sequence[int], write: Callable[[LlamaSequence], ReplySteps]) -> None:
        self.prompt = prompt
        """The tokens of the prompt."""
        self.error: BaseException | None = None
        """What ended the reply, if anything went wrong."""
        self.ended = False
        self.cancelled = False
        """Whether the reply is to end before the next step. Any thread may set this."""
        self.finishing = False
        """Whether the reply is to end early, with a GenerationEnd. Any thread may set this."""
        self._write = write
        self._items: deque[Item] = deque()
        self._steps: ReplySteps | None = None
        self.sequence: LlamaSequence | None = None
        self.request: DecodeRequest | None = None
        """What the reply waits for."""
        self.decoded_in = 0
        """The last step that decoded tokens of this reply."""

    @property
    def reads_prompt(self) -> bool:
        """Whether tokens of the prompt are still to be decoded."""
        return self.request is not None and self.request.of_prompt

    def take_items(self) -> list[Item]:
        """Return the items since the last call; after `finishing` was set, no more text."""
        items = [item for item in self._items if not (self.finishing and isinstance(item, TEXT))]
        self._items.clear()
        return items

    def begin(self, sequence: LlamaSequence) -> None:
        """Begin to write into a sequence, up to the first request."""
        self.sequence = sequence
        self._steps = self._write(sequence)
        self.resume()

    def resume(self, error: Exception | None = None) -> None:
        """Write until the next request or the end; an error is raised where the reply waits."""
        assert self._steps is not None
        self.request = None
        try:
            item = next(self._steps) if error is None else self._steps.throw(error)
            while not isinstance(item, DecodeRequest):
                self._items.append(item)
                item = next(self._steps)
            self.request = item
        except StopIteration:
            self.ended = True
        except Exception as failure:
            self.end(failure)

    def end(self, error: BaseException | None = None) -> None:
        """End the reply where it is; what was decoded stays in the sequence."""
        if self._steps is not None:
            self._steps.close()
        self.error, self.ended, self.request = error, True, None


class Scheduler:
    """Writes replies into the sequences of a context, in the order of their requests.

    Each step decodes first what replies write: single tokens and spans that their grammars force.
    Parts of prompts fill the rest of the batch, within a limit, so that a long prompt does not
    stop the replies that are being written.
    """

    def __init__(
        self, context: LlamaContext, pool: SequencePool, costs: BatchCosts, adapt: bool
    ) -> None:
        self._context = context
        self._pool = pool
        self._costs = costs
        self._adapt = adapt
        """Whether as many replies are written at once as have the best measured throughput."""
        self._waiting: deque[Reply] = deque()
        self._running: list[Reply] = []
        self._in_batch: Sequence[Reply] = ()
        """The replies whose tokens are being decoded now."""
        self._prompt_token_s = 0.0
        """Moving average of the seconds that one token of a prompt takes; 0 if not measured."""

    @property
    def running(self) -> int:
        """How many replies are being written."""
        return len(self._running)

    @property
    def busy(self) -> bool:
        """Whether any reply is being written or waits."""
        return bool(self._running or self._waiting)

    def submit(self, reply: Reply) -> None:
        """Add a reply; it begins as soon as a sequence is free."""
        self._waiting.append(reply)

    def cancel(self, reply: Reply) -> None:
        """End a reply before the next step. Any thread may call this.

        The running step is aborted if it decodes for cancelled replies only.
        """
        reply.cancelled = True
        if all(other.cancelled for other in self._in_batch):
            self._context.abort_flag.set()

    def cancel_all(self) -> None:
        """End all replies before the next step. Any thread may call this."""
        for reply in [*self._waiting, *self._running]:
            self.cancel(reply)

    def step(self) -> list[Reply]:
        """Decode one batch; return the replies that were running, with their new items.

        An error in one reply ends it and no other. If llama.cpp fails, all replies of the batch
        end.
        """
        self._context.abort_flag.clear()
        dropped = self._drop_cancelled()
        for reply in self._running:
            if reply.finishing and not reply.reads_prompt:
                reply.resume(FinishReply())
        self._admit()
        advanced = list(self._running)
        batch = self._form_batch()
        if batch:
            self._decode(batch)
        for reply in advanced:
            if reply.ended:
                self._remove(reply)
        return [*dropped, *advanced]

    def drop(self, reply: Reply) -> None:
        """End a reply immediately, as if it had never been requested."""
        if reply in self._waiting:
            self._waiting.remove(reply)
        reply.end(Cancelled("The reply was cancelled."))
        self._remove(reply)

    def drop_all(self) -> None:
        """End all replies immediately; their sequences become idle and keep what was decoded."""
        for reply in [*self._waiting, *self._running]:
            self.drop(reply)

    def _drop_cancelled(self) -> list[Reply]:
        cancelled = [reply for reply in [*self._waiting, *self._running] if reply.cancelled]
        for reply in cancelled:
            self.drop(reply)
        return cancelled

    def _admit(self) -> None:
        """Begin the replies that wait, in their order, while there are sequences for them."""
        while self._waiting and self.running < self._most_replies():
            reply = self._waiting[0]
            being_read = [other.prompt for other in self._running if other.reads_prompt]
            sequence = self._pool.acquire(reply.prompt, being_read)
            if sequence is None:
                return
            self._running.append(self._waiting.popleft())
            reply.begin(sequence)

    def _most_replies(self) -> int:
        count = len(self._context.sequences)
        return self._costs.best_size(count) if self._adapt else count

    def _form_batch(self) -> list[tuple[Reply, DecodeRequest]]:
        """Return what the next step decodes; those that waited longest come first."""
        batch: list[tuple[Reply, DecodeRequest]] = []
        free = self._context.batch_size
        order = sorted(self._running, key=attrgetter("decoded_in"))
        for reply in order:
            request = reply.request
            if request and not request.of_prompt and len(request.tokens) <= free:
                batch.append((reply, request))
                free -= len(request.tokens)
        free = min(free, self._prompt_limit(beside_writing=bool(batch)))
        for reply in order:
            request = reply.request
            if request and request.of_prompt and free > 0:
                if len(request.tokens) > free:
                    request = replace(request, tokens=request.tokens[:free], outputs=0)
                batch.append((reply, request))
                free -= len(request.tokens)
        return batch

    def _prompt_limit(self, beside_writing: bool) -> int:
        """Return how many tokens of prompts a step may decode."""
        most = self._context.prefill_size
        if not beside_writing or not self._prompt_token_s:
            return most
        return min(most, max(MIN_PROMPT_PART_TOKENS, int(PROMPT_STEP_S / self._prompt_token_s)))

    def _decode(self, batch: Sequence[tuple[Reply, DecodeRequest]]) -> None:
        self._in_batch = [reply for reply, _ in batch]
        try:
            seconds = self._context.decode([request for _, request in batch])
        except Cancelled:
            # The next step drops the cancelled replies; the others wait for the same tokens.
            return
        except XlamError as error:
            for reply, _ in batch:
                reply.resume(error)
            return
        finally:
            self._in_batch = ()
        self._record([request for _, request in batch], seconds)
        for reply, request in batch:
            reply.decoded_in = self._context.steps
            assert reply.request is not None
            if rest := reply.request.tokens[len(request.tokens) :]:
                reply.request = replace(reply.request, tokens=rest)
            else:
                reply.resume()

    def _record(self, batch: Sequence[DecodeRequest], seconds: float) -> None:
        size = sum(len(request.tokens) for request in batch)
        of_prompts = sum(len(request.tokens) for request in batch if request.of_prompt)
        if not of_prompts:
            self._costs.record(size, seconds)
        elif of_prompts >= MEASURED_PROMPT_TOKENS:
            average = self._prompt_token_s or seconds / size
            self._prompt_token_s = average + NEW_VALUE_WEIGHT * (seconds / size - average)

    def _remove(self, reply: Reply) -> None:
        """Mark the sequence of a reply that has ended as idle."""
        if reply in self._running:
            self._running.remove(reply)
            assert reply.sequence is not None
            self._pool.release(reply.sequence)
