"""How many cases of the Berkeley Function-Calling Leaderboard a model gets right.

python -m tests.leaderboard [--model NAME] [--category NAME] [--count N] [--least N]

Each case is one run of `xlam-local call`; the leaderboard's own checker judges it.
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

from .resources import FILES, get

Case = dict[str, Any]


class _AnyModel(dict[str, Any]):
    """Stands for the table of the leaderboard's models, which imports each one's client."""

    def __missing__(self, name: str) -> Any:
        return SimpleNamespace(underscore_to_dot=False)


def checker(category: str) -> Callable[[Case, list[Any], Any], bool]:
    """The leaderboard's judgement of the calls made for a case."""
    sys.path.insert(0, str(get("bfcl")))
    table = ModuleType("bfcl_eval.constants.model_config")
    table.MODEL_CONFIG_MAPPING = _AnyModel()  # type: ignore[attr-defined]
    sys.modules[table.__name__] = table
    from bfcl_eval.constants.enums import Language
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker

    def right(case: Case, calls: list[Any], expected: Any) -> bool:
        made = [{call["name"]: call["arguments"]} for call in calls]
        verdict = ast_checker(
            case["function"], made, expected, Language.PYTHON, category, "xlam-local"
        )
        return bool(verdict["valid"])

    return right


def cases(category: str, count: int) -> Iterator[tuple[Case, Any]]:
    """Cases with their ground truth, the same ones in each run."""
    data = get("bfcl") / "bfcl_eval" / "data"
    found = _lines(data / f"BFCL_v4_{category}.json")
    expected = {
        line["id"]: line["ground_truth"]
        for line in _lines(data / "possible_answer" / f"BFCL_v4_{category}.json")
    }
    random.Random(7).shuffle(found)
    for case in found[:count]:
        yield case, expected[case["id"]]


def _lines(path: Path) -> list[Case]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def called(case: Case, model: Path) -> str:
    """What `xlam-local call` writes for a case."""
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", choices=[n for n in FILES if "-" in n])
    parser.add_argument("--category", default="simple_python")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--least", type=int, default=0, help="Fail when fewer are right.")
    wanted = parser.parse_args()
    judge, model = checker(wanted.category), get(wanted.model)
    valid = right = 0
    for case, expected in cases(wanted.category, wanted.count):
        try:
            calls = json.loads(called(case, model))
        except ValueError:
            continue
        valid += 1
        right += judge(case, calls, expected)
    print(f"{wanted.model}, {wanted.category}: {valid} valid, {right} right of {wanted.count}")
    return 0 if valid == wanted.count and right >= wanted.least else 1


if __name__ == "__main__":
    sys.exit(main())
