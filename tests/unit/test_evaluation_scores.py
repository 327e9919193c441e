"""The statistics, scores, tables and pictures of evaluations."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from xlam_local.cli.eval_report import print_table
from xlam_local.errors import IntegrityError, UsageError
from xlam_local.evaluation.categories import CATEGORIES, LIVE, MEANS, NON_LIVE
from xlam_local.evaluation.comparison import compare, comparison_json, grammar_pairs
from xlam_local.evaluation.pictures import PICTURES
from xlam_local.evaluation.published import ROWS, published_scores
from xlam_local.evaluation.reports import report_json, result_tables
from xlam_local.evaluation.results import EvalRun, read_run, read_runs, run_path
from xlam_local.evaluation.scores import score
from xlam_local.evaluation.statistics import (
    Estimate,
    mcnemar,
    random_signs,
    share,
    weighted_mean,
)
from xlam_local.evaluation.table import ResultTable, markdown

FACTS = {
    "benchmark": "bfcl",
    "model": "xLAM-2-1b-fc-r-Q4_K_M.gguf",
    "sha256": "61eeb070aaae78ff",
    "quantization": "Q4_K_M",
    "grammar": "off",
    "seed": 3,
    "engine": "xlam-local 9.9",
    "checker": "bfcl-eval 2026.3.23",
    "prompts": "original handlers', in ASCII",
}
Row = Mapping[str, Any]


def row(case_id: str, valid: bool, **more: Any) -> Row:
    category = case_id.rsplit("_", 1)[0]
    return {"id": case_id, "category": category, "valid": valid, "error": [], **more}


def a_run(rows: Sequence[Row], name: str = "bfcl-a-free", **facts: Any) -> EvalRun:
    return EvalRun(Path(f"{name}.jsonl"), {**FACTS, **facts}, rows)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),
        (10, 10, 0.72247, 1.0),
        (300, 400, 0.70531, 0.78986),
        (1, 2, 0.09453, 0.90547),
        (790, 1053, 0.72322, 0.77548),
    ],
)
def test_a_share_has_wilsons_interval(successes: int, count: int, low: float, high: float) -> None:
    found = share(successes, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)
    for limit in {found.low, found.high} - {0.0, 1.0}:  # the equation that defines the interval
        error = 1.959964 * math.sqrt(limit * (1 - limit) / count)
        assert abs(successes / count - limit) == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("values", [(1, 0), (3, 2), (-1, 2)])
def test_a_share_of_nothing_is_an_error(values: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not a share"):
        share(*values)


def test_a_mean_of_one_part_has_the_interval_of_the_part() -> None:
    part = share(7, 20)
    mean = weighted_mean([(1.0, part)])
    assert (mean.value, mean.low, mean.high) == pytest.approx((part.value, part.low, part.high))


def test_a_mean_of_independent_parts_is_more_certain_than_each() -> None:
    parts = [(1 / 4, share(100, 200))] * 4
    mean = weighted_mean(parts)
    assert mean.high - mean.low == pytest.approx((parts[0][1].high - parts[0][1].low) / 2)


@pytest.mark.parametrize(
    ("gained", "lost", "p_value", "verdict"),
    [
        (0, 0, 1.0, "not told apart"),
        (5, 0, 0.0625, "not told apart"),
        (6, 0, 0.03125, "better"),
        (1, 9, 0.021484375, "worse"),
        (10, 10, 1.0, "not told apart"),
        (40, 15, 0.0010158, "better"),
        (900, 700, None, "better"),
        (1100, 1050, None, "not told apart"),
    ],
)
def test_mcnemars_test_is_exact(
    gained: int, lost: int, p_value: float | None, verdict: str
) -> None:
    before = [False] * gained + [True] * lost + [True, False]
    after = [True] * gained + [False] * lost + [True, False]
    test = mcnemar(before, after)
    assert (test.gained, test.lost, test.pairs) == (gained, lost, gained + lost + 2)
    tail = sum(math.comb(gained + lost, k) for k in range(min(gained, lost) + 1))
    exact = min(1.0, float(Fraction(2 * tail, 2 ** (gained + lost))))
    assert test.p_value == pytest.approx(exact, rel=0.05)
    assert p_value is None or test.p_value == pytest.approx(p_value, rel=1e-3)
    assert test.verdict == verdict


def test_irrelevance_is_scored_officially_and_strictly() -> None:
    rows = [
        row("irrelevance_0", True, outcome="words", called=None, expected=None),
        row("irrelevance_1", True, outcome="undecodable", called=None, expected=None),
        row("irrelevance_2", False, outcome="called", called=["f"], expected=None),
        row("irrelevance_3", True, outcome="words", called=[], expected=None),
    ]
    scores = score(rows)
    found = scores.categories["irrelevance"]
    assert found.strict is not None
    assert (found.official.value, found.strict.value) == (0.75, 0.5)
    assert found.outcomes == {"words": 2, "called": 1, "undecodable": 1}
    assert scores.abstention is not None
    assert scores.abstention.value == 0.5
    assert scores.validity is None


def test_validity_tool_choice_and_arguments_are_apart() -> None:
    rows = [
        row("multiple_0", True, called=["f"], expected=["f"]),
        row("multiple_1", False, called=["f"], expected=["f"]),
        row("multiple_2", False, called=["g"], expected=["f"]),
        row("multiple_3", False, called=None, expected=["f"]),
        row("multiple_4", False, called=["f", "f"], expected=["f"]),
    ]
    scores = score(rows)
    assert scores.validity == share(4, 5)
    assert scores.tool_choice == share(2, 5)
    assert scores.arguments == share(1, 2)


def test_means_are_the_official_ones() -> None:
    right = {"simple_python": 4, "simple_java": 1, "multiple": 3, "parallel": 2, "live_simple": 1}
    rows = [row(f"{n}_{k}", k < right.get(n, 0)) for n in (*NON_LIVE, *LIVE) for k in range(4)]
    means = score(rows).means
    assert means["simple"].value == pytest.approx((1 + 0.25 + 0) / 3)
    assert means["non_live"].value == pytest.approx((1.25 / 3 + 0.75 + 0.5 + 0) / 4)
    assert means["live"].value == pytest.approx(0.25 * 258 / 1351)
    assert means.keys() == {"simple", "non_live", "live"}
    assert all(sum(mean.weights.values()) == pytest.approx(1) for mean in MEANS)


def test_a_table_names_what_was_measured_and_what_was_not() -> None:
    runs = [a_run([row("simple_python_0", True, called=["f"], expected=["f"], outcome="called")])]
    table, *others = result_tables(runs)
    cells = {label: (own, published) for label, own, published in table.rows}
    assert not others
    assert cells["file SHA-256"][0] == "61eeb070aaae78ff"
    assert cells["quantization"] == ("Q4_K_M", "F16")
    assert (cells["seed"][0], cells["cases"][0]) == ("3", "1")
    assert cells["checker"][0] == "bfcl-eval 2026.3.23"
    assert cells["prompts"][0] == "original handlers', in ASCII"
    assert cells["simple_python"] == ("100.0 (20.7 to 100.0), n=1", "not published")
    assert cells["multiple"] == ("not measured", "82.5")
    assert cells["non-live (official mean)"] == ("not measured", "69.0")
    assert "energy of the machine's processors" not in cells
    assert "energy of the machine's processors" in table.note.rpartition("Not measured: ")[2]
    assert "published, F16, no grammar" in table.columns[2]
    assert "gorilla.cs.berkeley.edu" in table.note
    assert not any("overall" in label for label in cells)
    assert all(name in cells or name in table.note for name in CATEGORIES)


def test_facts_that_all_runs_share_are_told_once() -> None:
    first = row("simple_python_0", True)
    runs = [a_run([first], "a"), a_run([first], "b", grammar="on", seed=4)]
    table, *_ = result_tables(runs)
    labels = [label for label, *_ in table.rows]
    assert "seed" in labels
    assert "grammar" in labels
    assert "engine" not in labels
    assert "engine xlam-local 9.9" in table.note.rpartition("In all runs: ")[2]


def test_names_with_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(ResultTable("Scores", ["", "a[b].gguf"], [["model", "c[/d]"]]))
    printed = capsys.readouterr().out
    assert "a[b].gguf" in printed
    assert "c[/d]" in printed


def test_runs_with_and_without_the_grammar_are_compared() -> None:
    off = a_run([row("multiple_0", False, prompt="long"), row("multiple_1", True)])
    on = a_run([row("multiple_0", True), row("multiple_2", True)], "bfcl-a-grammar", grammar="on")
    other = a_run([row("multiple_0", True)], "bfcl-b-grammar", grammar="on", sha256="0")
    (pair,) = grammar_pairs([on, off, other])
    assert (pair.tests["multiple"].pairs, pair.tests["all"].gained) == (1, 1)
    assert [case.id for case in pair.changed] == ["multiple_0"]
    (changed,) = comparison_json(pair)["changed"]
    assert (changed["change"], changed["after"]["valid"]) == ("gained", True)
    assert "prompt" not in changed["before"]
    text = "".join(map(markdown, result_tables([off, on, other])))
    assert "| multiple | 1 | 1 | 0 | 1 | not told apart |" in text
    json.dumps(report_json([off, on, other]), allow_nan=False)


def test_irrelevance_is_compared_strictly_too() -> None:
    before = a_run([row("irrelevance_0", True, outcome="undecodable")])
    after = a_run([row("irrelevance_0", True, outcome="words")])
    tests = compare(before, after).tests
    assert tests["irrelevance"].gained == 0
    assert tests["irrelevance, strict"].gained == 1


@pytest.mark.parametrize(
    ("rows", "facts", "message"),
    [
        ([row("multiple_9", True)], {}, "no cases in common"),
        ([row("multiple_0", True)], {"checker": "bfcl-eval 1"}, "checker is"),
        ([row("multiple_0", True)], {"benchmark": "own"}, "benchmark is"),
    ],
)
def test_runs_of_different_cases_are_not_compared(
    rows: Sequence[Row], facts: Mapping[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare(a_run([row("multiple_0", True)]), a_run(rows, **facts))


RUNS = [
    a_run(
        [
            row("simple_python_0", True, decode_seconds=2.0, reply_tokens=20),
            row("irrelevance_0", True, outcome="words", decode_seconds=1.0, reply_tokens=9),
            row("own & <b>_0", False),
        ]
    ),
    a_run([row("multiple_0", False, decode_seconds=1.0, reply_tokens=5)], "b", grammar="on"),
]


def trials(*passed: str) -> list[Row]:
    """Rows of τ²: a task for each text, a trial for each sign in it, "+" if it was passed."""
    return [
        row(f"task{task}#{number}", sign == "+", task=str(task), category="mock", error_type="x")
        for task, signs in enumerate(passed)
        for number, sign in enumerate(signs, 1)
    ]


TAU2: dict[str, Any] = {
    "benchmark": "tau2",
    "domain": "mock",
    "mode": "solo",
    "user": "none",
    "temperature": 0.7,
}
PLAYED = [
    a_run(trials("++", "+-", "--"), "tau2-a-free", **TAU2),
    a_run(trials("++", "++", "+-"), "tau2-a-grammar", **TAU2, grammar="on"),
]


def test_trials_are_compared_by_task() -> None:
    table, pair = result_tables(PLAYED)
    cells = {label: cells for label, *cells in table.rows}
    assert cells["pass^1"][0].startswith("50.0 (")
    assert cells["pass^2"][1].startswith("66.7 (")
    assert cells["trials: passed"] == ["3", "5"]
    assert "not the board's numbers" in table.note
    assert pair.columns[4] == "p (random signs by task)"
    assert pair.rows == [["all", "6", "2", "0", "0.5", "not told apart"]]
    report = report_json([*PLAYED, *RUNS])
    assert [entry["trials"] for entry in report["tau2"]] == [6, 6]
    assert len(report["runs"]) == len(RUNS)


def test_runs_of_other_domains_are_not_compared() -> None:
    other = a_run(trials("+"), **{**TAU2, "domain": "telecom"})
    with pytest.raises(UsageError, match="domain is 'mock' and 'telecom'"):
        compare(PLAYED[0], other)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [([], 1), ([0, 0], 1), ([0.5, 0.25, 1], 0.25), ([1, -1], 1), ([1] * 10, 2**-9)],
)
def test_random_signs_are_tried_exactly(differences: list[float], expected: float) -> None:
    assert random_signs(differences) == expected


def test_many_signs_are_sampled() -> None:
    differences = [0.5] * 12 + [-0.5] * 8
    more = sum(math.comb(20, k) for k in range(21) if abs(2 * k - 20) >= 4) / 2**20
    assert random_signs(differences) == pytest.approx(more, abs=0.02)


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_are_valid_and_say_what_they_show(kind: str) -> None:
    picture = PICTURES[kind]([*RUNS, *PLAYED])
    texts = [element.text or "" for element in ET.fromstring(picture).iter()]
    assert any("Q4_K_M" in text and "61eeb070aaae" in text for text in texts)
    assert any("bfcl-eval 2026.3.23" in text for text in texts)


def test_the_heat_map_says_what_was_not_measured() -> None:
    assert PICTURES["heat-map"](RUNS).count("not measured") == 4


@pytest.mark.parametrize(
    ("tokens", "ticks"),
    [(187, ["0", "10", "20"]), (100, ["0", "5", "10"]), (3, ["0", "0.2", "0.4"])],
)
def test_the_axis_of_speeds_ends_at_a_round_number(tokens: int, ticks: list[str]) -> None:
    measured = row("multiple_0", True, reply_tokens=tokens, decode_seconds=10.0)
    picture = PICTURES["speed"]([a_run([measured])])
    texts = [element.text for element in ET.fromstring(picture).iter()]
    place = texts.index("reply tokens per second")
    assert [text for text in texts[place + 1 :] if text and "%" not in text][:3] == ticks


@pytest.mark.parametrize("kind", ["speed", "abstention", "pass-k"])
def test_a_picture_of_nothing_is_an_error(kind: str) -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        PICTURES[kind]([a_run([row("multiple_0", True)])])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("xLAM-2-1b-fc-r-Q4_K_M.gguf", "xlam-2-1b"),
        ("Llama-xLAM-2-8b-fc-r-F16.gguf", "xlam-2-8b"),
        ("xlam-2-3b:Q8_0", "xlam-2-3b"),
        ("xLAM-2-32B-fc-r.gguf", "xlam-2-32b"),
        ("xLAM-2-1bx.gguf", None),
        ("xLAM-1b-fc-r.gguf", None),
        ("xLAM-2-7b.gguf", None),
    ],
)
def test_published_scores_are_found_by_the_name_of_a_model(name: str, model: str | None) -> None:
    found = published_scores(name)
    assert (found.model if found else None) == model


@pytest.mark.parametrize("model", ROWS)
def test_published_means_follow_from_published_categories(model: str) -> None:
    found = published_scores(model)
    assert found is not None
    scores = found.scores
    parts = ("simple", "multiple", "parallel", "parallel_multiple")
    assert scores["non_live"] == pytest.approx(sum(scores[name] for name in parts) / 4, abs=1e-4)
    for mean in MEANS:
        if mean.weights.keys() <= scores.keys():
            expected = sum(weight * scores[name] for name, weight in mean.weights.items())
            assert scores[mean.name] == pytest.approx(expected, abs=1e-4)


def write_run(path: Path, lines: str) -> Path:
    path.write_text(lines, encoding="utf-8")
    path.with_name(f"{path.name}.run").write_text(json.dumps(FACTS), encoding="utf-8")
    return path


def test_a_line_that_is_not_complete_is_not_read(tmp_path: Path) -> None:
    whole = json.dumps(row("multiple_0", True))
    path = write_run(tmp_path / "a.jsonl", f"{whole}\n{whole[:20]}")
    assert [one["id"] for one in read_run(path).rows] == ["multiple_0"]


@pytest.mark.parametrize("line", ["{", "[]", "{}", '"id"', "1", "[" * 100_000, "9" * 5000])
def test_a_damaged_line_is_an_error(tmp_path: Path, line: str) -> None:
    path = write_run(tmp_path / "a.jsonl", f"{line}\n")
    with pytest.raises(IntegrityError, match="line 1, is damaged"):
        read_run(path)


def test_a_folder_with_several_runs_is_not_one(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write_run(tmp_path / name, "")
    assert [run.name for run in read_runs([tmp_path])] == ["a", "b"]
    with pytest.raises(UsageError, match=r"a\.jsonl, b\.jsonl"):
        read_run(tmp_path)


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no results"):
        read_runs([tmp_path])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("a b.gguf", "bfcl-a-b-on.jsonl"),
        ("../x", "bfcl-x-on.jsonl"),
        ("ü.gguf", "bfcl-model-on.jsonl"),
        ("m-00001-of-00002.gguf", "bfcl-m-00001-of-00002-on.jsonl"),
    ],
)
def test_the_file_of_a_run_is_named_after_the_model(model: str, name: str) -> None:
    assert run_path(Path("out"), "bfcl", model, "on") == Path("out") / name


def test_an_estimate_without_cases_stays_unknown() -> None:
    scores = score([])
    assert (scores.validity, scores.joules, scores.tokens_per_second) == (None, None, None)
    assert Estimate(0.5, 0.4, 0.6, 10).count == 10
