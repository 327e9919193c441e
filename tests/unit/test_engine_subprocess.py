from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.fakes.engine_helpers import GREEDY, generate, user_prompt
from tests.fakes.toolsets import TOOLSETS
from xlam_local import ggml_devices, grammar
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import Generation, SubprocessEngine
from xlam_local.errors import EngineCrashed, ModelError, ModelMissing, PromptError
from xlam_local.types import GenerationEnd, Heartbeat, Notice, PrefillProgress, Sampling

OPTIONS = LoadOptions(context_size=1024, threads=1)
LONG = Sampling(max_tokens=900)


@pytest.fixture(scope="module")
def engine(qwen_path: Path) -> Iterator[SubprocessEngine]:
    loaded = SubprocessEngine.load(qwen_path, OPTIONS)
    yield loaded
    loaded.close()


def greeting(engine: LocalEngine | SubprocessEngine) -> str:
    return generate(engine, user_prompt(engine))[0]


def test_it_writes_what_a_local_engine_writes(engine: SubprocessEngine, qwen_path: Path) -> None:
    local = LocalEngine.load(qwen_path, OPTIONS)
    assert (engine.name, engine.context_size, engine.prompt_format) == (
        local.name,
        local.context_size,
        local.prompt_format,
    )
    assert greeting(engine) == greeting(local)
    compiled = grammar.compile_tools(TOOLSETS["flat"], "required")
    for _ in range(2):  # the second request does not repeat the grammar
        texts = [
            generate(either, user_prompt(either, "Go."), GREEDY, compiled.grammar)[0]
            for either in (engine, local)
        ]
        assert texts[0] == texts[1]
    assert engine.count([user_prompt(engine)]) == local.count([user_prompt(local)])
    local.close()


def test_its_events_are_in_order(engine: SubprocessEngine) -> None:
    items = [
        item
        for item in engine.generate(user_prompt(engine, "Hi. " * 50), None, GREEDY)
        if not isinstance(item, Heartbeat)
    ]
    kinds = [type(item) for item in items]
    assert kinds == sorted(kinds, key=[PrefillProgress, str, GenerationEnd].index)
    assert isinstance(items[-1], GenerationEnd)
    assert items[-1].usage.reply_tokens == 16


def test_sending_true_ends_a_reply_early(engine: SubprocessEngine) -> None:
    items = engine.generate(user_prompt(engine), None, LONG)
    for item in items:
        if isinstance(item, str):
            break
    end = items.send(True)
    while isinstance(end, Heartbeat):
        end = next(items)
    assert isinstance(end, GenerationEnd)
    assert end.usage.reply_tokens < 900


@pytest.mark.slow
def test_errors_have_the_same_class(engine: SubprocessEngine, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="but the context holds 1024"):
        generate(engine, user_prompt(engine, "word " * 2000))
    assert greeting(engine)
    with pytest.raises(ModelMissing, match="no model file"):
        SubprocessEngine.load(tmp_path / "nope.gguf")
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF and nothing else")
    with pytest.raises(ModelError, match=r"cannot load bad\.gguf"):
        SubprocessEngine.load(bad)


def cancel_after_random_time(engine: SubprocessEngine, luck: random.Random) -> float:
    """Cancel a reply, and return the seconds that this took."""
    written = user_prompt(engine, "A long story. " * luck.randrange(1, 60))
    items = engine.generate(written, None, LONG)
    until = time.monotonic() + luck.random() * 0.4
    for _ in items:
        if time.monotonic() > until:
            break
    started = time.monotonic()
    items.close()
    return time.monotonic() - started


@pytest.mark.slow
def test_cancelling_at_any_time_does_not_change_later_replies(engine: SubprocessEngine) -> None:
    luck, text = random.Random(1), greeting(engine)
    for _ in range(10):
        assert cancel_after_random_time(engine, luck) < 0.2
        started = time.monotonic()
        first = next(engine.generate(user_prompt(engine), None, GREEDY))
        assert not isinstance(first, Heartbeat), "the engine was not ready at once"
        assert time.monotonic() - started < 1
        assert greeting(engine) == text


def test_loading_can_be_cancelled(qwen_path: Path) -> None:
    engine = SubprocessEngine(qwen_path, OPTIONS)
    with closing(engine.start()) as steps:
        next(steps)
        pid = engine.pid
    assert pid is not None
    assert engine.pid is None
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_after_a_crash_before_the_reply_the_request_is_repeated(engine: SubprocessEngine) -> None:
    text = greeting(engine)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    items = engine.generate(user_prompt(engine), None, GREEDY)
    assert next(items) == Heartbeat()
    os.kill(engine.pid, signal.SIGKILL)
    rest = list(items)
    assert Notice("llama.cpp's process was killed. It was restarted.") in rest
    assert "".join(item for item in rest if isinstance(item, str)) == text
    assert isinstance(rest[-1], GenerationEnd)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "was killed"), (signal.SIGABRT, r"crashed \(SIGABRT\)")],
)
def test_a_crash_during_a_reply_is_one_error(
    engine: SubprocessEngine, number: int, reason: str
) -> None:
    text = greeting(engine)
    items = engine.generate(user_prompt(engine), None, LONG)
    for item in items:
        if isinstance(item, str) and engine.pid is not None:
            os.kill(engine.pid, number)
            break
    with pytest.raises(EngineCrashed, match=reason):
        list(items)
    again = list(engine.generate(user_prompt(engine), None, GREEDY))
    assert Notice("llama.cpp had stopped. It was restarted.") in again
    assert "".join(item for item in again if isinstance(item, str)) == text


def stopped_reply(engine: SubprocessEngine) -> tuple[Generation, int]:
    """Begin a reply, and stop the engine's process; return the reply and the process ID."""
    items = engine.generate(user_prompt(engine), None, LONG)
    while not isinstance(next(items), str):
        pass
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    return items, engine.pid


@pytest.mark.slow
def test_a_process_that_hangs_is_stopped(qwen_path: Path) -> None:
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    engine.hang_timeout_s = 1.0
    items, _ = stopped_reply(engine)
    with pytest.raises(
        EngineCrashed, match="did not respond for 1 seconds; its process was stopped"
    ):
        list(items)
    assert engine.pid is None


@pytest.mark.slow
def test_time_in_which_nobody_waits_is_not_silence(qwen_path: Path) -> None:
    """As after Ctrl-Z, which stops the program and its engine."""
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    engine.hang_timeout_s = 1.5
    items, pid = stopped_reply(engine)
    time.sleep(2.0)
    while next(items) != Heartbeat():
        pass
    os.kill(pid, signal.SIGCONT)
    assert isinstance(list(items)[-1], GenerationEnd)
    assert engine.pid == pid
    engine.close()


@pytest.mark.slow
def test_closing_frees_the_memory(qwen_path: Path) -> None:
    engine = SubprocessEngine.load(qwen_path, OPTIONS)
    pid = engine.pid
    assert engine.memory > 10_000_000
    engine.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert engine.memory == 0


@pytest.mark.slow
def test_it_ends_with_the_program_that_started_it(qwen_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "import sys, os\n"
        "from pathlib import Path\n"
        "from xlam_local.engine.subprocess_engine import Generation, SubprocessEngine\n"
        "engine = SubprocessEngine.load(Path(sys.argv[1]))\n"
        "print(engine.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, script, qwen_path], capture_output=True, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        if not psutil.pid_exists(pid):
            return
        time.sleep(0.1)
    raise AssertionError("llama.cpp's process is still running")


@pytest.mark.slow
def test_the_output_of_the_process_is_logged(qwen_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "engine.log"
    SubprocessEngine.load(qwen_path, OPTIONS, log).close()
    assert "llama" in log.read_text()


@pytest.mark.slow
def test_counting_tokens_restarts_a_process_that_has_ended(engine: SubprocessEngine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    (count,) = engine.count([user_prompt(engine, "Words that were not counted before.")])
    assert count > 6
    items = engine.generate(user_prompt(engine), None, GREEDY)
    (notice,) = [item for item in items if isinstance(item, Notice)]
    assert notice.text.endswith("It was restarted.")


@pytest.mark.slow
def test_modules_in_the_working_folder_are_not_imported(
    qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "llama_cpp"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    SubprocessEngine.load(qwen_path, OPTIONS).close()
    ggml_devices.list_devices()
    assert not (tmp_path / "ran").exists()
