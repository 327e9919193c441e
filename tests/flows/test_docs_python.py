"""The Python blocks of every page, and the tables of docs/python-api.md."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import xlam_local
from tests.fakes.doc_pages import PAGES, ROOT, code_blocks, names_in, table_rows
from xlam_local import config, errors, types
from xlam_local.errors import XlamError
from xlam_local.models import Store, import_gguf

PAGE = ROOT / "docs" / "python-api.md"
RUN_ELSEWHERE = {
    ROOT / "docs" / name for name in ("adapters.md", "models.md", "remote.md", "serve.md")
}
"""Pages whose Python needs more than a small model; other tests run it."""


def test_every_exported_name_has_an_example() -> None:
    names = set(re.findall(r"\w+", "\n".join(code_blocks(PAGE, "python"))))
    assert [name for name in xlam_local.__all__ if name not in names] == []


def test_the_sampling_table_has_the_fields_and_defaults() -> None:
    documented = {names_in(row[0])[0]: row[1].strip("`") for row in table_rows(PAGE, "field")}
    assert documented == {
        field.name: f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        for field in fields(types.Sampling)
    }


def test_every_event_is_documented() -> None:
    documented = {name for row in table_rows(PAGE, "event") for name in names_in(row[0])}
    assert documented == {kind.__name__ for kind in get_args(types.Event)} - {"UserMessage"}


def test_every_finish_reason_is_documented_with_its_error() -> None:
    rows = table_rows(PAGE, "`finish_reason`")
    assert [names_in(row[0]) for row in rows] == [[r] for r in get_args(types.FinishReason)]
    documented = {names_in(row[0])[0]: names_in(row[2]) for row in rows}
    for reason, (kind, _) in errors.FINISH_ERRORS.items():
        assert documented[reason] == [kind.__name__]


def test_every_error_is_documented_with_its_exit_code() -> None:
    documented = {
        name: int(row[1]) for row in table_rows(PAGE, "error") for name in names_in(row[0])
    }
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert documented == {
        kind.__name__: kind.exit_code for kind in classes if issubclass(kind, XlamError)
    }


@pytest.mark.model
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in RUN_ELSEWHERE and code_blocks(page, "python")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_the_python_blocks_of_a_page_run(
    page: Path, small_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the blocks in order with shared names; `demo` and `model.gguf` are a small model."""
    folders = config.folders()
    store = Store.from_folders(folders.config, folders.data)
    list(import_gguf.link(small_path, store, "small"))
    (tmp_path / "model.gguf").symlink_to(small_path)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": page.stem}
    for number, block in enumerate(code_blocks(page, "python"), 1):
        code = block.replace('"demo"', '"small"')
        name = f"{page.name}, Python block {number}"
        exec(compile(code, name, "exec", dont_inherit=True), namespace)
