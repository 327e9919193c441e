from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.fake_user import FakeUser
from tests.fakes.turns import ADD, ADD_2_3, PARAMETERS
from xlam_local import Done, TurnOptions, config, load_model
from xlam_local.config import Config
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.errors import ModelMissing, UsageError
from xlam_local.session import Session
from xlam_local.session_setup import load_approver, open_session, turn_options
from xlam_local.types import (
    AllowOnce,
    Effect,
    Sampling,
    SystemMessage,
    Tool,
    ToolResult,
)

DENY_ALL = '[[rule]]\ndecision = "deny"'
WRITE = Tool("add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b)


def write_config(home: Path, name: str, text: str) -> None:
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / name).write_text(text)


def call_result(session: Session) -> ToolResult:
    session.ask("2 + 3?")
    (result,) = (message for message in session.messages if isinstance(message, ToolResult))
    return result


def test_a_plain_session_does_not_read_the_users_policy(own_folders: Path) -> None:
    write_config(own_folders, "policy.toml", DENY_ALL)
    assert call_result(Session(Scripted(ADD_2_3, ["5"]), [ADD])).ok


def test_the_users_policy_applies_with_its_approver(own_folders: Path, tmp_path: Path) -> None:
    write_config(own_folders, "policy.toml", DENY_ALL)
    engine = Scripted(ADD_2_3, ["No."])
    session = Session(engine, [ADD], FakeUser(AllowOnce()), approver=load_approver(tmp_path))
    assert call_result(session).refused


def test_a_tool_that_is_allowed_runs_without_asking(tmp_path: Path) -> None:
    session = Session(Scripted(ADD_2_3, ["5"]), [WRITE], approver=load_approver(tmp_path, [WRITE]))
    assert call_result(session).ok


def test_a_broken_policy_is_an_error(own_folders: Path, tmp_path: Path) -> None:
    write_config(own_folders, "policy.toml", "[[rule]]\ndecision = 3")
    with pytest.raises(UsageError, match=r"policy\.toml"):
        load_approver(tmp_path)


def test_turn_options_are_the_users_settings(own_folders: Path) -> None:
    options = turn_options(Config(max_steps=3, turn_timeout=60, temperature=0.5, max_tokens=99))
    assert options.max_steps == 3
    assert options.timeout == 60
    assert options.sampling == Sampling(temperature=0.5, max_tokens=99)
    assert options.save_full_result is not None
    sampling = Sampling(1.0, 40, 0.9, 0.05, 1.1, 32, ("END",), 7, 99)
    settings = Config(
        temperature=1.0,
        top_k=40,
        top_p=0.9,
        min_p=0.05,
        repeat_penalty=1.1,
        repeat_last_n=32,
        stop=("END",),
        seed=7,
        max_tokens=99,
    )
    assert turn_options(settings).sampling == sampling
    preset = Config(preset="hot", presets={"hot": {"temperature": 2.0}})
    assert turn_options(preset).sampling.temperature == 2.0
    saved = Path(options.save_full_result("read_book", "Call me Ishmael."))
    assert saved.parent == own_folders / "state" / "results"
    assert saved.read_text() == "Call me Ishmael."


@pytest.fixture
def opened(qwen_path: Path, own_folders: Path) -> Iterator[Session]:
    write_config(own_folders, "policy.toml", DENY_ALL)
    write_config(own_folders, "config.toml", "context = 512\nmax_tokens = 5")
    options = TurnOptions(sampling=Sampling(max_tokens=3))
    session = open_session(str(qwen_path), [ADD], options=options, system="Be brief.")
    yield session
    assert isinstance(session.engine, SubprocessEngine)
    session.engine.close()


def test_an_opened_session_has_the_users_model_settings_and_policy(opened: Session) -> None:
    assert opened.engine.context_size == 512
    assert opened.messages == [SystemMessage("Be brief.")]
    assert opened.approver.policy_path == config.folders().config / "policy.toml"
    (done,) = (event for event in opened.send("Hello") if isinstance(event, Done))
    assert done.finish_reason == "length"
    assert done.usage.reply_tokens == 3


def test_a_model_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(ModelMissing):
        open_session("/nope.gguf")
    with pytest.raises(ModelMissing, match="run `xlam-local models pull demo`"):
        load_model("demo")
