"""τ²: tasks of agents with tools, played and judged by the original package `tau2`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..types import Sampling
from .categories import select
from .packages import TAU2, TAU2_REQUIREMENTS, find, find_requirements
from .replies import EvalRequest
from .run import EvalCase, Judges, Write
from .tau2_process import MAX_ERRORS, Tau2Process, Tau2Settings

Json = Mapping[str, Any]

BENCHMARK = "tau2"
DOMAINS = ("mock", "telecom", "airline", "retail")
SOLO_DOMAINS = ("mock", "telecom")
"""The domains whose tasks have a ticket, so that an agent can work without a user."""
SPLIT = "base"
DEFAULT_SEED = 300
"""The original's."""
MAX_STEPS = 200
"""The original's limit of steps in a trial; a reply and its results are two steps."""
MODEL_SAMPLING = Sampling(temperature=0.7, top_p=0.8, top_k=20)
"""The sampling in the configuration of the xLAM-2 models, without a penalty on repetition."""
CHECKER = f"{TAU2.name} {TAU2.version}"
PROMPTS = "as xlam-local serve writes them"
MADE_NO_CALL = "LLMSoloAgent only supports tool calls."
"""The original's error for a reply without a call in solo mode."""

FAILURES = {"context_length_exceeded": "prompt_too_long", "invalid_reply": "invalid_calls"}
"""The types of error by the codes of our server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tau2Options:
    """What is played, and what changes the results besides the model."""

    domain: str
    solo: bool
    split: str = SPLIT
    seed: int = DEFAULT_SEED
    max_steps: int = MAX_STEPS
    sampling: Sampling = MODEL_SAMPLING

    @property
    def name(self) -> str:
        """The name of the benchmark, as files of results have it."""
        split = [] if self.split == SPLIT else [self.split]
        return "-".join([BENCHMARK, self.domain, *split, *(["solo"] if self.solo else [])])


@dataclass(frozen=True, slots=True)
class TaskTrial:
    """One trial of a task."""

    task: str
    number: int
    """From 1."""
    seed: int

    @property
    def id(self) -> str:
        """The id of its row."""
        return f"{self.task}#{self.number}"


def checker_folders(cache: Path, given: Path | None) -> tuple[Path, ...]:
    """Return the folders with the original package and what it imports; fetch missing ones.

    Raises:
        PackageMissing: a package cannot be fetched.
        IntegrityError: the original package has other files than the pinned one.
    """
    folders = find(TAU2, cache, given), find_requirements(TAU2_REQUIREMENTS, cache, given)
    return tuple(dict.fromkeys(folders))


def load_trials(
    folders: Sequence[Path], options: Tau2Options, trials: int, count: int | None
) -> list[TaskTrial]:
    """Return the trials of `count` tasks, or of all: first the first trial of each task.

    Raises:
        CheckerError: the original does not know the domain or the split.
    """
    with Tau2Process(folders, options.domain, options.split, options.solo) as process:
        tasks = select(process.tasks(), count)
        seeds = process.seeds(options.seed, trials)
    return [TaskTrial(task, number, seed) for number, seed in enumerate(seeds, 1) for task in tasks]


def cases(trials: Sequence[TaskTrial], domain: str) -> list[EvalCase]:
    """Return trials as cases of a run; the original writes their requests."""
    return [EvalCase(trial.id, domain, EvalRequest((), (), ())) for trial in trials]


def judges(
    folders: Sequence[Path],
    options: Tau2Options,
    settings: Tau2Settings,
    trials: Sequence[TaskTrial],
) -> Judges:
    """Return what plays and judges trials."""
    arguments, by_id = settings.arguments(), {trial.id: trial for trial in trials}

    def play(case: EvalCase, process: Tau2Process, _write: Write) -> Json:
        trial = by_id[case.id]
        seeded = {**arguments, "seed": trial.seed}
        played = process.play(trial.task, trial.number - 1, seeded, found.stop)
        return row(trial, played)

    start = partial(Tau2Process, folders, options.domain, options.split, options.solo)
    found = Judges(start, play)
    return found


def row(trial: TaskTrial, played: Json) -> Json:
    """Return what a row says of a trial, besides its id."""
    record = played["simulation"]
    usages = [
        message["usage"]
        for message in record["messages"]
        if message["role"] == "assistant" and message.get("usage")
    ]
    return {
        "task": trial.task,
        "trial": trial.number,
        "seed": trial.seed,
        "valid": played["valid"],
        "error_type": "" if played["valid"] else _kind(record, played["failure"]),
        "error": [] if played["valid"] else list(_reasons(record, played["failure"])),
        "end": record["termination_reason"],
        "prompt_tokens": sum(usage["prompt_tokens"] for usage in usages),
        "reply_tokens": sum(usage["completion_tokens"] for usage in usages),
        "seconds": played["seconds"],
        "simulation": record,
    }


def identity(options: Tau2Options, user: str) -> Json:
    """Return what changes results besides the model; `user` identifies who plays the user."""
    sampling = options.sampling
    return {
        "benchmark": BENCHMARK,
        "domain": options.domain,
        "split": options.split,
        "mode": "solo" if options.solo else "with a user",
        "user": user,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_steps": options.max_steps,
        "max_errors": MAX_ERRORS,
        "prompts": PROMPTS,
        "checker": CHECKER,
    }


def _kind(record: Json, failure: Json | None) -> str:
    """Return the type of error of a trial that was not passed."""
    if failure is not None:
        known = "no_tool_call" if failure["message"] == MADE_NO_CALL else "agent_failed"
        return FAILURES.get(failure["code"], known)
    finished = record["termination_reason"] in ("agent_stop", "user_stop")
    return "wrong_result" if finished else str(record["termination_reason"])


def _reasons(record: Json, failure: Json | None) -> Iterator[str]:
    """Yield why the original did not pass a trial."""
    if failure is not None:
        yield failure["message"]
    reward = record["reward_info"]
    if note := (reward.get("info") or {}).get("note"):
        yield note
    if reward.get("db_check") and not reward["db_check"]["db_match"]:
        yield "The final state is not the expected one."
    for check in reward.get("env_assertions") or ():
        if not check["met"]:
            yield f"Not met: {check['env_assertion']['func_name']}."
    for check in reward.get("action_checks") or ():
        if not check["action_match"]:
            yield f"No such call: {check['action']['name']} {check['action']['arguments']}."
    for check in reward.get("communicate_checks") or ():
        if not check["met"]:
            yield f"The user was not told: {check['info']}."
