"""Two scenarios become a longer one if neither disturbs the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.command_line import run
from tests.fakes.doc_pages import ROOT
from tests.fakes.fake_engine import Scripted
from tests.fakes.scenario_worlds import SCENARIO, make_scenarios, make_setup
from tests.fakes.tool_calls import needs_isolation
from xlam_local.scenarios.combine import CombinedScenario, combine, scenarios_toml
from xlam_local.scenarios.gold import right_end_state
from xlam_local.scenarios.scenario_file import read_scenarios

REMOVE = """
name = "remove a note"
user = ["Bread is here.", "Thanks."]
calls = [{ name = "remove", arguments = { text = "bread" } }]
says = "removed"
facts = { text = { value = "bread ü", words = ["what"] } }
"""
SHOP = ROOT / "docs" / "examples" / "shop"
WORLDS = make_setup(Scripted()).worlds


def combined(folder: Path, *entries: str, count: int = 9) -> list[CombinedScenario]:
    return list(combine(make_scenarios(folder, *entries), count, 1, WORLDS))


def test_two_scenarios_are_combined_and_read_again(tmp_path: Path) -> None:
    (found,) = combined(tmp_path, SCENARIO, REMOVE)
    assert found.scenario is not None
    assert found.scenario.name == "add a note + remove a note"
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "new.toml"
    path.write_text(scenarios_toml([found.scenario], path.parent))
    (again,) = read_scenarios(path)
    assert again.user == ("Note that milk is missing.", "Bread is here.", "Thanks.")
    assert again.says == ("removed",)
    assert again.facts == found.scenario.facts
    state = right_end_state(again, WORLDS)
    assert state == {"notes.json": ('["salt", "milk"]',)}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (SCENARIO.replace("add a note", "again").replace("milk", "eggs"), "order of the calls"),
        (REMOVE + 'forbid = "add"', "add is forbidden by one and right for the other"),
    ],
)
def test_scenarios_that_disturb_each_other_are_left_out(
    entry: str, reason: str, tmp_path: Path
) -> None:
    (found,) = combined(tmp_path, SCENARIO, entry)
    assert found.scenario is None
    assert reason in found.reason


def test_facts_of_the_same_words_are_a_conflict(tmp_path: Path) -> None:
    (found,) = combined(tmp_path, SCENARIO + 'facts = { text = "milk" }', REMOVE)
    assert "both have facts for 'text'" in found.reason


def test_only_scenarios_that_change_something_are_combined(tmp_path: Path) -> None:
    look = 'name = "look"\nuser = "Look."\ncalls = [{ name = "list" }]'
    words = 'name = "words"\nuser = "Hello."\nsays = "hello"'
    assert combined(tmp_path, SCENARIO, look, words) == []


@needs_isolation
@pytest.mark.slow
def test_the_shop_is_combined_by_the_command(tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    arguments = ("check", str(SHOP / "shop.toml"), "--tools", str(SHOP / "shop.py"), "--trust")
    done = run(*arguments, "--combine", "2", "--to", str(new))
    assert done.returncode == 0, done.stderr
    assert f"2 scenarios are in {new}" in done.stderr
    assert len(read_scenarios(new)) == 2
    assert run(*arguments, "--combine", "2", "--to", str(new)).returncode == 2
    assert run(*arguments, "--combine", "2").returncode == 2
