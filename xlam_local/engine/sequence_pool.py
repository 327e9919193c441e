"""Choose the sequence for each prompt, so that as few of its tokens as possible are read again.

The beginning of a prompt may be in any sequence of the context, or in the on-disk prompt cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import IntegrityError, XlamError
from ..types import Notice
from .llama_context import LlamaContext, LlamaSequence
from .prompt_cache import PromptCache
from .speculative import common_prefix_length

MIN_SHARED_TOKENS = 64
"""How many more tokens an entry on disk must save than the sequences in memory."""
MIN_AWAITED_TOKENS = 8
"""How many more tokens it must save to wait until another reply has read its prompt."""
MIN_SAVED_TOKENS = 256
"""How many tokens a sequence must have to be saved, and how many of them must be new."""


class SequencePool:
    """The sequences of a context: those that replies use, and idle ones.

    An idle sequence keeps its tokens until another prompt needs it, the least recently used one
    first. `cache` is the on-disk cache; None uses the sequences in memory only.
    """

    def __init__(self, context: LlamaContext, cache: PromptCache | None) -> None:
        self._context = context
        self._cache = cache
        self._resting = list(context.sequences)
        """Sequences that no reply uses, the least recently used one first."""
        self._notices: list[str] = []
        """Problems with the disk cache that were not reported yet."""
        self._can_save = True
        self._saved_tokens = dict.fromkeys(context.sequences, 0)
        """How many of the first tokens of each sequence are on disk."""

    def acquire(
        self, tokens: Sequence[int], being_read: Sequence[Sequence[int]]
    ) -> LlamaSequence | None:
        """Return a sequence that holds as long a prefix of a prompt as possible.

        The last token is never part of it, because its logits are needed. `being_read` are the
        prompts that other replies are reading. Returns None if the prompt should wait: no sequence
        is free, or another reply is reading a longer prefix than there is.
        """
        if not self._resting:
            return None
        reusable = tokens[:-1]
        source = max(
            reversed([*self._in_use(), *self._resting]),
            key=lambda sequence: common_prefix_length(sequence.tokens, reusable),
        )
        length = common_prefix_length(source.tokens, reusable)
        soon = max((common_prefix_length(other, reusable) for other in being_read), default=0)
        path = self._find_on_disk(reusable, max(length, soon) + MIN_SHARED_TOKENS)
        if path is None and soon >= length + MIN_AWAITED_TOKENS:
            return None
        chosen = self._choose(source, length if path is None else 0)
        if path is not None:
            self.save(chosen)
            self._load(chosen, path)
        elif chosen is not source:
            self._copy_prefix(source, chosen, length)
        # A file that cannot be loaded leaves what the chosen sequence held.
        length = common_prefix_length(chosen.tokens, reusable)
        self._saved_tokens[chosen] = min(self._saved_tokens[chosen], length)
        chosen.truncate(length)
        self._resting.remove(chosen)
        return chosen

    def release(self, sequence: LlamaSequence) -> None:
        """Mark a sequence as idle."""
        self._resting.append(sequence)

    def save_resting(self, min_new_tokens: int = MIN_SAVED_TOKENS) -> None:
        """Save the idle sequences to disk that have `min_new_tokens` new tokens."""
        for sequence in reversed(self._resting):
            self.save(sequence, min_new_tokens)

    def save(self, sequence: LlamaSequence, min_new_tokens: int = MIN_SAVED_TOKENS) -> None:
        """Save a sequence to disk if it has `min_new_tokens` that are not on disk yet."""
        tokens = sequence.tokens
        if not (self._cache and self._can_save) or len(tokens) < MIN_SAVED_TOKENS:
            return
        if not self._enough_new(sequence, min_new_tokens):
            return
        if len(self._saved_tokens) > 1:  # Another sequence may have saved the same prefix.
            self._saved_tokens[sequence] = self._cache.find(tokens)[1]
            if not self._enough_new(sequence, min_new_tokens):
                return
        try:
            self._cache.save(tokens, sequence.save_state())
        except XlamError as error:
            # It is reported once, with the next reply, and not tried again.
            self._notices.append(str(error))
            self._can_save = False
        self._saved_tokens[sequence] = len(tokens)

    def take_notices(self) -> Iterator[Notice]:
        """Yield the problems since the last call."""
        while self._notices:
            yield Notice(self._notices.pop(0))

    def _in_use(self) -> list[LlamaSequence]:
        return [sequence for sequence in self._context.sequences if sequence not in self._resting]

    def _find_on_disk(self, reusable: Sequence[int], at_least: int) -> Path | None:
        """Return the file with the longest prefix of a prompt, if it has `at_least` tokens."""
        if self._cache is None or len(reusable) < at_least:
            return None
        path, length = self._cache.find(reusable)
        return path if length >= at_least else None

    def _choose(self, source: LlamaSequence, length: int) -> LlamaSequence:
        """Return the idle sequence to use for a prompt that shares `length` tokens of `source`.

        The source itself is used if it loses few tokens; otherwise it keeps its own prompt.
        """
        if source in self._resting and len(source.tokens) - length < MIN_SHARED_TOKENS:
            return source
        others = [sequence for sequence in self._resting if sequence is not source]
        return others[0] if others else self._resting[0]

    def _copy_prefix(self, source: LlamaSequence, target: LlamaSequence, length: int) -> None:
        if length > common_prefix_length(target.tokens, source.tokens[:length]):
            self.save(target)
            target.copy_prefix(source, length)
            self._saved_tokens[target] = min(self._saved_tokens[source], length)

    def _enough_new(self, sequence: LlamaSequence, min_new_tokens: int) -> bool:
        # Saving writes all tokens, so a long sequence must have grown by a quarter.
        saved = self._saved_tokens[sequence]
        return len(sequence.tokens) - saved >= max(min_new_tokens, saved // 4)

    def _load(self, sequence: LlamaSequence, path: Path) -> None:
        assert self._cache is not None
        try:
            tokens, state = self._cache.load(path)
        except IntegrityError as error:
            self._notices.append(str(error))
            return
        if len(tokens) > self._context.size or not sequence.load_state(tokens, state):
            self._notices.append(
                f"llama.cpp cannot load the cached prompt {path.name}; it is processed again."
            )
            return
        self._saved_tokens[sequence] = len(tokens)
