"""Token counts of prompt parts that were counted before."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ..types import Prompt, PromptPart

MAX_PARTS = 4096
DIGEST_BYTES = 16

Key = tuple[bool, bytes]


class TokenCountCache:
    """Counts the tokens of prompts, asking only for parts that are not cached.

    A prompt's parts are tokenized separately, so its count is the sum of theirs. When there are
    more than `max_parts`, the least recently used ones are evicted. Several threads may count at
    once.
    """

    def __init__(self, max_parts: int = MAX_PARTS) -> None:
        self._max_parts = max_parts
        self._counts: OrderedDict[Key, int] = OrderedDict()
        """By a digest of the text, the most recently used last."""
        self._lock = threading.Lock()

    def count(
        self,
        prompts: Sequence[Prompt],
        count_parts: Callable[[Sequence[PromptPart]], Sequence[int]],
    ) -> list[int]:
        """Return the number of tokens of each prompt; `count_parts` counts unknown parts."""
        keys = {part: _key(part) for prompt in prompts for part in prompt}
        with self._lock:
            counts = {key: self._counts[key] for key in keys.values() if key in self._counts}
        unknown = {key: part for part, key in keys.items() if key not in counts}
        if unknown:
            counts.update(zip(unknown, count_parts(list(unknown.values())), strict=True))
        with self._lock:
            self._counts.update(counts)
            for key in keys.values():
                self._counts.move_to_end(key)
            while len(self._counts) > self._max_parts:
                self._counts.popitem(last=False)
        return [sum(counts[keys[part]] for part in prompt) for prompt in prompts]


def _key(part: PromptPart) -> Key:
    data = part.text.encode("utf-8", "replace")
    return part.special, hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
