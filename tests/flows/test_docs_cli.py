from __future__ import annotations

from pathlib import Path

from tests.scripts.cli_docs import EXIT_CODES, page, raised_codes

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_describes_the_commands_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/cli.md is out of date: python -m tests.scripts.cli_docs > docs/cli.md"
    )


def test_every_exit_code_is_described() -> None:
    assert raised_codes() <= set(EXIT_CODES)
