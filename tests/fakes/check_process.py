"""Run a check with an engine that knows the right calls, slowly.

usage: python -m tests.fakes.check_process FOLDER RUNS
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.fakes.fake_engine import Scripted
from tests.fakes.scenario_worlds import calls, make_setup
from xlam_local.agent import Generation
from xlam_local.checkpoint import Checkpoint
from xlam_local.grammar import Enforced
from xlam_local.scenarios.check_run import plan_trials, run_trials
from xlam_local.scenarios.scenario_file import read_scenarios
from xlam_local.types import GenerationEnd, Prompt, Sampling, Usage

DELAY_S = 0.02


class Noting(Scripted):
    """Adds milk, then answers; every third seed it answers at once."""

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield the reply."""
        time.sleep(DELAY_S)
        has_result = "There are" in "".join(part.text for part in written)
        skips = has_result or sampling.seed % 3 == 2
        yield "It is noted." if skips else calls(("add", {"text": "milk"}))
        yield GenerationEnd(False, Usage(10, 0, 5))


def run(folder: Path, runs: int) -> int:
    """Run the scenarios in a folder; return how many runs were missing."""
    trials = plan_trials(read_scenarios(folder / "notes.toml"), runs)
    with Checkpoint.open(folder / "runs.jsonl", {"model": "noting"}) as checkpoint:
        return sum(1 for _ in run_trials(trials, make_setup(Noting()), checkpoint))


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), int(sys.argv[2])))
