"""A model drafts scenarios; only those whose calls run and change something are proposed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import run
from tests.fakes.fake_engine import Scripted
from tests.fakes.scenario_worlds import SCENARIO, make_scenarios, make_setup, note_tools
from xlam_local.engine.load_options import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.scenarios.combine import scenarios_toml
from xlam_local.scenarios.propose import ProposedScenario, Proposer, draft_schema
from xlam_local.scenarios.scenario_file import read_scenarios
from xlam_local.schema import validate

WORLDS = make_setup(Scripted()).worlds


def draft(request: str, name: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"request": request, "calls": [{"name": name, "arguments": arguments}]})


def proposals(folder: Path, *replies: str, seed: int = 4) -> list[ProposedScenario]:
    scenarios = make_scenarios(folder, SCENARIO)
    engine = Scripted(*([reply] for reply in replies))
    proposer = Proposer(scenarios, note_tools(folder), engine, WORLDS)
    found = list(proposer.drafts(len(replies), seed))
    assert '"bread", "salt"' in engine.prompts[0]
    assert [sampling.seed for sampling in engine.samplings] == list(
        range(seed, seed + len(replies))
    )
    return found


def test_a_draft_that_changes_something_is_proposed_and_read_again(tmp_path: Path) -> None:
    (found,) = proposals(tmp_path, draft("Please note eggs.", "add", {"text": "eggs"}))
    assert found.scenario is not None
    assert found.diff == [
        '- notes.json: ["bread", "salt"]',
        '+ notes.json: ["bread", "salt", "eggs"]',
    ]
    path = tmp_path / "new.toml"
    path.write_text(scenarios_toml([found.scenario], tmp_path))
    (again,) = read_scenarios(path)
    assert (again.user, again.proposed) == (("Please note eggs.",), "scripted")
    assert again.calls == found.scenario.calls


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (draft("Which notes are there?", "list", {}), "the calls change nothing"),
        (draft("Note that milk is missing.", "add", {"text": "milk"}), "is there already"),
        (draft("Please note eggs.", "note", {"text": "eggs"}), "not within the schema"),
        ("Eggs", "not valid JSON"),
    ],
)
def test_other_drafts_are_left_out_with_the_reason(reply: str, reason: str, tmp_path: Path) -> None:
    (found,) = proposals(tmp_path, reply)
    assert found.scenario is None
    assert reason in found.reason


def test_the_schema_of_drafts_allows_only_valid_calls(tmp_path: Path) -> None:
    schema = draft_schema(note_tools(tmp_path))
    assert not validate(json.loads(draft("Please note it.", "add", {"text": "a"})), schema)
    for name, arguments in (("add", {}), ("note", {"text": "a"}), ("add", {"text": 3})):
        assert validate(json.loads(draft("Please note it.", name, arguments)), schema)


def test_random_weights_propose_nothing_that_does_not_run(tmp_path: Path, qwen_path: Path) -> None:
    scenarios = make_scenarios(tmp_path, SCENARIO)
    with closing(LocalEngine.load(qwen_path, LoadOptions(context_size=4096))) as engine:
        proposer = Proposer(scenarios, note_tools(tmp_path), engine, WORLDS)
        found = list(proposer.drafts(3, 1))
    assert len(found) == 3
    assert all(one.diff for one in found if one.scenario is not None)


def test_drafts_need_a_terminal(tmp_path: Path) -> None:
    make_scenarios(tmp_path, SCENARIO.replace("add", "append"))
    tools = tmp_path / "tools.py"
    tools.write_text(
        "from xlam_local import Effect, tool\n\n"
        "@tool(Effect.WRITE)\n"
        "def append(text: str) -> str:\n"
        "    return text\n"
    )
    arguments = ("check", str(tmp_path / "notes.toml"), "--tools", str(tools), "--trust")
    done = run(*arguments, "--propose", "2", "--to", str(tmp_path / "new.toml"))
    assert done.returncode == 2
    assert "no terminal to ask on" in done.stderr
    assert run(*arguments, "--propose", "2").returncode == 2
