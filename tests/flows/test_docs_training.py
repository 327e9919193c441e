"""The page about training: from rated conversations to an adapter that changes the model."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.doc_pages import ROOT
from tests.fakes.engine_helpers import generate
from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import play
from tests.fakes.trainers import PROGRAMS, run_trainer
from xlam_local import model_loading, prompt
from xlam_local.cli import run_command
from xlam_local.config import Config
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.history import History
from xlam_local.types import Effect, Message, Sampling, SystemMessage, Tool, UserMessage

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
QUESTION = "Switch the lamp in the kitchen off."
CALL = '[{"name": "lamp", "arguments": {"room": "kitchen", "state": "off"}}]'
LEARNED = f"<tool_call>\n{CALL}\n</tool_call>"
LAMP = Tool(
    "lamp",
    "Switch a lamp.",
    {"type": "object", "properties": {"room": {"type": "string"}, "state": {"type": "string"}}},
    Effect.READ,
    lambda room, state: f"The lamp in the {room} is {state}.",
)
EPOCHS = "10"


@pytest.fixture
def rows(small: LocalEngine, own_folders: Path, tmp_path: Path) -> Path:
    """The export of a conversation of which two replies are rated up and one is not."""
    engine = Scripted([CALL], ["It is off."], ["You are welcome to ask me anything."])
    engine.prompt_format = small.prompt_format
    with closing(History(own_folders / "data" / "history.db")) as history:
        play(history, engine, QUESTION, "Thanks.", tools=[LAMP])
    for position in ("2", "4"):
        assert run_command(["history", "rate", "1", "up", "--position", position]) == 0
    folder = tmp_path / "rows"
    words = ["history", "export", "--all", "--as", "turns", "--rated", str(folder)]
    assert run_command(words) == 0
    assert len((folder / "train.jsonl").read_text().splitlines()) == 2
    return folder


def losses(output: str) -> list[float]:
    """Return the loss of each step, as the trainer prints it."""
    return [float(loss) for loss in re.findall(r"'loss': '?([0-9.e-]+)", output)]


@pytest.mark.slow
def test_a_model_learns_rated_replies_and_forgets_them_without_the_adapter(
    small_path: Path, rows: Path, tmp_path: Path
) -> None:
    (script,) = re.findall(r"```python no-run\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "train.py").write_text(script)
    run_trainer("trl", PROGRAMS / "dequantize.py", small_path, tmp_path / "base")
    output = run_trainer("trl", "train.py", "base", rows, "my-tools", EPOCHS, cwd=tmp_path)
    found = losses(output)
    assert len(found) == 2 * int(EPOCHS)
    assert sum(found[-2:]) < 0.1 * sum(found[:2])
    model = str(small_path)
    assert run_command(["models", "adapters", "add", str(tmp_path / "my-tools"), "-m", model]) == 0

    settings = Config(context=1024, prompt_cache_mib=0)
    with closing(model_loading.load_model(f"{model}+my-tools", settings)) as engine:
        assert isinstance(engine, SubprocessEngine)
        assert engine.name.endswith("+my-tools")
        asked: list[Message] = [SystemMessage("Be brief."), UserMessage(QUESTION)]
        written = prompt.render(asked, [LAMP], engine.prompt_format)
        sampling = Sampling(max_tokens=40)
        learned = generate(engine, written, sampling)[0]
        assert learned == LEARNED
        applied = engine.adapters
        engine.set_adapters([])
        base = generate(engine, written, sampling)[0]
        assert base != LEARNED
        engine.set_adapters(applied)
        assert generate(engine, written, sampling)[0] == LEARNED
