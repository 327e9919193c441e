"""The leaderboard's cases, prompts and verdicts are those of the original code.

XLAM_TRANSCRIPTS sets how many multi-turn cases of each category are played. A release is tested
with all 200, which takes about 20 minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.bfcl_process import Original, original
from tests.fakes.bfcl_replies import (
    REJECTED,
    ground_truths,
    json_lines,
    multi_turn_replies,
    mutations,
    right_calls,
)
from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from xlam_local import prompt
from xlam_local.checkpoint import Checkpoint
from xlam_local.evaluation import bfcl
from xlam_local.evaluation.bfcl_checker import Checker
from xlam_local.evaluation.categories import (
    CATEGORIES,
    IRRELEVANCE,
    LIVE,
    MULTI_TURN,
    NON_LIVE,
    RELEVANCE,
    SINGLE_TURN,
    case_count,
    expand,
    select,
)
from xlam_local.evaluation.checker_process import CheckerError
from xlam_local.evaluation.replies import EvalRequest, render
from xlam_local.evaluation.run import STOPPED, Judges, RunModel, play_bfcl, run_cases
from xlam_local.types import Sampling

pytestmark = pytest.mark.slow

TRANSCRIPTS = int(os.environ.get("XLAM_TRANSCRIPTS", "9"))
MUTATED_CASES = 12
"""The cases of each category whose ground truths are mutated."""


@pytest.fixture(scope="module")
def folders() -> tuple[Path, ...]:
    return fetch("bfcl"), fetch("mpmath")


@pytest.fixture(scope="module")
def checker(folders: tuple[Path, ...]) -> Iterator[Checker]:
    with Checker(folders) as started:
        yield started


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    with original(tmp_path_factory.mktemp("bfcl")) as started:
        yield started


def right_replies(category: str) -> dict[str, list[object]]:
    """Return the right calls of each case."""
    path = fetch("bfcl") / "bfcl_eval" / "data" / f"BFCL_v4_{category}.json"
    functions = {case["id"]: case["function"] for case in json_lines(path)}
    return {
        case_id: right_calls(answer, category, functions[case_id])
        for case_id, answer in ground_truths(category).items()
    }


@pytest.mark.parametrize("category", [*NON_LIVE, *LIVE])
def test_ground_truths_as_replies_are_right(category: str, checker: Checker) -> None:
    replies = right_replies(category)
    wrong = {
        case_id
        for case_id, calls in replies.items()
        if not checker.judge(category, case_id, json.dumps(calls))["valid"]
    }
    assert wrong == REJECTED & replies.keys()
    assert len(replies) == case_count(category)


@pytest.mark.parametrize("category", [*NON_LIVE, *LIVE])
def test_mutated_ground_truths_fail_exactly_as_with_the_original(
    category: str, checker: Checker, source: Original
) -> None:
    replies = right_replies(category)
    verdicts = []
    for case_id in select(list(replies), MUTATED_CASES):
        for calls in mutations(replies[case_id]):
            reply = json.dumps(calls)
            said = checker.judge(category, case_id, reply)
            failure = [] if said["valid"] else [said["error_type"], said["error"]]
            expected = source.ask(verdict=case_id, category=category, reply=reply)
            assert [said["valid"], *failure] == expected
            verdicts.append(said["valid"])
    assert verdicts.count(False) > len(verdicts) / 2


@pytest.mark.parametrize("category", SINGLE_TURN)
def test_prompts_are_those_of_the_original_handlers(
    category: str, folders: tuple[Path, ...], source: Original
) -> None:
    cases = {case.id: case for case in bfcl.load_cases(folders, [category], None)}
    for case_id, *expected in source.ask(prompts=category):
        for family, text in zip((prompt.QWEN, prompt.LLAMA), expected, strict=True):
            engine = Scripted()
            engine.prompt_format = family
            assert prompt.text(render(cases[case_id].request, engine)) == text
    assert len(cases) == case_count(category)


def multi_turn_transcript(
    checker: Checker, category: str, case_id: str, replies: list[str]
) -> tuple[list[str], list[list[str]]]:
    """Return the prompts and the replies of our run with recorded replies."""
    steps, engine, remaining = checker.multi_turn(category, case_id), Scripted(), iter(replies)
    prompts: list[str] = []
    query = next(steps)
    while True:
        request = EvalRequest(query.messages, query.functions, query.allowed)
        prompts.append(prompt.text(render(request, engine)))
        assert prompts[-1] == query.prompt
        try:
            query = steps.send(next(remaining, "Done."))
        except StopIteration as end:
            return prompts, end.value["replies"]


def check_transcripts(category: str, count: int, checker: Checker, source: Original) -> None:
    truths = ground_truths(category)
    for number, case_id in enumerate(select(list(truths), count)):
        replies = multi_turn_replies(truths[case_id])
        if number % 3 == 1:
            replies = ['[{"name": "nothing_of_this_name", "arguments": {"a": 1}}]', *replies]
        if number % 3 == 2:
            replies = ["[]", *replies[::2], '{"name": 1}']
        ours = multi_turn_transcript(checker, category, case_id, replies)
        assert list(ours) == source.ask(transcript=case_id, category=category, replies=replies)


@pytest.mark.parametrize("category", MULTI_TURN)
def test_multi_turn_transcripts_are_those_of_the_original(
    category: str, checker: Checker, source: Original
) -> None:
    check_transcripts(category, TRANSCRIPTS, checker, source)


def play(checker: Checker, category: str, case_id: str, replies: list[str]) -> dict[str, object]:
    """Return the verdict on recorded replies."""
    steps, remaining = checker.multi_turn(category, case_id), iter(replies)
    next(steps)
    while True:
        try:
            steps.send(next(remaining, "Done."))
        except StopIteration as end:
            return dict(end.value)


@pytest.mark.parametrize("category", MULTI_TURN)
def test_multi_turn_ground_truths_are_right_and_mutations_are_not(
    category: str, checker: Checker
) -> None:
    truths = ground_truths(category)
    for case_id in select(list(truths), 10):
        replies = multi_turn_replies(truths[case_id])
        assert play(checker, category, case_id, replies)["valid"]
        assert not play(checker, category, case_id, replies[2:])["valid"]


def test_a_model_that_never_stops_is_forced_to_quit(checker: Checker) -> None:
    reply = '[{"name": "ls", "arguments": {}}]'
    verdict = play(checker, "multi_turn_base", "multi_turn_base_0", [reply] * 30)
    assert verdict["error_type"] == "multi_turn:force_terminated"


def test_a_function_that_is_added_later_may_be_called_then(checker: Checker) -> None:
    steps = checker.multi_turn("multi_turn_miss_func", "multi_turn_miss_func_0")
    query, allowed = next(steps), []
    try:
        while True:
            allowed.append(len(query.allowed) - len(query.functions))
            query = steps.send("No.")
    except StopIteration:
        pass
    assert allowed == [0, 0, 0, 1, 1]


def test_a_case_that_is_broken_off_leaves_the_checker_usable(checker: Checker) -> None:
    steps = checker.multi_turn("multi_turn_base", "multi_turn_base_1")
    next(steps)
    steps.close()
    assert checker.judge("irrelevance", "irrelevance_0", "No tool fits.")["valid"]


@pytest.mark.parametrize("category", IRRELEVANCE)
def test_irrelevance_counts_undecodable_replies_as_right(category: str, checker: Checker) -> None:
    case_id = next(case["id"] for case in checker.cases(category))
    replies = ["No tool fits.", '[{"name": "f", "arguments": {', "[]", '[{"name": "f"}]']
    assert all(checker.judge(category, case_id, reply)["valid"] for reply in replies)
    called = checker.judge(category, case_id, '[{"name": "f", "arguments": {}}]')
    assert (called["valid"], called["called"]) == (False, ["f"])


def test_relevance_wants_a_call(checker: Checker) -> None:
    case_id = next(case["id"] for case in checker.cases(RELEVANCE[0]))
    assert not checker.judge(RELEVANCE[0], case_id, "No tool fits.")["valid"]
    assert checker.judge(RELEVANCE[0], case_id, '{"name": "f", "arguments": {}}')["valid"]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "null",
        "3",
        "[[]]",
        '[{"name": ["f"], "arguments": {}}]',
        '[{"name": "calculate_triangle_area", "arguments": {"base": {"a": [1]}, "height": []}}]',
        '[{"name": "calculate_triangle_area", "arguments": {"base": 1e999, "height": NaN}}]',
        "[" * 3000,
        "\ud800",
    ],
)
def test_no_reply_ends_the_checker(reply: str, checker: Checker) -> None:
    assert not checker.judge("simple_python", "simple_python_0", reply)["valid"]


HOSTILE_NAMES = [
    "any(0 for _ in iter(int, 1)) or ls",  # never ends, and needs no memory
    "__import__('os')._exit(3) or ls",
    "__import__('os').write(3, b'nonsense') or __import__('os')._exit(0) or ls",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_calls_that_end_the_checker_fail_their_case_only(
    name: str, folders: tuple[Path, ...], tmp_path: Path
) -> None:
    cases = bfcl.load_cases(folders, ["multi_turn_base", "irrelevance"], 1)
    engine = Scripted([json.dumps([{"name": name, "arguments": {}}])], ["No."])
    judges = Judges(partial(Checker, folders, 20.0), play_bfcl)
    with Checkpoint.open(tmp_path / "a.jsonl", {}) as checkpoint:
        model = RunModel(engine, False, Sampling(), checkpoint)
        chosen = sorted(cases, key=lambda case: case.category, reverse=True)
        rows = [row for _, row in run_cases(chosen, [model], judges)]
    assert [row["error_type"] for row in rows] == [STOPPED, ""]


@pytest.mark.parametrize(
    "name",
    [
        f"open({'x'!r}, 'w').close() or ls",
        "__import__('socket').create_connection(('127.0.0.1', 1)) or ls",
        "__import__('os').listdir(__import__('os').path.expanduser('~/.ssh')) or ls",
    ],
)
def test_calls_of_a_model_reach_nothing(name: str, checker: Checker, tmp_path: Path) -> None:
    reply = json.dumps([{"name": name, "arguments": {}}])
    verdict = play(checker, "multi_turn_base", "multi_turn_base_2", [reply])
    assert not verdict["valid"]
    assert not (tmp_path / "x").exists()


def test_a_missing_package_is_an_error_and_no_verdict(folders: tuple[Path, ...]) -> None:
    category = "multi_turn_base"
    with Checker(folders[:1]) as without:
        case = next(c for c in without.cases(category) if "MathAPI" in c["involved_classes"])
        steps = without.multi_turn(category, case["id"])
        with pytest.raises(CheckerError, match="mpmath"):
            next(steps)


def test_more_cases_begin_with_the_fewer_ones() -> None:
    ids = [f"case_{number}" for number in range(50)]
    assert select(ids, 20)[:10] == select(ids, 10)
    assert sorted(select(ids, None)) == sorted(ids)


def test_groups_stand_for_their_categories() -> None:
    assert expand(["all"]) == CATEGORIES
    assert expand([]) == expand(["single_turn"]) == SINGLE_TURN
    assert expand(["multi_turn", "simple_python"]) == ("simple_python", *MULTI_TURN)
