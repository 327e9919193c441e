"""Compare tool_choice auto and required, and free decoding, on leaderboard cases.

usage: python -m tests.benchmarks.tool_choice [--model NAME] [--category NAME]... [--count N]
                                              [--choice NAME]... [--replies FILE]

The cases of irrelevance categories are right if the model abstains: it calls nothing, and its reply
does not begin a call or a tool's definition either. Such broken replies are counted apart, because
the leaderboard counts them as right. All cases of one model run in one process, so the time per
case is about that of a reply.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.leaderboard import Case, load_cases, load_checker
from tests.fakes.resources import FILES, fetch
from xlam_local import agent, openai_format
from xlam_local.agent import Generation, TurnOptions
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.grammar import CallDetector, Enforced, compile_tools
from xlam_local.types import Prompt, Sampling, Tool, ToolCalls, UserMessage

CATEGORIES = (
    "simple_python",
    "live_simple",
    "multiple",
    "parallel",
    "irrelevance",
    "live_irrelevance",
)
CHOICES: dict[str, Callable[[Sequence[Tool]], Enforced | None]] = {
    "free": lambda tools: None,
    "auto": lambda tools: compile_tools(tools).enforced,
    "auto-grammar": lambda tools: compile_tools(tools).grammar,
    "required": lambda tools: compile_tools(tools, "required").enforced,
}
"""What is enforced; auto-grammar is one grammar of text or calls, for engines elsewhere."""
MAX_TOKENS = 256


class RecordingEngine:
    """Keeps the text of the last reply, and enforces `enforced`."""

    def __init__(self, engine: LocalEngine, enforced: Enforced | None) -> None:
        self._engine = engine
        self._enforced = enforced
        self.name = engine.name
        self.prompt_format = engine.prompt_format
        self.context_size = engine.context_size
        self.sequences = engine.sequences
        self.count = engine.count
        self.text = ""

    def generate(self, prompt: Prompt, _grammar: object, sampling: Sampling) -> Generation:
        """Generate as the engine does."""
        self.text, stop = "", None
        items = self._engine.generate(prompt, self._enforced, sampling)
        with suppress(StopIteration):
            while True:
                item = items.send(stop)
                if isinstance(item, str):
                    self.text += item
                stop = yield item


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of a model to one case."""

    text: str
    """What the model wrote."""
    calls: list[dict[str, Any]]
    broken: bool
    """Whether the reply begins a call, but has none that can be read."""


def reply(case: Case, engine: LocalEngine, choice: str) -> Reply:
    """Return the first reply to a case."""
    tools = openai_format.tools(case["function"])
    question = case["question"][0][-1]["content"]
    options = TurnOptions(
        tool_choice="required" if choice == "required" else "auto",
        max_steps=1,
        sampling=Sampling(max_tokens=MAX_TOKENS),
    )
    recorder = RecordingEngine(engine, CHOICES[choice](tools))
    calls: list[dict[str, Any]] = []
    for event in agent.turn([UserMessage(question)], tools, recorder, _never, options):
        if isinstance(event, ToolCalls):
            calls = [openai_format.call_to_json(call) for call in event.calls]
    detector = CallDetector([tool.name for tool in tools], early=True)
    detector.feed(recorder.text)
    return Reply(recorder.text, calls, not calls and detector.opening is not None)


def _never(*_: object) -> Any:
    raise AssertionError("No tool runs here.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = [name for name in FILES if "-" in name and not name.startswith("vocab")]
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", choices=models)
    parser.add_argument("--category", action="append", choices=CATEGORIES)
    parser.add_argument("--choice", action="append", choices=CHOICES)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--replies", type=Path, help="Write the replies to this JSON lines file.")
    options = parser.parse_args()
    engine = LocalEngine.load(fetch(options.model), LoadOptions(context_size=8192))
    log = options.replies.open("w", encoding="utf-8") if options.replies else None
    for category in options.category or CATEGORIES:
        is_right = None if "irrelevance" in category else load_checker(category)
        right = dict.fromkeys(options.choice or CHOICES, 0)
        broken = dict.fromkeys(right, 0)
        for case, expected in load_cases(category, options.count):
            for choice in right:
                made = reply(case, engine, choice)
                abstained = not made.calls and not made.broken
                good = is_right(case, made.calls, expected) if is_right else abstained
                right[choice] += good
                broken[choice] += made.broken
                if log:
                    record = {"category": category, "id": case["id"], "choice": choice}
                    record |= {"right": good, "text": made.text, "calls": made.calls}
                    print(json.dumps(record, ensure_ascii=False), file=log, flush=True)
        scores = ", ".join(f"{name} {right[name]} ({broken[name]} broken)" for name in right)
        print(f"{options.model}, {category}: {scores} of {options.count}", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
