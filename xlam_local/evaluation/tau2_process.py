"""The original code of τ², in an isolated process that reaches the model's server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from .checker_process import CheckerError, CheckerProcess

Json = Mapping[str, Any]

WORKER = Path(__file__).with_name("tau2_worker.py")
TIMEOUT_S = 86_400.0
"""The longest time of one trial."""
REPLY_TIMEOUT_S = 3600
"""The longest time of one reply, for the original's HTTP client."""
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # Otherwise it is fetched, which fails offline.
    "NO_PROXY": "*",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server with OpenAI's API, and the model that it runs."""

    url: str
    """Its URL, up to the version."""
    token: str
    model: str

    def arguments(self) -> Json:
        """Return the arguments for the original's HTTP client.

        It does not try again: with the same seed, the server gives the same answer.
        """
        return {
            "api_base": self.url,
            "api_key": self.token,
            "timeout": REPLY_TIMEOUT_S,
            "num_retries": 0,
            "max_retries": 0,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tau2Settings:
    """What is played, and by whom."""

    domain: str
    agent: Endpoint
    user: Endpoint | None
    """None in solo mode: the agent works without a user."""
    max_steps: int

    def arguments(self) -> Json:
        """Return the arguments of the original's `run_task`, without the task and the seed."""
        user = self.user or self.agent
        return {
            "domain": self.domain,
            "agent": "llm_agent" if self.user else "llm_agent_solo",
            "user": "user_simulator" if self.user else "dummy_user",
            "llm_agent": f"openai/{self.agent.model}",
            "llm_args_agent": self.agent.arguments(),
            "llm_user": f"openai/{user.model}",
            "llm_args_user": user.arguments(),
            "max_steps": self.max_steps,
            "max_errors": MAX_ERRORS,
        }


MAX_ERRORS = 10
"""The original's limit on errors of tools in a trial."""


class Tau2Process(CheckerProcess):
    """A process with the original code. One thread at a time may use it."""

    def __init__(self, folders: Sequence[Path], domain: str, split: str, solo: bool) -> None:
        super().__init__(WORKER, folders, TIMEOUT_S, network=True, env=ENVIRONMENT)
        self._tasks = {"domain": domain, "split": split, "solo": solo}

    def tasks(self) -> Sequence[str]:
        """Return the ids of the tasks of the domain."""
        tasks: Sequence[str] = self.request(self._tasks)["tasks"]
        return tasks

    def seeds(self, seed: int, trials: int) -> Sequence[int]:
        """Return the seed of each trial, as the original chooses them."""
        seeds: Sequence[int] = self.request({"seed": seed, "trials": trials})["seeds"]
        return seeds

    def play(self, task: str, trial: int, arguments: Json, stop: Event) -> Json:
        """Play a trial; return the original's record of it, and whether it was passed.

        Raises:
            CheckerError: the model's server failed.
            Cancelled: `stop` was set.
        """
        if not self.running:
            self.tasks()
        answer = self.request({"task": task, "trial": trial, "arguments": arguments}, stop)
        if "server_failed" in answer:
            raise CheckerError(f"The model's server failed: {answer['server_failed']}")
        return answer
