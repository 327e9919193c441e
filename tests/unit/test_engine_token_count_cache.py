from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_local.engine.token_count_cache import TokenCountCache
from xlam_local.types import Prompt, PromptPart

prompts = st.lists(
    st.lists(
        st.builds(PromptPart, st.sampled_from(["", "a", "bc", "def", "\ud800"]), st.booleans()),
        max_size=4,
    ).map(tuple),
    max_size=4,
)


class Counter:
    """Counts characters, and remembers which parts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[PromptPart] = []

    def __call__(self, parts: Sequence[PromptPart]) -> list[int]:
        self.asked += parts
        return [len(part.text) + part.special for part in parts]


@pytest.mark.slow
@given(st.lists(prompts), st.integers(1, 5))
def test_counts_are_the_same_with_and_without_a_cache(
    requests: list[list[Prompt]], max_parts: int
) -> None:
    cache, counter = TokenCountCache(max_parts), Counter()
    for request in requests:
        expected = [sum(Counter()(prompt)) for prompt in request]
        assert cache.count(request, counter) == expected


def test_each_part_is_asked_for_once() -> None:
    cache, counter = TokenCountCache(), Counter()
    system, question = PromptPart("system"), PromptPart("question")
    assert cache.count([(system,), (system, question, system)], counter) == [6, 20]
    assert cache.count([(question, system)], counter) == [14]
    assert counter.asked == [system, question]


def test_the_least_recently_used_parts_are_evicted() -> None:
    cache, counter = TokenCountCache(max_parts=2), Counter()
    a, b, c = (PromptPart(text) for text in "abc")
    for part in (a, b, a, c):
        cache.count([(part,)], counter)
    counter.asked.clear()
    cache.count([(a,)], counter)
    cache.count([(b,)], counter)
    assert counter.asked == [b]
