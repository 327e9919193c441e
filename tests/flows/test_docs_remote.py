"""The page about remote engines: its tables against the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.command_line import run
from tests.fakes.doc_pages import ROOT, code_blocks, table_rows
from tests.fakes.remote_server import remote_server
from xlam_local.models.catalog import XLAM
from xlam_local.models.user_catalog import REMOTE_KEYS, load_remote_entries
from xlam_local.remote import http, server_kinds
from xlam_local.remote.address import DEFAULT_KEY_ENV, parse_url

PAGE = ROOT / "docs" / "remote.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_lists_the_servers() -> None:
    rows = {row[0]: row[1] for row in table_rows(PAGE, "server")}
    kinds = {kind.title: kind for _, kind, _ in server_kinds.ROUTES}
    assert {kind.title for kind in kinds.values()} <= set(rows)
    for title, kind in kinds.items():
        assert rows[title] == ("token ids" if kind.takes_tokens else "text")


def test_the_page_lists_the_keys_of_entries(tmp_path: Path) -> None:
    assert [row[0].strip("`") for row in table_rows(PAGE, "key")] == list(REMOTE_KEYS)
    (block,) = code_blocks(PAGE, "toml")
    (tmp_path / "models.toml").write_text(block)
    entries = load_remote_entries(tmp_path)
    assert [parse_url(entry.url).model for entry in entries.values()] == [
        "Salesforce/xLAM-2-32b-fc-r",
        "our-finetune",
    ]
    assert f"`{DEFAULT_KEY_ENV}` by default" in TEXT


def test_the_page_has_the_limits() -> None:
    limits = [row[1] for row in table_rows(PAGE, "wait")]
    timeouts = http.DEFAULT_TIMEOUTS
    assert limits == [f"{t:g} s" for t in (timeouts.connect, timeouts.first_byte, timeouts.idle)]
    statuses = sorted(http.RETRYABLE_STATUSES)
    assert f"{', '.join(map(str, statuses[:-1]))} and {statuses[-1]}" in TEXT
    assert f"`Retry-After` is followed up to {http.MAX_RETRY_AFTER_S:g} s" in TEXT


def test_the_page_and_the_catalog_have_the_same_commands() -> None:
    for model in XLAM:
        if model.name in ("xlam-2-32b", "xlam-2-70b"):
            command = model.note.split("`")[1]
            assert f"\n{command}\n" in TEXT
            shown = " ".join(run("models", "show", model.name).stdout.split())
            assert command in shown
            assert "-m http://HOST:8000" in shown


def test_the_program_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = code_blocks(PAGE, "python")
    assert "http://127.0.0.1:8000" in block
    with remote_server(text="Lima.") as server:
        code = block.replace("http://127.0.0.1:8000", server.url)
        exec(compile(code, "docs/remote.md", "exec"), {})
    assert capsys.readouterr().out == "Lima.\n"
