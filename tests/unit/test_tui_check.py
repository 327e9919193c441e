"""The app shows the results of a check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.tui_helpers import app_with, screen_text, submit, wait_idle, wait_until

LONG_NAME = "cancel the second order of a customer who has moved"


def row(scenario: str, run: int, cause: str = "", diff: tuple[str, ...] = ()) -> str:
    """Return a line of a file that `check --out` has written."""
    detail = "It was called with amount 3, not 2." if cause else ""
    return json.dumps(
        {
            "id": f"{scenario}/{run}",
            "scenario": scenario,
            "variation": "",
            "run": run,
            "case": "1",
            "user": "script",
            "passed": not cause,
            "cause": cause,
            "detail": detail,
            "diff": diff,
        }
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl"
    rows = [
        row("return a lamp", 1),
        row("return a lamp", 2, "wrong argument", ("- amount: 2", "+ amount: 3")),
        row(LONG_NAME, 1, "no call"),
        row(LONG_NAME, 2, "no call"),
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_check_has_rates_and_causes(results: Path, size: tuple[int, int]) -> None:
    app = app_with(Scripted())
    async with app.run_test(size=size) as pilot:
        await wait_idle(pilot)
        await submit(pilot, f"/check {results}")
        await wait_until(pilot, lambda: "█████░░░░░ 1 of 2" in screen_text(app))
        shown = screen_text(app)
        assert "Check runs.jsonl" in shown
        assert "░░░░░░░░░░ 0 of 2" in shown
        assert "pass@1" in shown
        assert "pass^2" in shown
        assert "25.0" in shown
        assert re.search("wrong argument +1", shown)
        assert "+ amount: 3" in shown
        await pilot.press("down")
        await wait_until(pilot, lambda: bool(re.search("no call +2", screen_text(app))))
        assert "+ amount: 3" not in screen_text(app)
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.chat)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("/check", "A file is missing: /check FILE"),
        ("/check {}/none.jsonl", "none.jsonl"),
        ("/check {}/other.jsonl", "is no result of `xlam-local check`"),
        ("/check {}/short.jsonl", "is no result of `xlam-local check`"),
    ],
)
async def test_a_file_that_is_no_check_is_an_error(
    command: str, error: str, tmp_path: Path
) -> None:
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    short = {key: value for key, value in json.loads(row("a", 1)).items() if key != "diff"}
    (tmp_path / "short.jsonl").write_text(json.dumps(short) + "\n", encoding="utf-8")
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_idle(pilot)
        await submit(pilot, command.format(tmp_path))
        await wait_until(pilot, lambda: any(error in shown.message for shown in app._notifications))
