"""An agent that knows the right calls of τ²'s mock domain, and a server for it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local import prompt, server
from xlam_local.agent import Generation
from xlam_local.evaluation.tau2_process import Endpoint
from xlam_local.grammar import Enforced
from xlam_local.types import GenerationEnd, Prompt, Sampling, Usage

TASKS = "tau2/data/tau2/domains/mock/tasks.json"
TOKEN = "secret"
STOP = {"name": "done", "arguments": {}}


class Oracle(Scripted):
    """Replays the ground truth of the task whose ticket is in the prompt.

    In trials with a seed of `lazy` it only says that it is done.
    """

    def __init__(self, lazy: Collection[int] = ()) -> None:
        super().__init__()
        self.lazy = lazy
        tasks = json.loads((fetch("tau2") / TASKS).read_text(encoding="utf-8"))
        self.actions = {
            task["ticket"]: task["evaluation_criteria"]["actions"]
            for task in tasks
            if task.get("ticket") and task["evaluation_criteria"].get("actions")
        }
        self.told = " ".join(
            text
            for task in tasks
            for text in task["evaluation_criteria"].get("communicate_info") or ()
        )

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Yield the next right call, after what a task demands to tell."""
        text = prompt.text(written)
        self.samplings.append(sampling)
        self.grammars.append(grammar)
        (actions,) = [found for ticket, found in self.actions.items() if ticket in text]
        made = text.count("<|im_start|>tool")
        remaining = [] if sampling.seed in self.lazy else actions[made:]
        call: dict[str, Any] = STOP
        if remaining:
            call = {key: remaining[0][key] for key in ("name", "arguments")}
        yield f"{self.told}\n{json.dumps([call])}"
        yield GenerationEnd(False, Usage(10, 0, 5))


@contextmanager
def serving(engine: Scripted, sampling: Sampling = Sampling()) -> Iterator[Endpoint]:
    """Serve an engine on a free port of this machine."""
    with server.open_socket("127.0.0.1", 0) as bound:
        state = server.ServerState(server.EngineQueue(engine, 8), WordTokenizer(), sampling)
        rules = server.AccessRules(token=TOKEN)
        with server.serve_in_thread(state, rules, bound) as url:
            yield Endpoint(f"{url}/v1", TOKEN, state.model)
