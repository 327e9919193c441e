"""The user's policy and answers, as a session meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xlam_local.consent import Consent, load, remember, unasked
from xlam_local.errors import ToolError, UsageError
from xlam_local.policy import Allowance
from xlam_local.session import Session
from xlam_local.types import (
    Always,
    Decision,
    Effect,
    No,
    Once,
    Question,
    Result,
    Tool,
    ToolCall,
)

from .asking import User, play, said
from .scripted import Scripted

ANY = {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}


def made(name: str = "save", effect: Effect = Effect.WRITE, **more: Any) -> Tool:
    return Tool(name, "", ANY, effect, lambda **given: f"{name} ran with {given}", **more)


SAVE = made()


def save(**arguments: Any) -> list[str]:
    return said("save", **arguments)


def test_what_asks_is_shown_with_its_reason_and_its_preview(tmp_path: Path) -> None:
    shown = made(preview=lambda path: f"+ {path}")
    user = User(Once())
    play(Consent(folder=tmp_path), user, save(path="../x"), tools=(shown,))
    (question,) = user.asked
    assert question.preview == "+ ../x"
    assert "It writes on this machine." in question.why
    assert f"outside the working folder: {tmp_path.parent / 'x'}" in question.why


def test_a_preview_that_fails_is_the_result_and_nobody_is_asked(tmp_path: Path) -> None:
    def preview(path: str) -> str:
        raise ToolError("There is no such file.")

    user = User()
    tool = made(preview=preview)
    (result,) = play(Consent(folder=tmp_path), user, save(path="x"), tools=(tool,))
    assert (result.output, user.asked) == ("There is no such file.", [])


def test_a_policy_that_denies_asks_nobody_and_tells_the_model_why(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "deny"\ntool = "save"\nwhy = "Nothing is saved here."')
    user = User()
    (result,) = play(Consent.open(path, tmp_path), user, save(path="x"), tools=(SAVE,))
    assert result.refused
    assert "Nothing is saved here." in result.output
    assert user.asked == []


def test_always_for_the_tool_asks_once(tmp_path: Path) -> None:
    user = User(Always())
    play(Consent(folder=tmp_path), user, save(path="x"), save(path="y"), tools=(SAVE,))
    assert len(user.asked) == 1


def test_always_for_the_call_asks_for_another(tmp_path: Path) -> None:
    user = User(Always(exact=True), Once())
    calls = save(path="x"), save(path="y"), save(path="x")
    results = play(Consent(folder=tmp_path), user, *calls, tools=(SAVE,))
    assert [question.call.arguments["path"] for question in user.asked] == ["x", "y"]
    assert len(results) == 3


def test_for_good_is_written_down_beside_the_users_own_words(tmp_path: Path) -> None:
    path = tmp_path / "config" / "policy.toml"
    path.parent.mkdir()
    path.write_text("# My rules.\n")
    consent = Consent.open(path, tmp_path)
    user = User(Always(exact=True, keep=True), Always(keep=True))
    play(consent, user, save(path="x"), save(path="y"), tools=(SAVE,))
    assert path.read_text().startswith("# My rules.\n")
    assert [bool(one.call) for one in load(path).always] == [True, False]
    assert list(path.parent.iterdir()) == [path]
    other = User()
    play(Consent.open(path, tmp_path), other, save(path="z"), tools=(SAVE,))
    assert other.asked == []


def test_for_the_session_is_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    user = User(Always())
    play(Consent.open(path, tmp_path), user, save(path="x"), tools=(SAVE,))
    assert not path.exists()


def test_a_rule_that_denies_outlives_an_always(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "deny"\narguments = {path = "*.env"}\n')
    user = User(Always(keep=True))
    calls = save(path="x"), save(path="a/../.env")
    results = play(Consent.open(path, tmp_path), user, *calls, tools=(SAVE,))
    assert [result.refused for result in results] == [False, True]


def test_what_is_shown_cannot_change_what_runs(tmp_path: Path) -> None:
    def preview(text: str, path: str) -> str:
        return "harmless"

    def approve(question: Question) -> Decision:
        dict.update(question.call.arguments, path="/etc/passwd")
        return Once()

    session = Session(
        Scripted(save(path="x", text="t"), ["Done."]), [made(preview=preview)], approve
    )
    session.consent = Consent(folder=tmp_path)
    session.ask("Go.")
    (result,) = (message for message in session.messages if isinstance(message, Result))
    assert "passwd" not in result.output


def test_a_link_that_is_turned_while_the_user_thinks_refuses(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")

    def approve(question: Question) -> Decision:
        link.unlink()
        link.symlink_to("/etc")
        return Once()

    session = Session(Scripted(save(path="link/x"), ["Done."]), [SAVE], approve)
    session.consent = Consent(folder=tmp_path)
    session.ask("Go.")
    (result,) = (message for message in session.messages if isinstance(message, Result))
    assert result.refused
    assert "has changed while it was asked about" in result.output


def test_a_call_allowed_for_good_leads_where_it_led(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    consent = Consent(folder=tmp_path)
    play(consent, User(Always(exact=True)), save(path="link/x"), tools=(SAVE,))
    link.unlink()
    link.symlink_to("/etc")
    user = User(No())
    play(consent, user, save(path="link/x"), tools=(SAVE,))
    assert len(user.asked) == 1


def test_a_conversation_taken_up_again_is_tainted_still(tmp_path: Path) -> None:
    read = made("read_file", Effect.READ)
    send = made("send", Effect.NETWORK)
    consent = Consent(folder=tmp_path)
    consent.allow(send)
    session = Session(Scripted(said("send", text="x"), ["Done."]), [read, send])
    session.consent = consent
    session.messages.append(Result(ToolCall("call_0", "read_file", {"path": "a"}), "secret"))
    session.ask("Go.")
    assert isinstance(session.messages[-2], Result)
    assert session.messages[-2].refused


def test_where_nobody_can_be_asked_the_way_out_is_told(tmp_path: Path) -> None:
    send = made("send", Effect.NETWORK)
    plain = Question(send, ToolCall("call_0", "send", {}), "It reaches the network.")
    assert unasked(plain).reason == (
        "It reaches the network. Nobody can be asked here; --allow send would let it run."
    )
    tainted = Question(send, plain.call, "It could carry it away.", tainted=True)
    assert "a rule with `tainted = true` in policy.toml would" in unasked(tainted).reason


def test_a_policy_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "perhaps"')
    with pytest.raises(UsageError, match=r"policy\.toml: Rule 1: decision"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


def test_a_session_holds_the_users_own_policy(own_folders: Path) -> None:
    (own_folders / "config").mkdir(parents=True)
    (own_folders / "config" / "policy.toml").write_text('[[rule]]\ndecision = "deny"')
    session = Session(Scripted(save(path="x"), ["Done."]), [SAVE], User(Once()))
    session.ask("Go.")
    assert any(isinstance(message, Result) and message.refused for message in session.messages)


def test_a_policy_that_changes_holds_at_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    consent = Consent.open(path, tmp_path)
    user = User(Once())
    play(consent, user, save(path="x"), tools=(SAVE,))
    path.write_text('[[rule]]\ndecision = "allow"')
    play(consent, user, save(path="x"), tools=(SAVE,))
    path.write_text('[[rule]]\ndecision = "all"')
    for _ in range(2):
        (result,) = play(consent, user, save(path="x"), tools=(SAVE,))
        assert result.refused
        assert "Rule 1: decision is allow" in result.output
    path.unlink()
    user.answers.append(No())
    play(consent, user, save(path="x"), tools=(SAVE,))
    assert len(user.asked) == 2


def test_an_answer_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    path = tmp_path / "nowhere" / "policy.toml"
    user = User(Always(keep=True), No())
    calls = save(path="x"), save(path="y")
    result, again = play(Consent.open(path, tmp_path), user, *calls, tools=(SAVE,))
    assert result.refused
    assert "It could not be allowed for good." in result.output
    assert "cannot be written" in result.output
    assert again.refused
    assert len(user.asked) == 2
    with pytest.raises(UsageError, match="cannot be read"):
        remember(tmp_path, Allowance("f"))
