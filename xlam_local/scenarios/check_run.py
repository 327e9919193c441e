"""Run the trials of a check one after the other; each result is saved at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import user_file
from ..checkpoint import Checkpoint
from ..errors import IntegrityError, UsageError
from .gold import right_end_state
from .scenario import Scenario
from .state import State
from .trial import CheckSetup, Trial, play_trial
from .variations import Variation

Row = Mapping[str, Any]
ROW_KEYS = (
    *("id", "scenario", "variation", "run", "case", "user", "passed", "cause", "detail", "diff"),
)


def plan_trials(
    scenarios: Sequence[Scenario], runs: int, variations: Sequence[Variation] = ()
) -> list[Trial]:
    """Return the trials of a check: all scenarios once, then again."""
    return [
        Trial(scenario, run, variation)
        for run in range(1, runs + 1)
        for variation in (None, *variations)
        for scenario in scenarios
    ]


def remove_changed(scenarios: Sequence[Scenario], checkpoint: Checkpoint) -> int:
    """Remove the rows of scenarios that have changed since; return their number."""
    digests = {scenario.name: scenario.digest for scenario in scenarios}
    return checkpoint.remove(
        lambda row: row["scenario"] in digests and digests[row["scenario"]] != row["case"]
    )


def ordered_rows(trials: Sequence[Trial], rows: Iterable[Row]) -> list[Row]:
    """Return the rows of the scenarios of trials, in the order of the trials."""
    places = {trial.id: place for place, trial in enumerate(trials)}
    names = {trial.scenario.name for trial in trials}
    own = [row for row in rows if row["scenario"] in names]
    return sorted(own, key=lambda row: places.get(row["id"], len(places)))


def run_trials(trials: Sequence[Trial], setup: CheckSetup, checkpoint: Checkpoint) -> Iterator[Row]:
    """Run the trials that are not in the checkpoint; yield the row of each when it is saved.

    Before the first, the right calls of all scenarios run, so that a wrong one is found early.

    Raises:
        UsageError: a right call fails, or a start state cannot be made.
    """
    missing = [trial for trial in trials if trial.id not in checkpoint.done]
    scenarios = {trial.scenario.name: trial.scenario for trial in missing}
    expected: dict[str, State | None] = {
        name: right_end_state(scenario, setup.worlds) for name, scenario in scenarios.items()
    }
    for trial in missing:
        row = play_trial(trial, setup, expected[trial.scenario.name])
        checkpoint.append(row)
        yield row


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a finished check.

    Raises:
        UsageError: the file does not exist, or has no rows.
        IntegrityError: a line is damaged.
    """
    rows: list[Row] = []
    with user_file.open_file(path) as file:
        for where, line in user_file.read_lines(file, str(path)):
            if not line.endswith("\n"):
                break  # a running or a killed check has not written its end
            row = user_file.parse_json(line, where, surrogates=True)
            if not isinstance(row, Mapping) or any(key not in row for key in ROW_KEYS):
                raise IntegrityError(f"{where} is no result of `xlam-local check`.")
            rows.append(row)
    if not rows:
        raise UsageError(f"{path} has no results.")
    return rows
