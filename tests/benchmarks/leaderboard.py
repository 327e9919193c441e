"""Count how many cases of the Berkeley Function-Calling Leaderboard a model gets right.

usage: python -m tests.benchmarks.leaderboard [--model NAME] [--category NAME] [--count N]
                                              [--min-correct N]

Each case is one run of `xlam-local call`, judged by the leaderboard's own checker.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.fakes.resources import FILES, fetch

SHUFFLE_SEED = 7

Case = dict[str, Any]


class _AnyModel(dict[str, Any]):
    """Replaces the leaderboard's table of models, which imports a client for each of them."""

    def __missing__(self, name: str) -> Any:
        return SimpleNamespace(underscore_to_dot=False)


def load_checker(category: str) -> Callable[[Case, list[Any], Any], bool]:
    """Return a function that says whether the calls for a case are right."""
    sys.path.insert(0, str(fetch("bfcl")))
    table = ModuleType("bfcl_eval.constants.model_config")
    table.MODEL_CONFIG_MAPPING = _AnyModel()  # type: ignore[attr-defined]
    sys.modules[table.__name__] = table
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    def is_right(case: Case, calls: list[Any], expected: Any) -> bool:
        made = [{call["name"]: call["arguments"]} for call in calls]
        verdict = ast_checker(
            case["function"], made, expected, Language.PYTHON, category, "xlam-local"
        )
        return bool(verdict["valid"])

    return is_right


def load_cases(category: str, count: int) -> Iterator[tuple[Case, Any]]:
    """Yield the same random cases in each run, with the expected calls."""
    data = fetch("bfcl") / "bfcl_eval" / "data"
    cases = _json_lines(data / f"BFCL_v4_{category}.json")
    answers = data / "possible_answer" / f"BFCL_v4_{category}.json"
    lines = _json_lines(answers) if answers.exists() else []  # irrelevance has no expected calls
    expected = {line["id"]: line["ground_truth"] for line in lines}
    random.Random(SHUFFLE_SEED).shuffle(cases)
    for case in cases[:count]:
        yield case, expected.get(case["id"])


def _json_lines(path: Path) -> list[Case]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_case(case: Case, model: Path) -> str:
    """Return the output of `xlam-local call` for a case."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as tools:
        json.dump(case["function"], tools)
        tools.flush()
        command = ["xlam-local", "call", "--tools", tools.name, "-m", str(model)]
        question: str = case["question"][0][-1]["content"]
        done = subprocess.run(command, input=question, capture_output=True, text=True, check=False)
    if done.returncode:
        print(case["id"], done.stderr.strip(), file=sys.stderr)
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = [name for name in FILES if "-" in name and not name.startswith("vocab")]
    parser.add_argument("--model", default="smollm2-135m", choices=models)
    parser.add_argument("--category", default="simple_python")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--min-correct", type=int, default=0, help="Fail if fewer are correct.")
    options = parser.parse_args()
    is_right, model = load_checker(options.category), fetch(options.model)
    valid = right = 0
    for case, expected in load_cases(options.category, options.count):
        try:
            calls = json.loads(run_case(case, model))
        except ValueError:
            continue
        valid += 1
        right += is_right(case, calls, expected)
    print(f"{options.model}, {options.category}: {valid} valid, {right} correct of {options.count}")
    return 0 if valid == options.count and right >= options.min_correct else 1


if __name__ == "__main__":
    sys.exit(main())
