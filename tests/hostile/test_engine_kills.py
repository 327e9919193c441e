"""Kill the engine's process and cancel replies at random times, with a real small model.

XLAM_KILLS and XLAM_CANCELS set how often; a release is tested with 50 kills and 100 cancels.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.fakes.turns import ADD
from xlam_local.agent import TurnOptions
from xlam_local.engine import LoadOptions
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.errors import EngineCrashed
from xlam_local.session import Session
from xlam_local.types import (
    AssistantMessage,
    Done,
    Heartbeat,
    Sampling,
    SystemMessage,
    ToolResult,
    UserMessage,
)

pytestmark = [pytest.mark.model, pytest.mark.slow]

KILLS = int(os.environ.get("XLAM_KILLS", "5"))
CANCELS = int(os.environ.get("XLAM_CANCELS", "9"))
MAX_WAIT_S = 0.2
"""How soon after a cancel the engine must accept the next request."""
OPTIONS = LoadOptions(context_size=2048, threads=1)
STORY = "Once upon a time there was a keeper of a lighthouse. " * 40


@pytest.fixture
def engine(small_path: Path) -> Iterator[SubprocessEngine]:
    loaded = SubprocessEngine.load(small_path, OPTIONS)
    yield loaded
    loaded.close()


def new_session(engine: SubprocessEngine) -> Session:
    options = TurnOptions(tool_choice="none", sampling=Sampling(max_tokens=24))
    return Session(engine, [ADD], options=options, system="Be brief.")


def assert_consistent(session: Session) -> None:
    """Check that the conversation can be continued."""
    kinds = [type(message) for message in session.messages]
    assert kinds[0] is SystemMessage
    assert (AssistantMessage, AssistantMessage) not in pairwise(kinds)
    assert ToolResult not in kinds


def kill_after(engine: SubprocessEngine, seconds: float) -> threading.Thread:
    def kill() -> None:
        time.sleep(seconds)
        if engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_kill_at_any_time_loses_at_most_the_current_reply(engine: SubprocessEngine) -> None:
    luck, session = random.Random(7), new_session(engine)
    for number in range(KILLS):
        text = f"{number}: {STORY[: luck.randrange(40, len(STORY))]}"
        killer = kill_after(engine, luck.random() * 2)
        with suppress(EngineCrashed):
            list(session.send(text))
        killer.join()
        assert UserMessage(text) in session.messages
        assert_consistent(session)
        events = list(session.send("And now?"))
        assert isinstance(session.messages[-1], AssistantMessage)
        assert isinstance(events[-1], Done)
        assert_consistent(session)
        session.rewind(1)


def test_a_kill_while_several_replies_run_leaves_each_conversation_whole(
    small_path: Path,
) -> None:
    luck = random.Random(10)
    engine = SubprocessEngine.load(small_path, replace(OPTIONS, sequences=4))
    sessions = [new_session(engine) for _ in range(4)]

    def send(number: int, session: Session) -> bool:
        text = f"{number}: {STORY[: luck.randrange(40, 300)]}"
        ended = False
        with suppress(EngineCrashed):
            ended = isinstance(list(session.send(text))[-1], Done)
        assert UserMessage(text) in session.messages
        assert_consistent(session)
        return ended

    crashed = 0
    with ThreadPoolExecutor(4) as pool:
        for _ in range(KILLS):
            killer = kill_after(engine, luck.random())
            crashed += not all(list(pool.map(send, range(4), sessions)))
            killer.join()
            assert all(list(pool.map(send, range(4, 8), sessions)))
            for session in sessions:
                session.rewind(1)
    print(f"\n{crashed} of {KILLS} kills ended a reply")
    engine.close()


def report_waits(waits: list[float]) -> None:
    print(f"\nseconds until the next request is accepted: at most {max(waits):.3f} of {len(waits)}")
    assert max(waits) < MAX_WAIT_S


def test_after_cancelling_a_reply_the_engine_is_ready_at_once(engine: SubprocessEngine) -> None:
    luck, waits = random.Random(8), []
    session = new_session(engine)
    list(session.send("Hello."))
    for number in range(CANCELS):
        session.rewind(1)
        with closing(session.send(f"{number} {STORY}")) as events:
            until = time.monotonic() + luck.random() * 3
            for _ in events:
                if time.monotonic() > until:
                    break
            cancelled = time.monotonic()
        session.rewind(1)
        with closing(session.send("Hello.")) as events:
            for event in events:
                if not isinstance(event, Heartbeat):
                    break
            waits.append(time.monotonic() - cancelled)
    report_waits(waits)


def test_loading_is_cancelled_at_once(small_path: Path) -> None:
    luck, waits = random.Random(9), []
    for _ in range(CANCELS // 3):
        engine = SubprocessEngine(small_path, OPTIONS)
        until = time.monotonic() + luck.random() * 0.6
        with closing(engine.start()) as steps:
            for _ in steps:
                if time.monotonic() > until:
                    break
            cancelled = time.monotonic()
        waits.append(time.monotonic() - cancelled)
        engine.close(wait_s=0.0)
    report_waits(waits)
