"""The page about the app: its commands, keys and numbers are those of the code."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.doc_pages import ROOT, code_blocks, table_rows
from xlam_local.attachments import MAX_ATTACHMENT_BYTES
from xlam_local.tui.app import XlamApp
from xlam_local.tui.commands import COMMANDS
from xlam_local.tui.keymap import collect_bindings, load_keymap
from xlam_local.tui.screens.chat import MIN_SIZE, WIDE_COLUMNS, ChatScreen
from xlam_local.tui.widgets.approval import READ_DELAY_S, Approval
from xlam_local.tui.widgets.transcript import Transcript

PAGE = ROOT / "docs" / "app.md"
TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())
BINDINGS = collect_bindings([XlamApp, ChatScreen, Approval, Transcript])


def shown_keys(keys: str) -> str:
    """Return keys as the page shows them: "Ctrl+R" for "ctrl+r"."""
    return "+".join(part.capitalize() for part in keys.split("+"))


def test_the_page_has_every_command_with_its_key() -> None:
    assert table_rows(PAGE, "Command") == [
        [f"`{command.usage}`", shown_keys(command.key), command.help] for command in COMMANDS
    ]


def test_the_page_has_the_keys_of_approvals_and_messages() -> None:
    rows = [*table_rows(PAGE, "Key"), *table_rows(PAGE, "Key in messages")]
    shown = " ".join(row[0] for row in rows)
    for owner in (Approval, Transcript):
        for name, binding in collect_bindings([owner]).items():
            key = binding.keys.partition(",")[0]
            if name not in {"chat.previous", "chat.next", "chat.home", "chat.end"}:
                assert f"`{key}`" in shown or key.capitalize() in shown, name


def test_the_example_of_keys_is_valid(tmp_path: Path) -> None:
    (example,) = code_blocks(PAGE, "toml")
    (tmp_path / "keys.toml").write_text(example, encoding="utf-8")
    assert load_keymap(tmp_path / "keys.toml", BINDINGS)


def test_the_page_has_the_limits_of_the_code() -> None:
    assert f"{MIN_SIZE.width} columns and {MIN_SIZE.height} lines" in TEXT
    assert f"first {READ_DELAY_S} seconds" in TEXT
    assert f"terminal of {WIDE_COLUMNS} columns or more" in TEXT
    assert f"at most {MAX_ATTACHMENT_BYTES:,} bytes" in TEXT
