"""Play the tasks of τ² with the original package `tau2`, unmodified, in a process of its own.

usage: python -I -S -B tau2_worker.py FOLDER...

The folders contain tau2 and the packages that it imports.

The process exchanges JSON lines with `tau2_process`. It imports nothing of xlam_local.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Json = Any
MODEL_FAILURES = ("context_length_exceeded", "invalid_reply")
"""The codes of server errors that are the model's failure; others end the evaluation."""
LOG_LEVEL = "ERROR"


class ServerFailed(Exception):
    """The model's server did not answer, or answered with an error that is not the model's."""


class Tau2:
    """The original code."""

    def __init__(self) -> None:
        logger = importlib.import_module("loguru").logger
        logger.remove()
        logger.add(sys.stderr, level=LOG_LEVEL)
        self._run = importlib.import_module("tau2.run")
        self._simulation = importlib.import_module("tau2.data_model.simulation")
        self._metrics = importlib.import_module("tau2.metrics.agent_metrics")
        self._openai_error = importlib.import_module("openai").OpenAIError
        self._tasks: dict[str, Any] = {}

    def tasks(self, domain: str, split: str, solo: bool) -> list[str]:
        """Return the ids of the tasks that an agent can play, in the original's order."""
        found = self._run.get_tasks(domain, split)
        if solo:
            found = list(filter(self._run.LLMSoloAgent.check_valid_task, found))
        self._tasks = {task.id: task for task in found}
        return list(self._tasks)

    def seeds(self, seed: int, trials: int) -> list[int]:
        """Return the seed of each trial, as the original's `run_tasks` chooses them."""
        random.seed(seed)
        return [random.randint(0, 1000000) for _ in range(trials)]

    def play(self, task_id: str, trial: int, arguments: Json) -> Json:
        """Play a trial of a task, and return the original's record of it.

        A failure of the model ends the trial with the reward 0, as in the original's `run_tasks`
        with `skip_failed_samples`.
        """
        started = time.monotonic()
        try:
            with _server_errors(self._openai_error):
                played = self._run.run_task(task=self._tasks[task_id], **arguments)
            failure: Json = None
        except ServerFailed:
            raise
        except Exception as error:
            played = self._failed(task_id, trial, arguments["seed"])
            failure = {"code": getattr(error, "code", None) or "", "message": str(error)}
        seconds = round(time.monotonic() - started, 3)
        played.trial = trial
        record = played.model_dump(mode="json", exclude={"messages": {"__all__": {"raw_data"}}})
        passed = self._metrics.is_successful(played.reward_info.reward)
        answer = {"simulation": record, "valid": bool(passed), "failure": failure}
        return {**answer, "seconds": seconds}

    def _failed(self, task_id: str, trial: int, seed: int) -> Any:
        now = self._run.get_now()
        return self._simulation.SimulationRun(
            id=f"{task_id}_{trial}_failed",
            task_id=task_id,
            start_time=now,
            end_time=now,
            duration=0.0,
            termination_reason=self._simulation.TerminationReason.AGENT_ERROR,
            messages=[],
            seed=seed,
            reward_info=self._simulation.RewardInfo(reward=0.0),
            skipped=True,
        )


@contextmanager
def _server_errors(kind: type[Exception]) -> Iterator[None]:
    """Raise ServerFailed for errors of the server that are not the model's."""
    try:
        yield
    except kind as error:
        if getattr(error, "code", None) in MODEL_FAILURES:
            raise
        raise ServerFailed(str(error)) from error


def _answer(original: Tau2, request: Json) -> Json:
    """Return the answer to a request of the parent."""
    match request:
        case {"domain": domain, "split": split, "solo": solo}:
            return {"tasks": original.tasks(domain, split, solo)}
        case {"seed": seed, "trials": trials}:
            return {"seeds": original.seeds(seed, trials)}
        case {"task": task_id, "trial": trial, "arguments": arguments}:
            return original.play(task_id, trial, arguments)
    raise ValueError(f"Unknown request: {request!r}")


def main() -> None:
    """Answer the requests of the parent until stdin is closed."""
    sys.path[:0] = sys.argv[1:]
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # The original prints its progress.
    os.dup2(2, 1)

    def send(message: Json) -> None:
        print(json.dumps(message), file=output, flush=True)

    original: Tau2 | None = None
    for line in sys.stdin:
        try:
            original = original or Tau2()
            send(_answer(original, json.loads(line)))
        except ServerFailed as error:
            send({"server_failed": str(error)})
        except Exception as error:
            send({"fatal": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
