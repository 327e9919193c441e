"""Run the cases of an evaluation: several at once, each result saved as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any

from ..agent.engine import Engine
from ..checkpoint import Checkpoint
from ..types import Sampling
from .bfcl_checker import Checker
from .categories import MULTI_TURN
from .checker_process import CheckerStopped
from .energy import EnergyMeter
from .replies import EvalRequest, EvaluatedReply, PromptTooLong, write_reply

Json = Mapping[str, Any]
Write = Callable[[EvalRequest], EvaluatedReply]
"""Writes the reply to a request."""
TOO_LONG = "inference:prompt_too_long"
STOPPED = "checker:stopped"
"""The type of error of a case whose calls end or hang the checker."""


@dataclass(frozen=True, slots=True)
class EvalCase:
    """A case: one of the leaderboard or one of the user's."""

    id: str
    category: str
    request: EvalRequest
    digest: str = ""
    """The hash of a case that its user can change."""


@dataclass(frozen=True, slots=True)
class Judges:
    """How cases are judged: what starts the checker of a thread, and what plays a case with it."""

    start: Callable[[], Any]
    """Returns a context manager, whose value is given to `play`."""
    play: Callable[[EvalCase, Any, Write], Json]
    """Returns the row of a case; it gets the case, the checker, and what writes a reply."""
    stop: Event = field(default_factory=Event)
    """Is set when the run ends early, so that `play` ends too."""


@dataclass(frozen=True, slots=True)
class RunModel:
    """What writes the replies of a run, and where the results are saved."""

    engine: Engine
    grammar: bool
    sampling: Sampling
    checkpoint: Checkpoint


def remove_changed(cases: Sequence[EvalCase], checkpoint: Checkpoint) -> int:
    """Remove the rows of cases that have changed since; return their number."""
    digests = {case.id: case.digest for case in cases if case.digest}
    return checkpoint.remove(
        lambda row: row["id"] in digests and row.get("case") != digests[row["id"]]
    )


def run_cases(
    cases: Sequence[EvalCase], models: Sequence[RunModel], judges: Judges
) -> Iterator[tuple[RunModel, Json]]:
    """Run the cases that are not saved yet; yield the row of each when it is saved.

    Each case runs with one of the models after the other: models that share an engine then read its
    prompt once. Rows that are saved at once come in the order of the cases. As many run at once as
    the engine has sequences. Close the generator to stop.
    """
    missing = [
        (case, model) for case in cases for model in models if case.id not in model.checkpoint.done
    ]
    meter, lock = EnergyMeter(), Lock()
    judges.stop.clear()

    with ExitStack() as stack:
        idle: SimpleQueue[Any] = SimpleQueue()
        count = max(1, min([len(missing), *(model.engine.sequences for model in models)]))
        for _ in range(count if missing else 0):
            idle.put(stack.enter_context(judges.start()))

        def run(case: EvalCase, model: RunModel) -> tuple[RunModel, Json]:
            def write(request: EvalRequest) -> EvaluatedReply:
                return write_reply(
                    request, model.engine, model.grammar, model.sampling, judges.stop
                )

            checker = idle.get()
            try:
                row = judges.play(case, checker, write)
            except PromptTooLong as error:
                row = {"valid": False, "error_type": TOO_LONG, "error": [str(error)]}
            except CheckerStopped as error:
                row = {"valid": False, "error_type": STOPPED, "error": [str(error)]}
            finally:
                idle.put(checker)
            with lock:
                known = {"case": case.digest} if case.digest else {}
                row = {"id": case.id, "category": case.category, **known, **row}
                row["joules"] = meter.take()
                model.checkpoint.append(row)
            return model, row

        pool = stack.enter_context(ThreadPoolExecutor(count))
        try:
            running = [pool.submit(run, case, model) for case, model in missing]
            while running:
                done = wait(running, return_when=FIRST_COMPLETED).done
                for future in running:
                    if future in done:
                        yield future.result()
                running = [future for future in running if future not in done]
        finally:
            judges.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def play_bfcl(case: EvalCase, checker: Checker, write: Write) -> Json:
    """Play a case of the leaderboard, and return its row."""
    if case.category in MULTI_TURN:
        return _play_multi_turn(case, checker, write)
    reply = write(case.request)
    verdict = checker.judge(case.category, case.id, reply.judged)
    outcome = outcome_of(verdict["called"], reply.broken)
    return {**verdict, "outcome": outcome, **reply_json(reply), "prompt": reply.prompt}


def outcome_of(called: Sequence[str] | None, broken: bool) -> str:
    """Return what a reply is: "called", "words" or "undecodable"."""
    if called:
        return "called"
    return "undecodable" if broken else "words"


def _play_multi_turn(case: EvalCase, checker: Checker, write: Write) -> Json:
    steps = checker.multi_turn(case.category, case.id)
    written: list[EvaluatedReply] = []
    try:
        query = next(steps)
        while True:
            written.append(write(EvalRequest(query.messages, query.functions, query.allowed)))
            query = steps.send(written[-1].judged)
    except StopIteration as end:
        verdict: Json = end.value
    except BaseException:
        steps.close()  # the checker is used again
        raise
    costs = [reply_json(reply) for reply in written]
    sums = {key: sum(cost[key] for cost in costs) for key in COSTS}
    return {**verdict, **sums, "replies": [reply.text for reply in written]}


COSTS = (
    "prompt_tokens",
    "cached_tokens",
    "reply_tokens",
    "seconds",
    "decode_seconds",
    "truncated",
)


def reply_json(reply: EvaluatedReply) -> dict[str, Any]:
    """Return a reply and its cost as JSON; what was judged only if it is not the reply itself."""
    judged = {} if reply.judged == reply.text else {"judged": reply.judged}
    return {
        "reply": reply.text,
        **judged,
        "truncated": reply.truncated,
        "prompt_tokens": reply.usage.prompt_tokens,
        "cached_tokens": reply.usage.cached_tokens,
        "reply_tokens": reply.usage.reply_tokens,
        "seconds": round(reply.seconds, 3),
        "decode_seconds": round(reply.usage.decode_seconds, 3),
    }
