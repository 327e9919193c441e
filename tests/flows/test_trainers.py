"""Trainers train on the tokens that the engine reads, and learn those that the model writes."""

from __future__ import annotations

import pytest

from tests.benchmarks.trainers import EXPERIMENTS, Experiment, Outcome, compare, run
from tests.fakes.training_rows import TrainedRow

TRL = [one for one in EXPERIMENTS if one.trainer == "trl"]


@pytest.mark.slow
@pytest.mark.parametrize("experiment", TRL, ids=lambda one: f"{one.form}-{one.architecture}")
def test_trl_keeps_text_and_loss_mask_exactly(experiment: Experiment) -> None:
    count = 2 if experiment.per_conversation else 6
    assert run(experiment) == Outcome(count, count, count, count)


def test_a_changed_text_and_a_changed_mask_are_counted_apart() -> None:
    row = TrainedRow((1, 2, 3, 4), (False, True, False, True))
    assert row.learned_parts == [(2,), (4,)]
    other_text = TrainedRow((9, 2, 3, 4), row.learned)
    other_mask = TrainedRow(row.tokens, (False, True, True, True))
    assert compare([row, row], [row]) == Outcome(2, 1, 1, 1)
    assert compare([row], [other_text]) == Outcome(1, 1, 0, 1)
    assert compare([row], [other_mask]) == Outcome(1, 1, 1, 0)
