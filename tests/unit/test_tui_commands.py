"""The table of commands and the key bindings, and the page that documents them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import app_with, submit, wait_idle, wait_until
from xlam_local.errors import UsageError
from xlam_local.tui.app import XlamApp
from xlam_local.tui.commands import COMMANDS, COMMANDS_BY_NAME
from xlam_local.tui.keymap import load_keymap


def test_each_command_has_a_method_and_each_method_a_command() -> None:
    prefix = "command_"
    methods = {name.removeprefix(prefix) for name in dir(XlamApp) if name.startswith(prefix)}
    assert methods == COMMANDS_BY_NAME.keys()


def test_no_two_commands_have_the_same_key() -> None:
    keys = [command.key for command in COMMANDS if command.key]
    assert len(keys) == len(set(keys))


@pytest.mark.slow
async def test_an_error_of_a_command_is_a_notification() -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        for command in ("/rename", "/import", "/copy", "/theme none"):
            await submit(pilot, command)
        await wait_until(pilot, lambda: len(app._notifications) == 4)
        shown = [notification.message for notification in app._notifications]
    assert shown[:3] == [
        "A title is missing: /rename TITLE",
        "A file is missing: /import FILE",
        "There is no answer to copy.",
    ]
    assert shown[3].startswith("There is no theme 'none'. Use one of: ")


async def test_the_last_answer_is_rated() -> None:
    app = app_with(Scripted(["Hello."]))
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        for command in ("/rate up", "/rate", "/rate good"):
            await submit(pilot, command)
        await wait_until(pilot, lambda: len(app._notifications) == 3)
        shown = [notification.message for notification in app._notifications]
        assert "rate" in shown[0]
        assert shown[1:] == ["A rating is missing: /rate up, /rate down or /rate none"] * 2
        await submit(pilot, "Hi")
        await wait_idle(pilot)
        conversation = app.controller.conversation

        def ratings() -> list[int]:
            assert conversation.history is not None
            assert conversation.id is not None
            return list(conversation.history.ratings(conversation.id).values())

        await submit(pilot, "/rate up")
        await wait_until(pilot, lambda: ratings() == [1])
        await submit(pilot, "/rate down")
        await wait_until(pilot, lambda: ratings() == [-1])
        await submit(pilot, "/rate none")
        await wait_until(pilot, lambda: not ratings())


def test_keys_toml_changes_keys_and_its_errors_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    assert load_keymap(path, ["app.quit"]) == {}
    path.write_text('"app.quit" = "ctrl+x"')
    assert load_keymap(path, ["app.quit"]) == {"app.quit": "ctrl+x"}
    for text, message in (
        ("x", "is not valid TOML"),
        ('"no" = "x"', "no key binding is named 'no'. Use one of: app.quit"),
        ('"app.quit" = 3', "app.quit must be a key such as 'ctrl\\+t'"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            load_keymap(path, ["app.quit"])
