"""The table of measured accuracy shows the results in docs/results."""

from __future__ import annotations

import json

from tests.scripts.accuracy_table import LEFT_OUT, PAGE, RESULTS, with_table


def test_the_table_of_the_page_is_that_of_the_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page


def test_the_results_have_no_prompts_and_no_replies() -> None:
    files = sorted(RESULTS.glob("*.jsonl"))
    assert files
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not LEFT_OUT & json.loads(line).keys()
