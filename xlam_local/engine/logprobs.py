"""Log probabilities of the tokens of a reply, where a request asks for them.

They are those of the model alone: the softmax of all its logits, before temperature, penalties and
grammar. Tokens that a grammar forces are decoded like all others, so they have theirs too.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from ..types import PrefillProgress, TokenLogprob, TokenLogprobs
from .constraint import Constraint
from .llama_context import DecodeRequest, LlamaContext, LlamaSequence, Logits
from .llama_model import LlamaModel
from .sampling import most_likely
from .speculative import BatchCosts, Decoding, PromptLookupDecoder, common_prefix_length

MAX_OUTPUTS = 32
"""Tokens whose logits are computed at once; each takes memory for the whole vocabulary."""
MIN_LOGPROB = -9999.0
"""The least log probability, as in OpenAI's API: JSON has no infinity."""


class TokenLog:
    """The tokens of a reply with their log probabilities, and `alternatives` others each."""

    def __init__(self, model: LlamaModel, alternatives: int) -> None:
        self._model = model
        self._alternatives = alternatives
        self._tokens: list[TokenLogprob] = []
        self._text_ends: list[int] = []
        """How many characters the text has up to the end of each token."""
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._taken = 0
        """How many tokens were passed on."""
        self._shown = 0
        """How many characters of the text were passed on."""

    def add(self, token: int, logits: Logits) -> None:
        """Add the next token; `logits`, shape (vocab_size,), are those that it was chosen from."""
        best = logits.max()
        total = float(best) + float(np.log(np.exp(logits - best).sum(dtype=np.float64)))
        likely = most_likely(logits, self._alternatives) if self._alternatives else ()
        alternatives = tuple(self._measured(int(other), logits, total) for other in likely)
        self._append(self._measured(token, logits, total, alternatives))

    def add_first(self, token: int) -> None:
        """Add the first token of a prompt, before which there are no logits."""
        self._append(TokenLogprob(self._bytes(token), None))

    def take_prompt(self) -> TokenLogprobs:
        """Return all tokens so far, which are a whole prompt."""
        self._taken, self._shown = len(self._tokens), self._text_ends[-1]
        return TokenLogprobs(tuple(self._tokens))

    def truncate(self, count: int) -> None:
        """Keep the first `count` tokens."""
        kept = self._tokens[:count]
        self._tokens, self._text_ends = [], []
        self._utf8.reset()
        for token in kept:
            self._append(token)

    def with_text(self, text: str) -> Iterator[TokenLogprobs | str]:
        """Yield the tokens up to the end of a text that is passed on, and then the text."""
        self._shown += len(text)
        last = len(self._tokens)
        while last > self._taken and self._text_ends[last - 1] > self._shown:
            last -= 1
        if tokens := self._tokens[self._taken : last]:
            yield TokenLogprobs(tuple(tokens))
        self._taken = max(last, self._taken)
        yield text

    def _append(self, token: TokenLogprob) -> None:
        before = self._text_ends[-1] if self._text_ends else 0
        self._tokens.append(token)
        self._text_ends.append(before + len(self._utf8.decode(token.data)))

    def _measured(
        self,
        token: int,
        logits: Logits,
        total: float,
        alternatives: tuple[TokenLogprob, ...] = (),
    ) -> TokenLogprob:
        """Return a token; `total` is the logarithm of the sum of all weights."""
        logprob = max(float(logits[token]) - total, MIN_LOGPROB)
        return TokenLogprob(self._bytes(token), logprob, alternatives)

    def _bytes(self, token: int) -> bytes:
        """Return the text of a token; of a control token, its name."""
        return self._model.token_bytes(token) or self._model.token_text(token).encode()


class LogprobDecoder(PromptLookupDecoder):
    """Decodes without drafts, and logs each token that comes after the prompt."""

    def __init__(
        self,
        context: LlamaContext,
        sequence: LlamaSequence,
        costs: BatchCosts,
        log: TokenLog,
        prompt_length: int,
    ) -> None:
        super().__init__(context, sequence, costs, speculative=False)
        self._log = log
        self._prompt_length = prompt_length
        """The tokens of the sequence that are not in the log."""

    def read_prompt(
        self, tokens: Sequence[int]
    ) -> Generator[PrefillProgress | TokenLogprobs | DecodeRequest, None, None]:
        """Decode a prompt, of which the sequence holds nothing, and yield its tokens."""
        self._log.add_first(tokens[0])
        yield PrefillProgress(0, len(tokens))
        yield from self._decode_and_log(tokens)
        yield PrefillProgress(len(tokens), len(tokens))
        yield self._log.take_prompt()
        self._prompt_length = 0

    def read(self, tokens: Sequence[int], constraint: Constraint) -> Decoding:
        """Append tokens that the grammar has accepted; `logits` are then those after the last."""
        if tokens:
            self._log.add(tokens[0], self.logits())
        yield from self._decode_and_log(tokens)

    def replace(
        self, tokens: Sequence[int], hidden: Sequence[int] = (), after: Sequence[int] = ()
    ) -> Decoding:
        """Make these all that is in the sequence; `logits` are then those after the last.

        `hidden` tokens are not logged, and no token before them is replaced later.
        """
        common = common_prefix_length(tokens, self._sequence.tokens)
        self._log.truncate(common - self._prompt_length)
        # The logits after the last common token were not kept, so it is decoded again.
        self._sequence.truncate(common - 1)
        yield from self._decode(tokens[len(self._sequence.tokens) : common - 1])
        yield from self._decode_and_log(tokens[common - 1 :])
        yield from self._decode(hidden)
        self._prompt_length += len(hidden)
        if after:
            self._log.add(after[0], self.logits())
        yield from self._decode_and_log(after)

    def cut(self, count: int) -> Decoding:
        """Keep the first `count` tokens; `logits` are then those after the last."""
        yield from self.replace(self._sequence.tokens[:count])

    def _decode_and_log(self, tokens: Sequence[int]) -> Decoding:
        """Decode tokens, and log all but the first."""
        size = min(self._context.batch_size, MAX_OUTPUTS)
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            yield DecodeRequest(self._sequence, part, outputs=len(part))
            following = tokens[start + 1 : start + 1 + len(part)]
            for place, token in enumerate(following, 1):
                self._log.add(token, self._sequence.logits(back=len(part) - place))


def with_logprobs(
    reply: Generator[str | DecodeRequest, None, None], log: TokenLog
) -> Generator[str | TokenLogprobs | DecodeRequest, None, None]:
    """Yield what a reply yields, and before each text the log probabilities of its tokens."""
    with closing(reply):
        for item in reply:
            if isinstance(item, DecodeRequest):
                yield item
            else:
                yield from log.with_text(item)
