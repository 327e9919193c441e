"""Run the leaderboard's original code, unmodified, in a process of its own.

usage: python -I -S -B bfcl_worker.py FOLDER...

The folders contain bfcl_eval and, for the tools of multi-turn cases, mpmath.

The process exchanges JSON lines with `bfcl_checker`. It imports nothing of xlam_local. Packages
that the original imports and does not need here are replaced by modules without content.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

Json = Any
REPLACED_PACKAGES = frozenset(
    [
        *("dotenv", "filelock", "numpy", "openai", "overrides", "pandas", "requests", "tenacity"),
        *("tqdm", "tree_sitter", "tree_sitter_java", "tree_sitter_javascript"),
    ]
)
"""Packages that the original imports, but that judging the replies of xLAM models does not use."""
LANGUAGES = {"simple_java": "JAVA", "simple_javascript": "JAVASCRIPT"}
"""The language of a category's calls; PYTHON for the others."""


class _Placeholder:
    """Stands for a class, a decorator or a decorator factory of a package that is not installed."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, decorated: Any = None, *_: Any, **__: Any) -> Any:
        return decorated

    def __getattr__(self, name: str) -> Any:
        return _Placeholder()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _EmptyModule(ModuleType):
    """A module whose every name exists."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("final", "override"):
            return lambda decorated: decorated
        if name == "EnforceOverrides":  # the base class of the original handler
            return object
        return type(name, (_Placeholder,), {})


class _EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module for each package in REPLACED_PACKAGES."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Return the spec of an empty module."""
        if name.partition(".")[0] not in REPLACED_PACKAGES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        """Return the empty module."""
        return _EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has no code."""


class _AnyModel(dict[str, Any]):
    """Replaces the table of models, which imports a client for each; xLAM's entries are alike."""

    def __missing__(self, name: str) -> Any:
        return SimpleNamespace(underscore_to_dot=False)


class Aborted(BaseException):
    """The parent does not reply; the original catches every Exception."""


class Leaderboard:
    """The original functions and the cases, loaded when they are needed."""

    def __init__(self, ask: Callable[[Json], Json]) -> None:
        table = ModuleType("bfcl_eval.constants.model_config")
        table.MODEL_CONFIG_MAPPING = _AnyModel()  # type: ignore[attr-defined]
        sys.modules[table.__name__] = table
        self.runner = importlib.import_module("bfcl_eval.eval_checker.eval_runner")
        self.utils = importlib.import_module("bfcl_eval.utils")
        self.enums = importlib.import_module("bfcl_eval.constants.enums")
        module = importlib.import_module("bfcl_eval.model_handler.local_inference.salesforce_qwen")
        self.handler_class = _asking_handler(module.SalesforceQwenHandler, ask)
        self.runs = 0
        self._cases: dict[tuple[str, bool], dict[str, Json]] = {}
        self._answers: dict[str, list[Json]] = {}

    def handler(self) -> Any:
        """Return a new handler; its name is new, because tools' states are kept by name."""
        self.runs += 1
        name = f"xlam-{self.runs}"
        return self.handler_class(name, 0.001, name, False)

    def cases(self, category: str, hints: bool) -> dict[str, Json]:
        """Return the cases of a category by id, as the model sees them, or as the checker does."""
        key = (category, hints)
        if key not in self._cases:
            entries = self.utils.load_dataset_entry(category, include_language_specific_hint=hints)
            self._cases[key] = {entry["id"]: entry for entry in entries}
        return self._cases[key]

    def answer(self, category: str, case_id: str) -> Json:
        """Return the expected calls; as in the original, the order of the cases finds them."""
        if category not in self._answers:
            self._answers[category] = self.utils.load_ground_truth_entry(category)
        place = list(self.cases(category, False)).index(case_id)
        return self._answers[category][place]["ground_truth"]

    def judge(self, category: str, case_id: str, reply: str) -> Json:
        """Judge the reply to a single-turn case."""
        case = _copy(self.cases(category, False)[case_id])
        answer = None if "relevance" in category else self.answer(category, case_id)
        return self.judge_entry(category, case, answer, reply)

    def judge_entry(self, category: str, case: Json, answer: Json, reply: str) -> Json:
        """Judge the reply to a case; one without an answer is about relevance."""
        handler, case_id = self.handler(), case["id"]
        decoded = self._decoded(handler, reply)
        if answer is None:
            verdict = self.runner._evaluate_single_relevance_entry(
                handler, case_id, reply, case, handler.model_name, category
            )
            return {**_verdict(verdict), "called": _names(decoded), "expected": None}
        language = LANGUAGES.get(category, "PYTHON")
        verdict = self.runner._evaluate_single_ast_entry(
            handler,
            case_id,
            reply,
            answer,
            case,
            handler.model_name,
            category,
            language=getattr(self.enums.Language, language),
            return_format=getattr(self.enums.ReturnFormat, language),
            has_tool_call_tag=False,
        )
        return {**_verdict(verdict), "called": _names(decoded), "expected": _names(answer)}

    def multi_turn(self, category: str, case_id: str) -> Json:
        """Play a multi-turn case with the original loop, and judge it."""
        handler, case = self.handler(), _copy(self.cases(category, True)[case_id])
        replies, metadata = handler.inference_multi_turn_prompting(case, False, True)
        shown = _copy(self.cases(category, False)[case_id])
        verdict = self.runner._evaluate_single_multi_turn_entry(
            handler,
            case_id,
            replies,
            self.answer(category, case_id),
            shown,
            handler.model_name,
            category,
        )
        log = metadata["inference_log"]
        return {**_verdict(verdict), "replies": replies, "log": json.loads(_dumps(log))}

    def _decoded(self, handler: Any, reply: str) -> Json:
        """Return the calls that the original decoder reads, or None if they are undecodable."""
        try:
            decoded = handler.decode_ast(reply, self.enums.ReturnFormat.PYTHON, False)
        except Exception:
            return None
        return decoded if self.utils.is_function_calling_format_output(decoded) else None


def _asking_handler(original: Any, ask: Callable[[Json], Json]) -> Any:
    """Return the original handler with replies that `ask` returns instead of a server."""

    class _AskingHandler(original):  # type: ignore[misc]
        later: Json
        allowed: list[Json]
        turn = 0

        def _pre_query_processing_prompting(self, test_entry: Json) -> Json:
            self.later = test_entry.get("missed_function", {})
            self.allowed = list(test_entry["function"])
            return super()._pre_query_processing_prompting(test_entry)

        def _add_next_turn_user_message_prompting(self, data: Json, message: Json) -> Json:
            self.turn += 1
            self.allowed += self.later.get(str(self.turn), [])
            return super()._add_next_turn_user_message_prompting(data, message)

        def _query_prompting(self, inference_data: Json) -> Any:
            messages, functions = inference_data["message"], inference_data["function"]
            query = {"messages": messages, "functions": functions, "allowed": self.allowed}
            prompt = self._format_prompt(messages, functions)
            answer = ask({"query": {**query, "prompt": prompt}})
            usage = SimpleNamespace(prompt_tokens=0, completion_tokens=0)
            return SimpleNamespace(choices=[SimpleNamespace(text=answer["reply"])], usage=usage), 0

    return _AskingHandler


def _verdict(entry: Mapping[str, Json]) -> Json:
    """Return what the original said of a reply: whether it is right, the type of error, details."""
    if entry["valid"]:
        return {"valid": True, "error_type": "", "error": []}
    error, kind = entry.get("error", []), entry.get("error_type", "")
    if isinstance(error, dict):
        details = {key: value for key, value in error.items() if key != "error_type"}
        kind, error = error.get("error_type", ""), [details]
    return {"valid": False, "error_type": kind, "error": json.loads(_dumps(error))}


def _names(calls: Json) -> list[str] | None:
    return None if calls is None else [next(iter(call)) for call in calls]


def _copy(value: Json) -> Json:
    return json.loads(json.dumps(value))


def _dumps(value: Json) -> str:
    return json.dumps(value, default=str)


def main() -> None:
    """Answer the requests of the parent until stdin is closed."""
    sys.path[:0] = sys.argv[1:]
    sys.meta_path.append(_EmptyModules())
    os.environ["BFCL_PROJECT_ROOT"] = str(Path.cwd())
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # The original prints its progress.
    os.dup2(2, 1)  # Calls of a model can write to the file descriptor.

    def send(message: Json) -> None:
        print(_dumps(message), file=output, flush=True)

    def ask(message: Json) -> Json:
        send(message)
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        answer = json.loads(line)
        if "abort" in answer:
            raise Aborted
        return answer

    leaderboard = Leaderboard(ask)
    for line in sys.stdin:
        try:
            send(_answer(leaderboard, json.loads(line)))
        except Aborted:
            send({"aborted": True})
        except ImportError as error:  # a package is missing, so no reply can be judged
            send({"fatal": repr(error)})
        except Exception as error:
            failed = {"valid": False, "error_type": "checker_failed", "error": [repr(error)]}
            send({**failed, "called": None, "expected": None})


def _answer(leaderboard: Leaderboard, request: Json) -> Json:
    """Return the answer to a request of the parent."""
    match request:
        case {"cases": category}:
            return {"cases": list(leaderboard.cases(category, True).values())}
        case {"judge": case_id, "category": category, "reply": reply}:
            return leaderboard.judge(category, case_id, reply)
        case {"entry": entry, "category": category, "answer": answer, "reply": reply}:
            return leaderboard.judge_entry(category, entry, answer, reply)
        case {"multi_turn": case_id, "category": category}:
            return leaderboard.multi_turn(category, case_id)
    raise ValueError(f"Unknown request: {request!r}")


if __name__ == "__main__":
    main()
