"""Scenarios are read strictly, runs are judged by what they leave, and failures are named."""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.scenario_worlds import SCENARIO, calls, make_scenarios, make_setup, note_tools
from xlam_local.agent import TurnOptions
from xlam_local.errors import UsageError
from xlam_local.scenarios.gold import right_end_state
from xlam_local.scenarios.model_user import ModelUser
from xlam_local.scenarios.rates import (
    ScenarioRate,
    compare_rates,
    pass_power,
    pass_rate,
    pass_rates,
)
from xlam_local.scenarios.report import check_json, is_user_unreliable, rate_table
from xlam_local.scenarios.scenario_file import check_tools, read_scenarios
from xlam_local.scenarios.state import read_state, state_diff
from xlam_local.scenarios.trial import Trial, play_trial
from xlam_local.scenarios.variations import parse_variations, vary
from xlam_local.scenarios.world import fresh_world
from xlam_local.types import GenerationEnd, Sampling, ToolCall

ADD = ("add", {"text": "milk"})
DONE = "It is noted."
Reply = str | Sequence[str | GenerationEnd]


def play(folder: Path, replies: Sequence[Reply], entry: str = SCENARIO, **setup: Any) -> Any:
    """Return the row of a run in which the model writes `replies`."""
    (scenario,) = make_scenarios(folder, entry)
    script = [[reply] if isinstance(reply, str) else reply for reply in replies]
    made = make_setup(Scripted(*script), **setup)
    expected = right_end_state(scenario, make_setup(Scripted()).worlds)
    return play_trial(Trial(scenario, 1), made, expected)


TRAJECTORIES: dict[str, tuple[Sequence[Reply], dict[str, Any], str, str]] = {
    "nothing is called": ([DONE], {}, "no call", "add was not called"),
    "only a look": ([calls(("list", {})), DONE], {}, "no call", "add was not called"),
    "another tool changes": (
        [calls(("remove", {"text": "milk"})), DONE],
        {},
        "wrong tool",
        "remove instead of add",
    ),
    "another text": (
        [calls(("add", {"text": "mlik"})), DONE],
        {},
        "wrong argument",
        'add: text is "mlik", expected "milk"',
    ),
    "an argument too many": (
        [calls(("add", {"text": "milk", "times": 2})), DONE],
        {},
        "wrong argument",
        "add: times is 2, expected 1",
    ),
    "twice": (
        [calls(ADD, ("add", {"text": "eggs"})), DONE],
        {},
        "one too many",
        'add {"text": "eggs"}',
    ),
    "one more tool": (
        [calls(ADD), calls(("remove", {"text": "salt"})), DONE],
        {},
        "one too many",
        'remove {"text": "salt"}',
    ),
    "no approval": ([calls(ADD), DONE], {"allow": ()}, "refused", "add was refused"),
    "truncated": (
        [[calls(ADD)[:20], GenerationEnd(truncated=True)]],
        {},
        "cut",
        "the turn ended with 'length'",
    ),
    "in circles": (
        [*[calls(("find", {"text": "x"}))] * 3, DONE],
        {},
        "loop",
        "the turn ended with 'loop'",
    ),
    "too many steps": (
        [*[calls(("find", {"text": f"{n}"})) for n in range(3)], DONE],
        {"options": TurnOptions(max_steps=3)},
        "loop",
        "the turn ended with 'max_steps'",
    ),
    "calls of nothing": (
        [calls(("note", {})), calls(("note", {})), DONE],
        {},
        "invalid call",
        "the turn ended with 'invalid_tool_calls'",
    ),
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_twelve_trajectories_are_named_by_their_cause(name: str, tmp_path: Path) -> None:
    replies, setup, cause, detail = TRAJECTORIES[name]
    row = play(tmp_path, replies, **setup)
    assert (row["passed"], row["cause"], row["detail"]) == (False, cause, detail)


def test_the_right_calls_and_words_pass(tmp_path: Path) -> None:
    row = play(tmp_path, [calls(("list", {})), calls(ADD), "Noted, 1,000 times."], SAYS)
    assert row["passed"], row["detail"]
    assert row["cause"] == ""
    assert row["diff"] == []
    assert (row["replies"], row["reply_tokens"]) == (3, 9)


SAYS = f'{SCENARIO}says = ["noted", "1000"]'


def test_missing_words_a_forbidden_tool_and_the_users_own_check_fail(tmp_path: Path) -> None:
    row = play(tmp_path, [calls(ADD), "Done."], SAYS)
    assert row["cause"] == "wrong answer"
    assert row["detail"] == "the answers do not contain 'noted', '1000'"
    row = play(tmp_path, [calls(ADD), calls(("list", {})), DONE], f'{SCENARIO}forbid = "list"')
    assert row["cause"] == "one too many"
    assert row["detail"] == "list must not be called"
    (tmp_path / "own.py").write_text(
        "def looked(world, messages):\n"
        "    roles = [message['role'] for message in messages]\n"
        "    return None if 'tool' in roles else f'nothing was read in {len(roles)} messages'\n"
    )
    entry = 'name = "look"\nuser = "Look."\nexpect = "own.py:looked"'
    row = play(tmp_path, [DONE], entry)
    assert row["cause"] == "no call"
    assert "nothing was read in 2 messages" in row["detail"]
    assert play(tmp_path, [calls(("list", {})), DONE], entry)["passed"]


def test_the_diff_shows_what_is_missing_and_what_is_too_much(tmp_path: Path) -> None:
    row = play(tmp_path, [calls(("add", {"text": "eggs"})), DONE])
    assert row["diff"] == [
        '- notes.json: ["bread", "salt", "milk"]',
        '+ notes.json: ["bread", "salt", "eggs"]',
    ]


def test_the_user_says_lines_in_order_and_answers_questions_from_the_facts(tmp_path: Path) -> None:
    entry = SCENARIO + 'facts = { text = { value = "milk", words = ["what"] } }'
    row = play(tmp_path, ["Please tell me what to note.", calls(ADD), DONE], entry)
    assert row["passed"]
    said = [item["text"] for item in row["messages"] if item["kind"] == "user"]
    assert said == ["Note that milk is missing.", "The text is milk."]
    assert row["user"] == "fact sheet"
    row = play(tmp_path, ["On which shelf?", "Fine.", "Fine."], entry)
    said = [item["text"] for item in row["messages"] if item["kind"] == "user"]
    assert said[1:] == ["I don't know."]
    entry = SCENARIO.replace('"Note that milk is missing."', '["Note milk.", "And thanks."]')
    row = play(tmp_path, [calls(ADD), DONE, "You are welcome."], entry)
    assert [item["text"] for item in row["messages"] if item["kind"] == "user"] == [
        "Note milk.",
        "And thanks.",
    ]


def test_a_model_that_asks_without_end_is_stopped(tmp_path: Path) -> None:
    entry = SCENARIO + 'facts = { text = "milk" }'
    row = play(tmp_path, ["Which text?"] * 20, entry)
    assert (row["cause"], row["finish_reason"]) == ("loop", "max_steps")


def played(folder: Path, user_replies: Sequence[str], replies: Sequence[str]) -> Any:
    """Return the row of a run in which a second script plays a model as the user."""
    (scenario,) = make_scenarios(folder, SCENARIO + 'facts = { text = "milk" }')
    setup = make_setup(Scripted(*([reply] for reply in replies)))
    player = Scripted(*([reply] for reply in user_replies))
    setup = replace(setup, open_user=lambda scenario, seed: ModelUser(scenario, player, seed))
    row = play_trial(Trial(scenario, 1), setup, right_end_state(scenario, setup.worlds))
    said = [item["text"] for item in row["messages"] if item["kind"] == "user"]
    return row, said, player


def test_a_model_as_the_user_invents_nothing(tmp_path: Path) -> None:
    row, said, player = played(
        tmp_path, ["It is note 77.", "Milk, please."], ["Which text?", calls(ADD), DONE]
    )
    assert row["passed"]
    assert said == ["Note that milk is missing.", "Milk, please."]
    assert (row["user"], row["user_broken"]) == ("model scripted", 0)
    assert "- text: milk" in player.prompts[0]
    assert "add" not in player.prompts[0].split()
    assert not is_user_unreliable([row])


def test_a_model_as_the_user_ends_or_is_unreliable(tmp_path: Path) -> None:
    row, said, _ = played(tmp_path, ["END"], ["No."])
    assert (row["cause"], len(said)) == ("no call", 1)
    row, said, _ = played(tmp_path, ["Call 5.", "6.", "7.", "Note 8.", "END"], ["Which?", "No."])
    assert (row["user_broken"], said[-1]) == (1, "Note 8.")
    assert is_user_unreliable([row])
    assert "User unreliable" in rate_table([row]).note
    assert check_json([row])["user_unreliable"]


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    options = TurnOptions(sampling=Sampling(seed=5))
    rows = [play(tmp_path, [calls(ADD), DONE], options=options) for _ in range(2)]
    for row in rows:
        del row["seconds"]
    assert rows[0] == rows[1]
    assert rows[0]["seed"] == 5


def test_a_right_call_that_fails_or_needs_approval_is_an_error(tmp_path: Path) -> None:
    (scenario,) = make_scenarios(tmp_path, SCENARIO)
    with pytest.raises(UsageError, match=r"call 1 \(add\) needs approval.*--allow add"):
        right_end_state(scenario, make_setup(Scripted(), allow=()).worlds)


WRONG_FILES = {
    "": "has no scenarios",
    "x = 1": "Unknown key 'x'",
    "[[scenario]]\nname = 'a'": "scenario 1: user is required",
    "[[scenario]]\nname = 'a'\nuser = 'b'": "one of calls, says, forbid, expect is required",
    "[[scenario]]\nname = 'a'\nuser = 3\nsays = 'b'": "user must be a string or a list of strings",
    "[[scenario]]\nname = 'a'\nuser = 'b'\nsays = 'b'\nwants = 1": "Unknown key 'wants'",
    "[[scenario]]\nname = 'a'\nuser = 'b'\ncalls = 3": "calls must be a list of tables, not 3",
    "[[scenario]]\nname = 'a'\nuser = 'b'\ncalls = [{}]": "call 1: name is required",
    "[[scenario]]\nname = 'a'\nuser = 'b'\nsays = 'c'\nfacts = {d = []}": "facts: d must be",
    "[[scenario]]\nname = 'a'\nuser = 'b'\nexpect = 'c'": "expect must be FILE.py:FUNCTION",
    "[world]\nfolder = 'no'\n[[scenario]]\nname = 'a'\nuser = 'b'\nsays = 'c'": "world: folder",
    "[[scenario]]\nname = 'a'\nuser = 'b'\nsays = 'c'\n" * 2: "there are two 'a'",
    "[[scenario": "is not valid TOML",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_a_wrong_file_is_one_sentence_with_file_and_key(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        read_scenarios(path)
    assert str(error.value).startswith(str(path))
    assert WRONG_FILES[text] in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"add"', '"append"'), "calls names the tool 'append', which does not exist"),
        (('"milk"', "3"), r"call 1 \(add\)"),
    ],
)
def test_right_calls_must_be_valid(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    found = make_scenarios(tmp_path, SCENARIO.replace(*change))
    with pytest.raises(UsageError, match=f"scenario 1: .*{message}"):
        check_tools(found, note_tools(tmp_path))


def test_what_decides_a_run_changes_the_digest(tmp_path: Path) -> None:
    (before,) = make_scenarios(tmp_path, SCENARIO)
    (after,) = make_scenarios(tmp_path, SCENARIO.replace("milk", "eggs"))
    (tmp_path / "start" / "notes.json").write_text("[]")
    (later,) = read_scenarios(tmp_path / "notes.toml")
    assert len({before.digest, after.digest, later.digest}) == 3


def test_a_world_is_a_fresh_copy(tmp_path: Path) -> None:
    (tmp_path / "set.py").write_text("def up(world):\n    (world / 'more.txt').write_text('a')\n")
    (tmp_path / "base.sql").write_text("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2);")
    entry = f'{SCENARIO}world = {{folder = "start", database = "base.sql", setup = "set.py:up"}}'
    (scenario,) = make_scenarios(tmp_path, entry)
    states = []
    for _ in range(2):
        with fresh_world(scenario.start) as world:
            states.append(read_state(world))
            (world / "notes.json").unlink()
        assert not world.exists()
    assert states[0] == states[1]
    assert states[0] == {
        "base.db": ("CREATE TABLE t (a, b)", 't {"a": 1, "b": 2}'),
        "more.txt": ("a",),
        "notes.json": ('["bread", "salt"]',),
    }


def test_a_script_cannot_open_another_database(tmp_path: Path) -> None:
    (tmp_path / "base.sql").write_text(f"ATTACH '{tmp_path}/other.db' AS o; CREATE TABLE o.t (a);")
    (scenario,) = make_scenarios(tmp_path, f'{SCENARIO}world = {{database = "base.sql"}}')
    with pytest.raises(UsageError, match="no SQL script"), fresh_world(scenario.start):
        pass
    assert not (tmp_path / "other.db").exists()


def test_states_of_databases_ignore_the_order_of_rows_and_named_columns(tmp_path: Path) -> None:
    def make(name: str, *rows: tuple[int, str]) -> dict[str, tuple[str, ...]]:
        (tmp_path / name).mkdir()
        with closing(sqlite3.connect(tmp_path / name / "a.db")) as database, database:
            database.execute("CREATE TABLE t (a, at)")
            database.executemany("INSERT INTO t VALUES (?, ?)", rows)
        (tmp_path / name / "run.log").write_text(name)
        return read_state(tmp_path / name, ["t.at", "*.log"])

    one = make("one", (1, "now"), (2, "now"))
    assert one == make("two", (2, "later"), (1, "later"))
    assert state_diff(one, make("three", (2, "x"), (3, "x"))) == [
        '- a.db: t {"a": 1}',
        '+ a.db: t {"a": 3}',
    ]


def count_all_right(outcomes: Sequence[bool], k: int) -> float:
    """Return the share of choices of k runs in which all are right."""
    chosen = list(itertools.combinations(outcomes, k))
    return sum(map(all, chosen)) / len(chosen)


def test_pass_k_is_the_share_of_choices_of_k_runs_that_are_all_right() -> None:
    for runs in range(1, 7):
        for passed in range(runs + 1):
            outcomes = [True] * passed + [False] * (runs - passed)
            for k in range(1, runs + 1):
                assert math.isclose(pass_power(passed, runs, k), count_all_right(outcomes, k))


def rates(*counts: tuple[int, int]) -> list[ScenarioRate]:
    return [ScenarioRate(f"s{n}", *count, {}, "d") for n, count in enumerate(counts)]


def test_rates_have_intervals_that_contain_them() -> None:
    found = pass_rates(rates((4, 4), (2, 4), (0, 4)))
    assert list(found) == [1, 2, 3, 4]
    assert found[1].value == pytest.approx(0.5)
    assert found[2].value == pytest.approx((1 + 1 / 6 + 0) / 3)
    for estimate in found.values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert pass_rate(rates((40, 40))).low > pass_rate(rates((4, 4))).low


def test_a_rate_is_worse_only_beyond_the_interval() -> None:
    good, bad = rates(*[(4, 4)] * 10), rates(*[(1, 4)] * 10)
    slightly = rates(*[(4, 4)] * 9, (3, 4))
    for after, verdict in ((bad, "worse"), (slightly, "not told apart"), (good, "not told apart")):
        difference = compare_rates(good, after)
        assert difference is not None
        assert difference.verdict == verdict
    better = compare_rates(bad, good)
    assert better is not None
    assert better.verdict == "better"
    assert compare_rates(good, [ScenarioRate("other", 1, 1, {})]) is None


def test_variations_keep_the_tools_and_give_back_their_names(tmp_path: Path) -> None:
    tools = note_tools(tmp_path)
    (tmp_path / "notes.json").write_text("[]")
    order, some, names, bare = parse_variations("order,distractors:3,names,descriptions")
    assert [str(one) for one in (order, some)] == ["order", "distractors:3"]
    shuffled = vary(tools, order, 1).tools
    assert shuffled != tuple(tools)
    assert sorted(tool.name for tool in shuffled) == sorted(tool.name for tool in tools)
    assert vary(tools, some, 4) is not None
    mixed = [tool.name for tool in vary(tools, some, 4).tools]
    assert len(mixed) == 7
    assert mixed == [tool.name for tool in vary(tools, some, 4).tools]
    renamed = vary(tools, names, 1)
    assert [tool.name for tool in renamed.tools] == ["tool_1", "tool_2", "tool_3", "tool_4"]
    call = ToolCall("call_0", "tool_3", {"argument_1": "milk"})
    assert renamed.original(call) == ToolCall("call_0", "add", {"text": "milk"})
    run = renamed.tools[2].run
    assert run is not None
    run(**call.arguments)
    assert json.loads((tmp_path / "notes.json").read_text()) == ["milk"]
    assert "description" not in json.dumps([tool.parameters for tool in vary(tools, bare, 1).tools])


@pytest.mark.parametrize("text", ["sort", "distractors:0", "distractors:99", "order:2", ""])
def test_an_unknown_variation_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="--vary"):
        parse_variations(text)
