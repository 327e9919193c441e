"""Run cases of the leaderboard with an engine that knows the right replies, slowly.

usage: python -m tests.fakes.evaluation_run FILE COUNT
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.fakes.bfcl_replies import ground_truths, right_calls
from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from xlam_local.agent import Generation
from xlam_local.checkpoint import Checkpoint
from xlam_local.evaluation import bfcl
from xlam_local.evaluation.run import EvalCase, RunModel, run_cases
from xlam_local.grammar import Enforced
from xlam_local.types import GenerationEnd, Prompt, Sampling, Usage

CATEGORY = "simple_python"
DELAY_S = 0.02
IDENTITY = {"benchmark": "bfcl", "model": "scripted", "grammar": "off", "checker": "original"}


class Knowing(Scripted):
    """Writes the right calls for the request in its prompt, several at once."""

    def __init__(self, cases: list[EvalCase], sequences: int = 3) -> None:
        super().__init__()
        self.sequences = sequences
        truths = ground_truths(CATEGORY)
        self.right = {
            str(case.request.messages[-1]["content"]).strip(): json.dumps(
                right_calls(truths[case.id], CATEGORY, list(case.request.functions))
            )
            for case in cases
        }

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield the right reply."""
        text = "".join(part.text for part in written)
        time.sleep(DELAY_S)
        yield next(reply for request, reply in self.right.items() if f"\n{request}<" in text)
        yield GenerationEnd(False, Usage(10, 0, 5))


def run(path: Path, count: int) -> int:
    """Run cases; return how many were run."""
    folders = (fetch("bfcl"),)
    cases = bfcl.load_cases(folders, [CATEGORY], count)
    with Checkpoint.open(path, IDENTITY) as checkpoint:
        model = RunModel(Knowing(cases), grammar=False, sampling=Sampling(), checkpoint=checkpoint)
        return sum(1 for _ in run_cases(cases, [model], bfcl.judges(folders)))


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), int(sys.argv[2])))
