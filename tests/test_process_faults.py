"""Kills and cancels at random moments, on a real small model.

XLAM_KILLS and XLAM_CANCELS say how many; the numbers to reach are 50 and 100.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from xlam_local.agent import Rules
from xlam_local.engine import Settings
from xlam_local.engine.process import EngineProcess
from xlam_local.errors import EngineStopped
from xlam_local.session import Session
from xlam_local.types import Answer, Done, Result, Sampling, System, Tick, User

from .test_agent import ADD

pytestmark = [pytest.mark.model, pytest.mark.slow]

KILLS = int(os.environ.get("XLAM_KILLS", "5"))
CANCELS = int(os.environ.get("XLAM_CANCELS", "9"))
AT_ONCE = 0.2
"""Seconds after which a prompt has to be usable."""
SETTINGS = Settings(context=2048, threads=1)
LONG = "Once upon a time there was a keeper of a lighthouse. " * 40


@pytest.fixture
def engine(small_path: Path) -> Iterator[EngineProcess]:
    loaded = EngineProcess.load(small_path, SETTINGS)
    yield loaded
    loaded.close()


def session(engine: EngineProcess) -> Session:
    rules = Rules(choice="none", sampling=Sampling(max_tokens=24))
    return Session(engine, [ADD], rules=rules, system="Be brief.")


def whole(talk: Session) -> None:
    """Whether the conversation is one that a prompt can be made of, with nothing lost."""
    kinds = [type(message) for message in talk.messages]
    assert kinds[0] is System
    assert not [one for one, after in pairwise(kinds) if one is after is Answer]
    assert Result not in kinds


def kill_in(engine: EngineProcess, seconds: float) -> threading.Thread:
    def kill() -> None:
        time.sleep(seconds)
        if engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_kill_at_any_moment_costs_a_turn_at_most(engine: EngineProcess) -> None:
    luck, talk = random.Random(7), session(engine)
    for number in range(KILLS):
        said = f"{number}: {LONG[: luck.randrange(40, len(LONG))]}"
        killer = kill_in(engine, luck.random() * 2)
        with suppress(EngineStopped):
            list(talk.send(said))
        killer.join()
        assert User(said) in talk.messages
        whole(talk)
        events = list(talk.send("And now?"))
        assert isinstance(talk.messages[-1], Answer)
        assert isinstance(events[-1], Done)
        whole(talk)
        del talk.messages[1:]


def test_a_cancel_in_a_prefill_or_a_reply_gives_the_prompt_back_at_once(
    engine: EngineProcess,
) -> None:
    luck, waits = random.Random(8), []
    talk = session(engine)
    list(talk.send("Hello."))
    for number in range(CANCELS):
        del talk.messages[1:]
        text = f"{number} {LONG}"
        with closing(talk.send(text)) as events:
            until = time.monotonic() + luck.random() * 3
            for _ in events:
                if time.monotonic() > until:
                    break
            began = time.monotonic()
        del talk.messages[1:]
        with closing(talk.send("Hello.")) as events:
            for event in events:
                if not isinstance(event, Tick):
                    break
            waits.append(time.monotonic() - began)
    print(f"\nseconds to a usable prompt: most {max(waits):.3f}, of {len(waits)}")
    assert max(waits) < AT_ONCE


def test_a_cancel_while_loading_gives_the_prompt_back_at_once(small_path: Path) -> None:
    luck, waits = random.Random(9), []
    for _ in range(CANCELS // 3):
        engine = EngineProcess(small_path, SETTINGS)
        until = time.monotonic() + luck.random() * 0.6
        with closing(engine.start()) as steps:
            for _ in steps:
                if time.monotonic() > until:
                    break
            began = time.monotonic()
        waits.append(time.monotonic() - began)
        engine.close(wait=0.0)
    print(f"\nseconds to a usable prompt: most {max(waits):.3f}, of {len(waits)}")
    assert max(waits) < AT_ONCE
