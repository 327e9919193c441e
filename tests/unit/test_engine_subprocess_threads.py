"""Several threads that use the child process at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.engine_helpers import generate, user_prompt
from tests.fakes.toolsets import TOOLSETS
from xlam_local import grammar, prompt
from xlam_local.engine import LoadOptions
from xlam_local.engine.grammar_text import GrammarSerializer
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.engine.token_count_cache import TokenCountCache
from xlam_local.errors import ContextExceeded, EngineCrashed
from xlam_local.gbnf import Grammar, token
from xlam_local.types import GenerationEnd, Notice, PromptPart, Sampling, UserMessage

OPTIONS = LoadOptions(context_size=1024, threads=1, sequences=4)
FLAT, OTHER = TOOLSETS["flat"], TOOLSETS["recursion"]


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[SubprocessEngine]:
    loaded = SubprocessEngine.load(qwen_path, OPTIONS)
    yield loaded
    loaded.close()


def in_threads(jobs: int, work: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, range(jobs)))


def test_threads_get_the_replies_that_they_asked_for(
    engine: SubprocessEngine, qwen_path: Path
) -> None:
    def write(engine: LocalEngine | SubprocessEngine, number: int) -> str:
        tools = (FLAT, OTHER)[number % 2]
        message = UserMessage(f"Request {number}.")
        written = prompt.render([message], tools, engine.prompt_format)
        sampling = Sampling(temperature=1, seed=number, max_tokens=40)
        return generate(
            engine, written, sampling, grammar.compile_tools(tools, "required").grammar
        )[0]

    texts = in_threads(12, lambda number: write(engine, number))
    local = LocalEngine.load(qwen_path, LoadOptions(context_size=1024, threads=1))
    assert texts == [write(local, number) for number in range(12)]
    local.close()


def test_threads_never_get_the_grammar_of_another_one() -> None:
    serializer = GrammarSerializer("llguidance", lambda: False)
    grammars = [Grammar({"root": token(f"grammar {number}")}) for number in range(12)]

    def serialize(number: int) -> str:
        for _ in range(200):
            text = serializer.serialize(grammars[number])
            assert text is not None
            assert f"grammar {number}" in text.text
        return "right"

    assert in_threads(12, serialize) == ["right"] * 12


def test_threads_count_tokens_while_others_evict_counts() -> None:
    cache = TokenCountCache(max_parts=2)

    def count(number: int) -> str:
        for turn in range(300):
            prompts = [(PromptPart("x" * (number + turn % 3)),), (PromptPart("y" * number),)]
            lengths = cache.count(prompts, lambda parts: [len(part.text) for part in parts])
            assert lengths == [number + turn % 3, number]
        return "right"

    assert in_threads(8, count) == ["right"] * 8


@pytest.mark.slow
def test_replies_run_beside_each_other(engine: SubprocessEngine) -> None:
    writing = threading.Barrier(4, timeout=30)

    def write(number: int) -> str:
        text = ""
        for item in engine.generate(
            user_prompt(engine, f"{number}"), None, Sampling(temperature=1, max_tokens=900)
        ):
            if isinstance(item, str) and not text:
                writing.wait()  # It breaks if one reply ends before another begins.
            text += item if isinstance(item, str) else ""
        return text

    assert all(in_threads(4, write))


def test_an_error_ends_its_own_reply_only(engine: SubprocessEngine) -> None:
    def write(number: int) -> str:
        text = "word " * 2000 if number == 1 else f"{number}"
        try:
            return generate(engine, user_prompt(engine, text))[0]
        except ContextExceeded:
            return "refused"

    texts = in_threads(4, write)
    assert [text == "refused" for text in texts] == [False, True, False, False]


def test_a_cancelled_reply_ends_and_the_others_go_on(engine: SubprocessEngine) -> None:
    def write(number: int) -> str:
        items = engine.generate(
            user_prompt(engine, f"{number}"), None, Sampling(temperature=1, seed=1, max_tokens=300)
        )
        text = ""
        for item in items:
            text += item if isinstance(item, str) else ""
            if number == 0 and text:
                items.close()
                return "cancelled"
            if isinstance(item, GenerationEnd):
                return str(item.usage.reply_tokens)
        return "no end"

    first, *others = in_threads(4, write)
    assert first == "cancelled"
    assert all(int(count) > 0 for count in others)


@pytest.mark.slow
def test_a_crash_is_one_error_in_each_reply(qwen_path: Path) -> None:
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    begun = threading.Semaphore(0)

    def write(number: int) -> str:
        try:
            for item in engine.generate(
                user_prompt(engine, f"{number}"), None, Sampling(temperature=1, max_tokens=900)
            ):
                if isinstance(item, str):
                    begun.release()
        except EngineCrashed as error:
            return str(error)
        return "ended"

    def kill() -> None:
        for _ in range(4):
            begun.acquire(timeout=30)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    errors = in_threads(4, write)
    killer.join()
    assert set(errors) <= {"llama.cpp's process was killed.", "ended"}
    assert "llama.cpp's process was killed." in errors
    assert all(in_threads(4, lambda number: generate(engine, user_prompt(engine))[0]))
    engine.close()


@pytest.mark.slow
def test_replies_that_have_not_begun_are_repeated_after_a_crash(qwen_path: Path) -> None:
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    text = generate(engine, user_prompt(engine))[0]
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    pid = engine.pid
    timer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    timer.start()

    def write(number: int) -> str:
        items = list(engine.generate(user_prompt(engine), None, Sampling(max_tokens=16)))
        (notice,) = [item for item in items if isinstance(item, Notice)]
        assert notice.text == "llama.cpp's process was killed. It was restarted."
        return "".join(item for item in items if isinstance(item, str))

    assert in_threads(4, write) == [text] * 4
    timer.join()
    assert engine.pid != pid
    engine.close()


@pytest.mark.slow
def test_unloading_ends_the_replies_that_run(qwen_path: Path) -> None:
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    timer = threading.Timer(0.3, engine.close)

    def write(number: int) -> str:
        sampling = Sampling(temperature=1, max_tokens=900)
        deadline = time.monotonic() + 30
        try:
            while time.monotonic() < deadline:
                generate(engine, user_prompt(engine, f"{number}"), sampling)
        except EngineCrashed as error:
            return str(error)
        return "not unloaded"

    timer.start()
    errors = in_threads(3, write)
    timer.join()
    assert "The model was unloaded." in errors
    engine.close()
