"""The page about batches: its rows, its options, its program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.doc_pages import ROOT, code_blocks, table_rows
from xlam_local.batch import batch_run, read_rows
from xlam_local.cli.batch import batch

PAGE = ROOT / "docs" / "batch.md"
TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())


def test_the_rows_of_the_page_are_valid(tmp_path: Path) -> None:
    (block,) = code_blocks(PAGE, "jsonl")
    (tmp_path / "in.jsonl").write_text(block)
    assert [row.id for row in read_rows(tmp_path / "in.jsonl")] == ["a", "b"]
    assert all(json.loads(line) for line in block.splitlines())


def test_the_page_lists_the_options_of_the_command() -> None:
    own = {option.opts[-1] for option in batch.params[2:6]}
    assert {row[0].strip("`") for row in table_rows(PAGE, "option")} == own


def test_the_page_has_the_limits() -> None:
    assert (batch_run.MAX_ATTEMPTS, batch_run.BREAKER_FAILURES) == (2, 4)
    assert "tried once more. After four failures in a row" in TEXT
    assert f"not used for {batch_run.BREAKER_PAUSE_S:g} seconds" in TEXT


def test_the_program_of_the_page_runs(
    qwen_path: Path, own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = own_folders / "config"
    config.mkdir(parents=True)
    settings = f'model = "{qwen_path}"\nmax_tokens = 4\ncontext = 512\n'
    (config / "config.toml").write_text(settings)
    (block,) = code_blocks(PAGE, "python")
    exec(compile(block, "docs/batch.md", "exec"), {})
    assert capsys.readouterr().out.startswith("a ")
