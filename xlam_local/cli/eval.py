"""`eval`: the group of the commands that measure accuracy."""

from __future__ import annotations

import click

from .lazy_group import LazyGroup, Target

COMMANDS = {
    "bfcl": Target(
        "eval_run:bfcl", "Measure models on the Berkeley Function-Calling Leaderboard's cases."
    ),
    "tau2": Target("eval_tau2:tau2", "Measure models as agents, on the tasks of τ²."),
    "own": Target("eval_run:own", "Measure models on your own cases in CASES."),
    "report": Target("eval_report:report", "Print the tables of the results in PATHS."),
    "compare": Target(
        "eval_report:compare", "Compare the results AFTER with BEFORE on the cases of both."
    ),
    "show": Target(
        "eval_report:show", "Show the prompt, the reply and the verdict of the case CASE_ID."
    ),
}


@click.group("eval", cls=LazyGroup, targets=COMMANDS)
def eval() -> None:
    """Measure the accuracy of models, with and without the grammar."""
