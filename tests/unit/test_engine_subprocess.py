from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from xlam_local import grammar, machine, prompt
from xlam_local.engine import Settings
from xlam_local.engine.local import Engine
from xlam_local.engine.process import EngineProcess
from xlam_local.errors import EngineStopped, ModelError, ModelMissing, PromptError
from xlam_local.types import End, Note, Prefill, Prompt, Sampling, Tick, User

from .toolsets import TOOLSETS

SETTINGS = Settings(context=1024, threads=1)
GREEDY = Sampling(max_tokens=16)


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[EngineProcess]:
    loaded = EngineProcess.load(qwen_path, SETTINGS)
    yield loaded
    loaded.close()


def hello(engine: Engine | EngineProcess, text: str = "Hello there.") -> Prompt:
    return prompt.render([User(text)], [], engine.format)


def said(engine: Engine | EngineProcess, text: str = "Hello there.") -> str:
    items = engine.generate(hello(engine, text), None, GREEDY)
    return "".join(item for item in items if isinstance(item, str))


def test_it_says_what_the_same_engine_here_says(engine: EngineProcess, qwen_path: Path) -> None:
    here = Engine.load(qwen_path, SETTINGS)
    assert (engine.name, engine.size, engine.format) == (here.name, here.size, here.format)
    assert said(engine) == said(here)
    tools = TOOLSETS["flat"]
    rules = grammar.for_turn(tools, "required").grammar
    for _ in range(2):
        replies = [
            "".join(
                item for item in one.generate(hello(one, "Go."), rules, GREEDY) if type(item) is str
            )
            for one in (engine, here)
        ]
        assert replies[0] == replies[1]
    assert engine.count([hello(engine)]) == here.count([hello(here)])
    here.close()


def test_it_has_the_events_in_their_order(engine: EngineProcess) -> None:
    items = [
        item
        for item in engine.generate(hello(engine, "Hi. " * 50), None, GREEDY)
        if not isinstance(item, Tick)
    ]
    kinds = [type(item) for item in items]
    assert kinds == sorted(kinds, key=[Prefill, str, End].index)
    assert isinstance(items[-1], End)
    assert items[-1].usage.reply_tokens == 16


def test_a_reply_ends_early_when_it_is_told_to(engine: EngineProcess) -> None:
    items = engine.generate(hello(engine), None, Sampling(max_tokens=900))
    for item in items:
        if isinstance(item, str):
            break
    end = items.send(True)
    while isinstance(end, Tick):
        end = next(items)
    assert isinstance(end, End)
    assert end.usage.reply_tokens < 900


def test_errors_keep_their_kind(engine: EngineProcess, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="and the context holds 1024"):
        said(engine, "word " * 2000)
    assert said(engine)
    with pytest.raises(ModelMissing, match="no model file"):
        EngineProcess.load(tmp_path / "nope.gguf")
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF and nothing else")
    with pytest.raises(ModelError, match=r"cannot load bad\.gguf"):
        EngineProcess.load(bad)


def cancel_somewhere(engine: EngineProcess, luck: random.Random) -> float:
    """Cancel a reply after a random time; the seconds that closing took."""
    text = "A long story. " * luck.randrange(1, 60)
    items = engine.generate(hello(engine, text), None, Sampling(max_tokens=900))
    until = time.monotonic() + luck.random() * 0.4
    for _ in items:
        if time.monotonic() > until:
            break
    began = time.monotonic()
    items.close()
    return time.monotonic() - began


def test_what_is_cancelled_at_any_moment_leaves_nothing_wrong_behind(
    engine: EngineProcess,
) -> None:
    luck, text = random.Random(1), said(engine)
    for _ in range(10):
        assert cancel_somewhere(engine, luck) < 0.2
        began = time.monotonic()
        first = next(engine.generate(hello(engine), None, GREEDY))
        while isinstance(first, Tick):
            raise AssertionError("the prompt was not usable at once")
        assert time.monotonic() - began < 1
        assert said(engine) == text


def test_loading_is_cancelled(qwen_path: Path) -> None:
    engine = EngineProcess(qwen_path, SETTINGS)
    with closing(engine.start()) as steps:
        next(steps)
        pid = engine.pid
    assert pid is not None
    assert engine.pid is None
    assert not psutil.pid_exists(pid)


def test_a_kill_before_the_reply_is_mended_at_once(engine: EngineProcess) -> None:
    text = said(engine)
    items = engine.generate(hello(engine), None, GREEDY)
    next(items)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    rest = [next(items)]
    os.kill(engine.pid, signal.SIGKILL)
    rest += list(items)
    spoken = "".join(item for item in rest if isinstance(item, str))
    if any(isinstance(item, Note) for item in rest):
        assert text.endswith(spoken)
    assert isinstance(rest[-1], End)


@pytest.mark.parametrize(
    ("number", "why"), [(signal.SIGKILL, "was killed"), (signal.SIGABRT, r"crashed \(SIGABRT\)")]
)
def test_an_end_in_the_middle_of_a_reply_is_one_error(
    engine: EngineProcess, number: int, why: str
) -> None:
    text = said(engine)
    items = engine.generate(hello(engine), None, Sampling(max_tokens=900))
    for item in items:
        if isinstance(item, str) and engine.pid is not None:
            os.kill(engine.pid, number)
            break
    with pytest.raises(EngineStopped, match=why):
        list(items)
    again = list(engine.generate(hello(engine), None, GREEDY))
    assert Note("llama.cpp had stopped. It is started again.") in again
    assert "".join(item for item in again if isinstance(item, str)) == text


def test_a_process_that_hangs_is_ended(qwen_path: Path) -> None:
    engine = EngineProcess(qwen_path, SETTINGS, patience=4.0)
    for _ in engine.start():
        pass
    items = engine.generate(hello(engine), None, Sampling(max_tokens=900))
    while not isinstance(next(items), str):
        pass
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    with pytest.raises(EngineStopped, match="said nothing for 4 seconds and was ended"):
        list(items)
    assert engine.pid is None


def test_unloading_gives_the_memory_back(qwen_path: Path) -> None:
    engine = EngineProcess.load(qwen_path, SETTINGS)
    pid = engine.pid
    assert engine.memory > 10_000_000
    engine.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert engine.memory == 0


def test_it_ends_with_the_program_that_started_it(qwen_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, os\n"
        "from pathlib import Path\n"
        "from xlam_local.engine.process import EngineProcess\n"
        "engine = EngineProcess.load(Path(sys.argv[1]))\n"
        "print(engine.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    import subprocess
    import sys

    out = subprocess.run([sys.executable, script, qwen_path], capture_output=True, check=False)
    process = int(out.stdout)
    for _ in range(100):
        if not psutil.pid_exists(process):
            return
        time.sleep(0.1)
    raise AssertionError("the process of llama.cpp lives on")


def test_what_the_process_says_goes_to_a_log(qwen_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "engine.log"
    EngineProcess.load(qwen_path, SETTINGS, log).close()
    assert "llama" in log.read_text()


def test_a_process_that_is_gone_when_tokens_are_counted_is_started_again(
    engine: EngineProcess,
) -> None:
    count = engine.count([hello(engine)])
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert engine.count([hello(engine)]) == count
    notes = [item for item in engine.generate(hello(engine), None, GREEDY) if type(item) is Note]
    assert [note.text.endswith("It is started again.") for note in notes] == [True]


def test_no_module_of_the_working_folder_is_imported(
    qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "llama_cpp"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    EngineProcess.load(qwen_path, SETTINGS).close()
    machine.backends()
    assert not (tmp_path / "ran").exists()
