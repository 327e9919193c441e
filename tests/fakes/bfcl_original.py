"""The leaderboard's original code without ours between, to compare with.

usage: python -I -S -B bfcl_original.py WORKER FOLDER...

It reads JSON lines: {"prompts": CATEGORY}, {"verdict": ID, "category": ..., "reply": ...} or
{"transcript": ID, "category": ..., "replies": [...]}. WORKER is the path of bfcl_worker.py, of
which only the replacements of missing packages are used.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

CLIENTS = "bfcl_eval.constants.model_config"


def load(worker: str) -> None:
    """Make the original importable."""
    spec = importlib.util.spec_from_file_location("bfcl_worker", worker)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.meta_path.append(module._EmptyModules())
    table = ModuleType(CLIENTS)
    table.MODEL_CONFIG_MAPPING = {"m": SimpleNamespace(underscore_to_dot=False)}  # type: ignore[attr-defined]
    sys.modules[CLIENTS] = table


def handler_class(family: str) -> Any:
    name = f"bfcl_eval.model_handler.local_inference.salesforce_{family}"
    return getattr(importlib.import_module(name), f"Salesforce{family.capitalize()}Handler")


def prompts(category: str) -> list[Any]:
    utils = importlib.import_module("bfcl_eval.utils")
    handlers = [handler_class(family)("m", 0.001, "m", False) for family in ("qwen", "llama")]
    return [
        [
            entry["id"],
            *(h._format_prompt(entry["question"][0], entry["function"]) for h in handlers),
        ]
        for entry in utils.load_dataset_entry(category)
    ]


@cache
def answers(category: str) -> dict[str, tuple[Any, Any]]:
    """Return the functions and the right calls of each case."""
    utils = importlib.import_module("bfcl_eval.utils")
    entries = utils.load_dataset_entry(category, include_language_specific_hint=False)
    truths = utils.load_ground_truth_entry(category)
    return {
        entry["id"]: (entry["function"], truth["ground_truth"])
        for entry, truth in zip(entries, truths, strict=True)
    }


def verdict(category: str, case_id: str, reply: str) -> list[Any]:
    """Return what `ast_checker` says of a reply in JSON."""
    enums = importlib.import_module("bfcl_eval.constants.enums")
    checker = importlib.import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
    functions, answer = answers(category)[case_id]
    language = {"simple_java": "JAVA", "simple_javascript": "JAVASCRIPT"}.get(category, "PYTHON")
    calls = [{call["name"]: call["arguments"]} for call in json.loads(reply)]
    said = checker.ast_checker(functions, calls, answer, enums.Language[language], category, "m")
    return [said["valid"], *([] if said["valid"] else [said["error_type"], said["error"]])]


def transcript(category: str, case_id: str, replies: list[str]) -> Any:
    """Return all prompts, and the replies by turn, of the original loop with these replies."""
    utils = importlib.import_module("bfcl_eval.utils")
    entries = {entry["id"]: entry for entry in utils.load_dataset_entry(category)}
    seen: list[str] = []
    remaining = iter(replies)

    class Recorded(handler_class("qwen")):  # type: ignore[misc]
        def _query_prompting(self, inference_data: Any) -> Any:
            seen.append(self._format_prompt(inference_data["message"], inference_data["function"]))
            usage = SimpleNamespace(prompt_tokens=0, completion_tokens=0)
            choice = SimpleNamespace(text=next(remaining, "Done."))
            return SimpleNamespace(choices=[choice], usage=usage), 0

    handler = Recorded(f"m{case_id}", 0.001, "m", False)
    by_turn, _ = handler.inference_multi_turn_prompting(entries[case_id], False, True)
    return [seen, by_turn]


def main() -> None:
    load(sys.argv[1])
    sys.path[:0] = sys.argv[2:]
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr
    for line in sys.stdin:
        match json.loads(line):
            case {"prompts": category}:
                answer: Any = prompts(category)
            case {"verdict": case_id, "category": category, "reply": reply}:
                answer = verdict(category, case_id, reply)
            case {"transcript": case_id, "category": category, "replies": replies}:
                answer = transcript(category, case_id, replies)
        print(json.dumps({"answer": answer}), file=output, flush=True)


if __name__ == "__main__":
    main()
