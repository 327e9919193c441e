"""The approver in a session: policy file, approval prompts, grants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.fake_user import FakeUser, call_results, scripted_call
from xlam_local.errors import ToolError, UsageError
from xlam_local.permissions import Grant
from xlam_local.permissions.approver import Approver, deny_non_interactive, load, save_grant
from xlam_local.session import Session
from xlam_local.types import (
    AllowAlways,
    AllowEdited,
    AllowOnce,
    ApprovalRequest,
    Decision,
    Deny,
    Effect,
    Tool,
    ToolCall,
    ToolResult,
)

ANY = {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}


def make_tool(name: str = "save", effect: Effect = Effect.WRITE, **more: Any) -> Tool:
    return Tool(name, "", ANY, effect, lambda **given: f"{name} ran with {given}", **more)


SAVE = make_tool()


def save(**arguments: Any) -> list[str]:
    return scripted_call("save", **arguments)


def test_the_user_sees_the_reason_and_the_preview(tmp_path: Path) -> None:
    shown = make_tool(preview=lambda path: f"+ {path}")
    user = FakeUser(AllowOnce())
    call_results(Approver(cwd=tmp_path), user, save(path="../x"), tools=(shown,))
    (question,) = user.requests
    assert question.preview == "+ ../x"
    assert "It writes to this machine." in question.reason
    assert f"outside the working folder: {tmp_path.parent / 'x'}" in question.reason


def test_a_failed_preview_is_the_result_of_the_call(tmp_path: Path) -> None:
    def preview(path: str) -> str:
        raise ToolError("There is no such file.")

    user = FakeUser()
    tool = make_tool(preview=preview)
    (result,) = call_results(Approver(cwd=tmp_path), user, save(path="x"), tools=(tool,))
    assert (result.output, user.requests) == ("There is no such file.", [])


def test_a_denial_does_not_ask_and_gives_the_model_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "deny"\ntool = "save"\nreason = "Nothing is saved here."')
    user = FakeUser()
    (result,) = call_results(Approver.open(path, tmp_path), user, save(path="x"), tools=(SAVE,))
    assert result.refused
    assert "Nothing is saved here." in result.output
    assert user.requests == []


def test_allow_always_for_a_tool_asks_once(tmp_path: Path) -> None:
    user = FakeUser(AllowAlways())
    call_results(Approver(cwd=tmp_path), user, save(path="x"), save(path="y"), tools=(SAVE,))
    assert len(user.requests) == 1


def test_allow_always_for_a_call_asks_for_another_call(tmp_path: Path) -> None:
    user = FakeUser(AllowAlways(exact_arguments=True), AllowOnce())
    calls = save(path="x"), save(path="y"), save(path="x")
    results = call_results(Approver(cwd=tmp_path), user, *calls, tools=(SAVE,))
    assert [question.call.arguments["path"] for question in user.requests] == ["x", "y"]
    assert len(results) == 3


def test_the_policy_and_the_user_decide_on_the_arguments_that_the_user_edited(
    tmp_path: Path,
) -> None:
    user = FakeUser(AllowEdited({"path": "b"}), AllowOnce())
    (result,) = call_results(Approver(cwd=tmp_path), user, save(path="a"), tools=(SAVE,))
    assert [request.call.arguments for request in user.requests] == [{"path": "a"}, {"path": "b"}]
    assert result.call.arguments == {"path": "b"}
    assert result.output == (
        'The user changed the arguments of this call to {"path": "b"}. The result:\n'
        "save ran with {'path': 'b'}"
    )
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\ndecision = 'deny'\ntool = 'save'\npath = 'secret'\n")
    user = FakeUser(AllowEdited({"path": "secret"}))
    approver = Approver.open(policy, tmp_path)
    (result,) = call_results(approver, user, save(path="a"), tools=(SAVE,))
    assert result.refused


def test_edited_arguments_must_be_valid_and_may_be_the_same(tmp_path: Path) -> None:
    user = FakeUser(AllowEdited({"path": 7}), AllowEdited({"path": "a"}))
    calls = (save(path="a"), save(path="a"))
    invalid, same = call_results(Approver(cwd=tmp_path), user, *calls, tools=(SAVE,))
    assert "path" in invalid.output
    assert not invalid.ok
    assert same.output == "save ran with {'path': 'a'}"


def test_a_grant_for_an_edited_call_is_for_its_arguments(tmp_path: Path) -> None:
    user = FakeUser(AllowEdited({"path": "b"}), AllowAlways(exact_arguments=True), Deny())
    results = call_results(
        Approver(cwd=tmp_path), user, save(path="a"), save(path="b"), save(path="c"), tools=(SAVE,)
    )
    assert [result.ok for result in results] == [True, True, False]


def test_a_permanent_grant_is_saved_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "config" / "policy.toml"
    path.parent.mkdir()
    path.write_text("# My rules.\n")
    approver = Approver.open(path, tmp_path)
    user = FakeUser(AllowAlways(exact_arguments=True, permanent=True), AllowAlways(permanent=True))
    call_results(approver, user, save(path="x"), save(path="y"), tools=(SAVE,))
    assert path.read_text().startswith("# My rules.\n")
    assert [bool(grant.call) for grant in load(path).grants] == [True, False]
    assert list(path.parent.iterdir()) == [path]
    other = FakeUser()
    call_results(Approver.open(path, tmp_path), other, save(path="z"), tools=(SAVE,))
    assert other.requests == []


def test_a_grant_for_the_session_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    user = FakeUser(AllowAlways())
    call_results(Approver.open(path, tmp_path), user, save(path="x"), tools=(SAVE,))
    assert not path.exists()


def test_a_grant_does_not_lift_a_denial(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "deny"\narguments = {path = "*.env"}\n')
    user = FakeUser(AllowAlways(permanent=True))
    calls = save(path="x"), save(path="a/../.env")
    results = call_results(Approver.open(path, tmp_path), user, *calls, tools=(SAVE,))
    assert [result.refused for result in results] == [False, True]


def test_changing_the_shown_call_does_not_change_the_call_that_runs(tmp_path: Path) -> None:
    def preview(text: str, path: str) -> str:
        return "harmless"

    def approve(question: ApprovalRequest) -> Decision:
        dict.update(question.call.arguments, path="/etc/passwd")
        return AllowOnce()

    engine = Scripted(save(path="x", text="t"), ["Done."])
    tool = make_tool(preview=preview)
    session = Session(engine, [tool], approve, approver=Approver(cwd=tmp_path))
    session.ask("Go.")
    (result,) = (message for message in session.messages if isinstance(message, ToolResult))
    assert "passwd" not in result.output


def test_a_link_changed_while_waiting_for_approval_denies_the_call(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")

    def approve(question: ApprovalRequest) -> Decision:
        link.unlink()
        link.symlink_to("/etc")
        return AllowOnce()

    engine = Scripted(save(path="link/x"), ["Done."])
    session = Session(engine, [SAVE], approve, approver=Approver(cwd=tmp_path))
    session.ask("Go.")
    (result,) = (message for message in session.messages if isinstance(message, ToolResult))
    assert result.refused
    assert "The call's target changed while waiting for approval." in result.output


def test_a_grant_for_a_call_does_not_follow_a_changed_link(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    approver = Approver(cwd=tmp_path)
    call_results(
        approver, FakeUser(AllowAlways(exact_arguments=True)), save(path="link/x"), tools=(SAVE,)
    )
    link.unlink()
    link.symlink_to("/etc")
    user = FakeUser(Deny())
    call_results(approver, user, save(path="link/x"), tools=(SAVE,))
    assert len(user.requests) == 1


def test_a_resumed_conversation_is_still_tainted(tmp_path: Path) -> None:
    read = make_tool("read_file", Effect.READ)
    send = make_tool("send", Effect.NETWORK)
    approver = Approver(cwd=tmp_path)
    approver.allow(send)
    session = Session(
        Scripted(scripted_call("send", text="x"), ["Done."]), [read, send], approver=approver
    )
    session.resume([ToolResult(ToolCall("call_0", "read_file", {"path": "a"}), "secret")])
    session.ask("Go.")
    assert isinstance(session.messages[-2], ToolResult)
    assert session.messages[-2].refused


def test_a_non_interactive_denial_says_how_to_allow_the_call(tmp_path: Path) -> None:
    send = make_tool("send", Effect.NETWORK)
    plain = ApprovalRequest(send, ToolCall("call_0", "send", {}), "It uses the network.")
    assert deny_non_interactive(plain).reason == (
        "It uses the network. It needs approval, and no user can be asked here. "
        "To allow it, use --allow send."
    )
    tainted = ApprovalRequest(send, plain.call, "The call could send the data out.", tainted=True)
    assert (
        "add a rule with `tainted = true` to policy.toml." in deny_non_interactive(tainted).reason
    )


def test_an_invalid_policy_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "perhaps"')
    with pytest.raises(UsageError, match=r"policy\.toml: Rule 1: decision"):
        load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(path)
    with pytest.raises(UsageError, match="is a folder, not a file"):
        load(tmp_path)


def test_a_changed_policy_applies_to_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    approver = Approver.open(path, tmp_path)
    user = FakeUser(AllowOnce())
    call_results(approver, user, save(path="x"), tools=(SAVE,))
    path.write_text('[[rule]]\ndecision = "allow"')
    call_results(approver, user, save(path="x"), tools=(SAVE,))
    path.write_text('[[rule]]\ndecision = "all"')
    for _ in range(2):
        (result,) = call_results(approver, user, save(path="x"), tools=(SAVE,))
        assert result.refused
        assert "Rule 1: decision must be allow" in result.output
    path.unlink()
    user.answers.append(Deny())
    call_results(approver, user, save(path="x"), tools=(SAVE,))
    assert len(user.requests) == 2


def test_a_grant_that_no_file_can_hold_denies_the_call(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    user = FakeUser(AllowAlways(exact_arguments=True, permanent=True))
    approver = Approver.open(path, tmp_path)
    call = ToolCall("call_0", "save", {"text": "\ud800"})  # a caller's; no reply has such a text
    decision = approver.decide(SAVE, call, [], [SAVE], user)
    assert isinstance(decision, Deny)
    assert "half of a surrogate pair" in decision.reason
    assert not path.exists()


def test_a_grant_that_cannot_be_saved_denies_the_call(tmp_path: Path) -> None:
    # The name is valid, but the longer name of the temporary file beside it is not.
    path = tmp_path / ("p" * 255)
    user = FakeUser(AllowAlways(permanent=True), Deny())
    calls = save(path="x"), save(path="y")
    result, again = call_results(Approver.open(path, tmp_path), user, *calls, tools=(SAVE,))
    assert result.refused
    assert "The permission could not be saved." in result.output
    assert "cannot be written" in result.output
    assert again.refused
    assert len(user.requests) == 2
    with pytest.raises(UsageError, match="is a folder, not a file"):
        save_grant(tmp_path, Grant("f"))
    inline = tmp_path / "policy.toml"
    inline.write_text('grant = [{tool = "f"}]')
    with pytest.raises(UsageError, match=r"policy\.toml: Write `grant` as"):
        save_grant(inline, Grant("g"))
