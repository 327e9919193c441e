"""The `eval` commands, with a model of random weights, and the page about them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.fakes.command_line import Finished, run, run_process
from tests.fakes.doc_pages import ROOT, code_blocks
from tests.fakes.resources import fetch
from xlam_local.cli import eval as eval_group

PAGE = ROOT / "docs" / "evaluation.md"
LIMITS = ("--max-tokens", "24", "--context", "4096")


def measure(model: Path, out: Path, *arguments: str) -> Finished:
    checker = ("--checker", str(fetch("bfcl")))
    return run("eval", "bfcl", "-m", str(model), "--out", str(out), *checker, *LIMITS, *arguments)


@pytest.fixture(scope="module")
def results(qwen_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two categories, with and without the grammar."""
    out = tmp_path_factory.mktemp("results")
    categories = ("--category", "simple_python", "--category", "irrelevance")
    done = measure(qwen_path, out, "--count", "2", *categories)
    assert done.returncode == 0, done.stderr
    assert "simple_python" in done.stdout
    return out


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_run_is_extended_and_shows_everything(results: Path, qwen_path: Path) -> None:
    files = sorted(results.glob("*.jsonl"))
    before = {path: lines(path) for path in files}
    assert [path.name for path in files] == [
        "bfcl-xLAM-2-tiny-free.jsonl",
        "bfcl-xLAM-2-tiny-grammar.jsonl",
    ]
    done = measure(qwen_path, results, "--count", "3", "--category", "irrelevance", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [entry["cases"] for entry in report["runs"]] == [5, 5]
    for path, earlier in before.items():
        assert lines(path)[:4] == earlier
    facts = report["runs"][0]
    assert len(facts["sha256"]) == 64
    assert facts["checker"] == "bfcl-eval 2026.3.23"
    assert facts["grammar"] == "off"
    assert facts["scores"]["categories"]["irrelevance"]["official"]["count"] == 3
    assert report["grammar"][0]["tests"]["all"]["pairs"] == 5


def test_another_seed_is_another_run(results: Path, qwen_path: Path) -> None:
    done = measure(qwen_path, results, "--category", "irrelevance", "--count", "1", "--seed", "9")
    assert done.returncode == 2
    assert "seed was 0 and is now 9" in done.stderr


def test_a_multi_turn_case_that_does_not_fit_fails_alone(
    qwen_path: Path, tmp_path: Path, own_folders: Path
) -> None:
    cache = own_folders / "cache" / "eval"
    cache.mkdir(parents=True)
    (cache / "mpmath-1.3.0").symlink_to(fetch("mpmath"))
    arguments = ("--category", "multi_turn_base", "--count", "1", "--grammar", "on")
    done = measure(qwen_path, tmp_path, *arguments, "--context", "16384")
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, lines(tmp_path / "bfcl-xLAM-2-tiny-grammar.jsonl"))
    assert row["category"] == "multi_turn_base"
    assert row["error_type"] == "inference:prompt_too_long"  # the model has 4,096 tokens


def test_a_case_is_shown_with_prompt_reply_and_reason(results: Path) -> None:
    row = json.loads(lines(results / "bfcl-xLAM-2-tiny-free.jsonl")[0])
    done = run("eval", "show", row["id"], str(results))
    assert done.returncode == 0
    assert "You have access to a set of tools." in done.stdout
    assert "bfcl-xLAM-2-tiny-grammar: wrong" in done.stdout
    assert f"Reason: {row['error_type']}" in done.stdout
    found = json.loads(run("eval", "show", row["id"], str(results), "--json").stdout)
    assert found["bfcl-xLAM-2-tiny-free"]["reply"] == row["reply"]


def test_two_runs_are_compared(results: Path) -> None:
    files = [str(path) for path in sorted(results.glob("*.jsonl"))]
    done = run("eval", "compare", *files)
    assert done.returncode == 0
    assert "not told apart" in done.stdout
    tests = json.loads(run("eval", "compare", *files, "--json").stdout)["tests"]
    assert tests["simple_python"]["pairs"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("report", "nowhere"), 2, "nowhere"),
        (("show", "no_case", "{results}"), 2, "There is no case 'no_case'"),
        (("compare", "{results}", "{results}"), 2, "has several runs"),
        (("bfcl", "--category", "nothing"), 2, "there is no category 'nothing'"),
        (("bfcl", "--checker", "{results}", "-m", "x"), 3, "--checker"),
        (("own", "missing.jsonl", "--tools", "missing.json"), 2, "missing.json"),
    ],
)
def test_errors_are_one_sentence(
    arguments: tuple[str, ...],
    code: int,
    message: str,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(results))
    done = run("eval", *(text.format(results=results) for text in arguments))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_groups_help_has_the_first_paragraph_of_each_commands_help() -> None:
    context = click.Context(eval_group.eval)
    for name, target in eval_group.eval.targets.items():
        command = eval_group.eval.get_command(context, name)
        assert command is not None
        assert command.help is not None
        assert " ".join(command.help.split("\n\n")[0].split()) == target.summary


def commands() -> Iterator[list[str]]:
    """Yield the commands of the page, which build on each other."""
    for block in code_blocks(PAGE, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["xlam-local"]:
                yield words[1:]


def quick(words: list[str], model: Path) -> list[str]:
    """Return a command of the page with the test's model and few, short replies."""
    words = [re.sub(r"^xlam-2-\w+(?::\w+)?$", str(model), word) for word in words]
    if words[1] == "tau2":
        few = ("--count", "1", "--trials", "1", "--max-tokens", "8", "--max-steps", "4")
        return [*words, *few, "--grammar", "on", "--checker", str(fetch("tau2"))]
    if words[1] in ("bfcl", "own"):
        small = ("--max-tokens", "8", "--context", "16384", "--checker", str(fetch("bfcl")))
        words += ["--count", "1"] if words[1] == "bfcl" else []
        return [*words, *small]
    return words


def needs_tau2(words: list[str]) -> bool:
    """Return whether a command runs tau2, or draws what it measured."""
    return words[1] == "tau2" or "pass-k" in words


def test_every_command_of_the_page_but_those_of_tau2_runs(
    qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folders: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = own_folders / "cache" / "eval"
    cache.mkdir(parents=True)
    (cache / "mpmath-1.3.0").symlink_to(fetch("mpmath"))
    (cases,) = code_blocks(PAGE, "jsonl")
    Path("cases.jsonl").write_text(cases, encoding="utf-8")
    (tools,) = code_blocks(PAGE, "json")
    Path("lamps.json").write_text(tools, encoding="utf-8")
    seen = set()
    for words in commands():
        if not needs_tau2(words):
            done = run(*quick(words, qwen_path))
            assert done.returncode == 0, (words, done.stderr)
            seen.add(words[1])
    assert seen == set(eval_group.COMMANDS) - {"tau2"}
    assert Path("accuracy.svg").exists()


@pytest.mark.slow
def test_the_commands_of_tau2_on_the_page_run(
    qwen_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_tau2 = [words for words in commands() if needs_tau2(words)]
    for words in of_tau2:
        done = run(*quick(words, qwen_path))
        assert done.returncode == 0, (words, done.stderr)
    assert {words[1] for words in of_tau2} == {"tau2", "report"}
    assert Path("pass-k.svg").exists()


def test_eval_help_loads_no_model_library() -> None:
    done = run_process("eval", "--help")
    assert done.returncode == 0
    assert "report" in done.stdout
