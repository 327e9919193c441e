"""The decoding loop: sample tokens under a constraint until a reply ends."""

from __future__ import annotations

import codecs
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import GrammarError
from ..grammar import CallDetector
from ..types import PromptPart, Sampling
from .call_closer import CallCloser
from .constraint import Constraint
from .llama_context import DecodeRequest, Logits
from .llama_model import LlamaModel
from .more_calls import MoreCalls
from .sampling import apply_repeat_penalty, sample, sample_side, truncates
from .speculative import Decoding, PromptLookupDecoder

CLOSING_TOKENS = 64
"""Tokens reserved at the end of the limit to close a call."""
DEAD_END = "The grammar allows no further token."


@dataclass(slots=True)
class CallSwitch:
    """How a reply changes from free text to calls."""

    prompt: Sequence[int]
    """The tokens before the reply."""
    detector: CallDetector
    """Receives the text, and finds where calls begin."""
    constraint: Callable[[], Constraint]
    """Returns the grammar of the calls."""
    tag_tokens: frozenset[int]
    """Control tokens that models write before calls."""
    keeps_markup: bool
    """Whether tags and code fences before the calls stay in the sequence, so that the model goes on
    as it began. They are not part of the reply."""


class ReplyWriter:
    """Writes one reply of at most `sampling.max_tokens` tokens.

    With `switch`, the reply is text until the model begins calls. The tokens of that beginning are
    taken back, and the calls are written within their grammar, in its own spelling. With
    `more_calls`, the constraint is the grammar of a list of calls, to which more can be added.
    """

    def __init__(
        self,
        model: LlamaModel,
        decoder: PromptLookupDecoder,
        constraint: Constraint,
        sampling: Sampling,
        fast_forward: bool,
        switch: CallSwitch | None = None,
        more_calls: MoreCalls | None = None,
    ) -> None:
        self._model = model
        self._decoder = decoder
        self._constraint = constraint
        self._sampling = sampling
        self._max_tokens = sampling.max_tokens
        self._fast_forward = fast_forward
        self._logs_tokens = sampling.logprobs is not None
        """Whether tokens are decoded before their text is yielded, because they are logged."""
        self._switch = switch
        self._more_calls = more_calls
        self._constrained_text = ""
        """The text that was written within the constraint, without any before a switch."""
        self._refused: int | None = None
        """The token that was sampled last before the grammar was applied, if it was not allowed."""
        self._random = np.random.default_rng(sampling.seed)
        self._first_tokens: list[int] = []
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._sampling_s = 0.0
        """Seconds that the grammar has taken for the current token, without fast-forward."""
        self.grammar_seconds: list[float] = []
        """The seconds that the grammar took, for each sampled token."""
        self.count = 0
        """Tokens written."""
        self.truncated = False
        """Whether the limit ended the reply."""
        self.in_calls = False
        """Whether the reply changed from text to calls."""

    def forced_start(self) -> list[int]:
        """Return the tokens that the grammar forces first, to be decoded with the prompt."""
        if self._switch is not None:
            return []
        self._first_tokens = self._forced_tokens()[: self._max_tokens]
        if self._logs_tokens:
            return []  # Their logits are needed, so `write` decodes them.
        return self._first_tokens if self._continues(len(self._first_tokens)) else []

    def write(
        self, call_closer: Callable[[], CallCloser]
    ) -> Generator[str | DecodeRequest, None, None]:
        """Yield the text until the reply ends, and requests to decode tokens.

        `forced_start` must have been called, and its tokens decoded. `call_closer` is called if
        the limit is near and a call is unfinished.
        """
        if self._switch is not None and not (yield from self._write_text(self._switch)):
            return
        new, decoded = self._first_tokens, self.in_calls or not self._logs_tokens
        while True:
            new = new[: self._max_tokens - self.count]
            self.count += len(new)
            continues = self._continues(self.count)
            self.truncated |= not (continues or self._constraint.finished())
            text = self._decode_text(new, final=not continues)
            self._constrained_text += text
            unread = [] if decoded else new
            if self._logs_tokens:
                yield from self._decoder.read(unread, self._constraint)
                unread = []
            if text:
                yield text
            if not continues:
                return
            yield from self._decoder.read(unread, self._constraint)
            decoded = False
            token = self._next_token(call_closer)
            if token in self._model.end_tokens:
                if text := self._decode_text([], final=True):
                    yield text
                return
            new = [token, *self._forced_tokens()]
            if self._closes_list(new) and (added := (yield from self._add_call(new))):
                new, decoded = added, True

    def _write_text(self, switch: CallSwitch) -> Generator[str | DecodeRequest, None, bool]:
        """Yield text until the reply ends or calls begin; return whether they begin."""
        detector, tokens, text_ends = switch.detector, list[int](), list[int]()
        while self._continues(self.count):
            token = self._sample_text(switch)
            if token in self._model.end_tokens:
                break
            if token in switch.tag_tokens:
                detector.opening = len(detector.text)
            else:
                tokens.append(token)
                self.count += 1
                if self._logs_tokens:
                    yield from self._decoder.read([token], self._constraint)
                text = detector.feed(self._decode_text([token], final=False))
                text_ends.append(len(detector.text))
                if text:
                    yield text
            if detector.opening is not None:
                tag = [token] if token in switch.tag_tokens else []
                yield from self._begin_calls(switch, tokens, text_ends, tag)
                return True
            if not self._logs_tokens:
                yield from self._decoder.read([token], self._constraint)
        self.truncated = self.count >= self._max_tokens
        rest = detector.feed(self._decode_text([], final=True)) + detector.flush()
        if rest:
            yield rest
        return False

    def _sample_text(self, switch: CallSwitch) -> int:
        """Sample a token of the text, or a control token that models write before calls."""
        if switch.detector.at_start:
            first = self._first_token(switch)
            if first in switch.tag_tokens or self._accept(first):
                return first
        elif switch.tag_tokens:
            best = int(self._logits().argmax())
            if best in switch.tag_tokens:
                return best
        return self._sample()

    def _first_token(self, switch: CallSwitch) -> int:
        """Decide between calls and text, and sample a token that begins them.

        Models open calls in several spellings, which divide the probability of a call. Below
        temperature 1, a token of text would therefore be sampled too often.
        """

        def may_open_calls(token: int) -> bool:
            text = self._model.token_bytes(token).decode(errors="replace")
            return token in switch.tag_tokens or switch.detector.may_open_calls(text)

        sampling, random = self._sampling, self._random
        side = sample_side(self._logits(), may_open_calls, sampling.temperature, random)
        return sample(side, sampling, random)

    def _begin_calls(
        self,
        switch: CallSwitch,
        tokens: Sequence[int],
        text_ends: Sequence[int],
        tag: Sequence[int],
    ) -> Decoding:
        """Take back the tokens from the opening of the calls on, and begin their grammar.

        `text_ends` are the lengths of the text up to the end of each of the `tokens`. `tag` is the
        control token that begins the calls, if they begin so.
        """
        opening = switch.detector.opening
        assert opening is not None
        detector, kept = switch.detector, bisect_right(text_ends, opening)
        # The opening may begin inside a token.
        rest = detector.text[text_ends[kept - 1] if kept else 0 : opening]
        text = [*tokens[:kept], *self._model.tokenize((PromptPart(rest),))]
        markup: list[int] = []
        if switch.keeps_markup and tag:
            markup = [*tag, *self._model.tokenize((PromptPart("\n"),))]  # as in the instructions
        elif switch.keeps_markup:
            markup = self._markup(detector, tokens, text_ends, kept)
        markup = markup[: self._max_tokens - len(text)]
        self._constraint, self.in_calls = switch.constraint(), True
        self.count = len(text) + len(markup)
        self._first_tokens = self._forced_tokens()[: self._max_tokens - self.count]
        yield from self._decoder.replace([*switch.prompt, *text], markup, self._first_tokens)

    def _markup(
        self,
        detector: CallDetector,
        tokens: Sequence[int],
        text_ends: Sequence[int],
        kept: int,
    ) -> list[int]:
        """Return the tokens of the markup before the calls, as they were written if possible.

        `kept` is the number of `tokens` before the markup.
        """
        assert detector.opening is not None
        start, end = detector.opening, detector.opening + len(detector.markup)
        if start != (text_ends[kept - 1] if kept else 0):
            return self._model.tokenize((PromptPart(detector.markup),))
        last = bisect_right(text_ends, end)
        rest = detector.text[text_ends[last - 1] if last else 0 : end]
        return [*tokens[kept:last], *self._model.tokenize((PromptPart(rest),))]

    def _closes_list(self, new: Sequence[int]) -> bool:
        """Return whether tokens close a list of calls, with enough of the limit for another."""
        may_add = self._more_calls is not None and self._constraint.finished()
        return may_add and self._max_tokens - self.count - len(new) >= 2 * CLOSING_TOKENS

    def _add_call(self, new: Sequence[int]) -> Generator[DecodeRequest, None, list[int]]:
        """Return the tokens that add a call instead of closing the list; none close it."""
        assert self._more_calls is not None
        closed = b"".join(map(self._model.token_bytes, new)).decode(errors="replace")
        text = self._constrained_text + closed
        return (yield from self._more_calls.add(self._constraint, new, text, self._refused))

    def _continues(self, count: int) -> bool:
        return count < self._max_tokens and not self._constraint.finished()

    def _decode_text(self, tokens: Sequence[int], final: bool) -> str:
        data = b"".join(map(self._model.token_bytes, tokens))
        return self._utf8.decode(data, final)

    def _forced_tokens(self) -> list[int]:
        started = time.perf_counter()
        tokens = self._constraint.fast_forward() if self._fast_forward else []
        self.grammar_seconds.append(self._sampling_s + time.perf_counter() - started)
        self._sampling_s = 0.0
        return tokens

    def _next_token(self, call_closer: Callable[[], CallCloser]) -> int:
        closing_from = self._max_tokens - min(CLOSING_TOKENS, self._max_tokens // 2)
        if self.count < closing_from or self._constraint.accepting():
            return self._sample()
        self.truncated = True
        return self._close(call_closer())

    def _sample(self) -> int:
        """Sample a token that the grammar allows, and advance the grammar by it.

        First a token is sampled without the mask, as checking one token is cheap. If it is
        allowed, the distribution is the same as with the mask, unless top_k, top_p or min_p
        exclude tokens: then the mask must be applied first.
        """
        logits, self._refused = self._logits(), None
        if self._sampling.temperature == 0 or not truncates(self._sampling):
            token = sample(logits, self._sampling, self._random)
            if self._accept(token):
                return token
            self._refused = token
        started = time.perf_counter()
        masked = self._constraint.mask_logits(logits)
        self._sampling_s += time.perf_counter() - started
        token = sample(masked, self._sampling, self._random)
        if masked[token] == -np.inf or not self._accept(token):
            raise GrammarError(DEAD_END)
        return token

    def _close(self, call_closer: CallCloser) -> int:
        """Choose an allowed token that closes the call, and advance the grammar by it."""
        masked = self._constraint.mask_logits(self._logits())
        token = call_closer.next_token(masked)
        if not self._constraint.accept(token):
            raise GrammarError(DEAD_END)
        return token

    def _logits(self) -> Logits:
        logits = self._decoder.logits()
        if self._sampling.repeat_penalty == 1:
            return logits
        return apply_repeat_penalty(logits, self._decoder.accepted_tokens(), self._sampling)

    def _accept(self, token: int) -> bool:
        started = time.perf_counter()
        accepted = self._constraint.accept(token)
        self._sampling_s += time.perf_counter() - started
        return accepted
