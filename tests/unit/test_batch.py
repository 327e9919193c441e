from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.remote_server import CALL, remote_server, status
from xlam_local import prompt
from xlam_local.agent import Generation
from xlam_local.batch import Batch, BatchResult, BatchRow, BatchStopped, read_row, read_rows
from xlam_local.batch.batch_file import ID_KEY, failed, remaining_rows
from xlam_local.checkpoint import Checkpoint
from xlam_local.errors import EngineCrashed, UsageError
from xlam_local.generators import drain
from xlam_local.grammar import Enforced
from xlam_local.remote.address import parse_url
from xlam_local.remote.connect import connect
from xlam_local.remote.http import Timeouts
from xlam_local.types import GenerationEnd, Heartbeat, Prompt, Sampling, Tool, Usage

ADD = Tool("add", "Add.", {"type": "object", "properties": {"a": {"type": "integer"}}})


class Echo:
    """Answers with the seed; fails for requests with a word in `fails`, and counts what runs."""

    prompt_format = prompt.QWEN
    context_size = 1 << 20

    def __init__(self, name: str = "echo", sequences: int = 1, fails: Sequence[str] = ()) -> None:
        self.name = name
        self.sequences = sequences
        self.fails = fails
        self.prompts: list[str] = []
        self.running = self.most_running = 0
        self.closed = 0
        self.blocked: threading.Event | None = None
        self._lock = threading.Lock()

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        return [1 for _ in prompts]

    def generate(self, written: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        text = prompt.text(written)
        with self._lock:
            self.prompts.append(text)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if any(word in text for word in self.fails):
                raise EngineCrashed("The model stopped.")
            while self.blocked is not None and not self.blocked.wait(0.01):
                yield Heartbeat()
            time.sleep(0.005)
            yield f"seed {sampling.seed}"
            yield GenerationEnd(usage=Usage(3, 1, 2))
        finally:
            with self._lock:
                self.running -= 1
                self.closed += 1


def rows(*names: str, **fields: Any) -> list[BatchRow]:
    return [read_row({"id": name, "prompt": f"Say {name}.", **fields}, "a row") for name in names]


def by_id(results: Iterator[BatchResult] | Any) -> dict[str, BatchResult]:
    return {result.id: result for result in results}


def test_each_row_has_a_result_in_openais_form() -> None:
    (result,) = Batch([Echo()]).run(rows("a"))
    line = result.to_json()
    assert line["custom_id"] == "a"
    assert line["error"] is None
    assert line["response"]["status_code"] == 200
    body = line["response"]["body"]
    assert body["choices"][0]["message"]["content"] == result.text
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert result.usage.reply_tokens == 2


def test_a_seed_depends_on_the_id_and_not_on_the_order() -> None:
    names = ["a", "b", "c"]
    one = {r.id: r.text for r in Batch([Echo()]).run(rows(*names))}
    two = {r.id: r.text for r in Batch([Echo(sequences=3)]).run(rows(*reversed(names)))}
    other = {r.id: r.text for r in Batch([Echo()], Sampling(seed=1)).run(rows(*names))}
    assert one == two
    assert len(set(one.values())) == 3
    assert set(one.values()).isdisjoint(other.values())
    own = read_row({"custom_id": "a", "body": {"messages": [user("x")], "seed": 7}}, "row")
    assert [r.text for r in Batch([Echo()]).run([own])] == ["seed 7"]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_engines_run_as_many_rows_as_they_can_and_share_the_work() -> None:
    fast, slow = Echo("fast", 3), Echo("slow", 1)
    slow.blocked = threading.Event()
    names = [str(number) for number in range(40)]
    found = []
    for result in Batch([fast, slow]).run(rows(*names)):
        found.append(result)
        if len(found) == 39:
            slow.blocked.set()
    assert sorted(result.id for result in found) == sorted(names)
    assert [result.model for result in found].count("slow") == 1
    assert 1 <= fast.most_running <= 3


def test_a_row_that_is_wrong_is_an_error_and_others_run() -> None:
    biased = {"messages": [user("a")], "logit_bias": {"1": 5}}
    wrong = [
        read_row({"custom_id": "x", "body": {"messages": []}}, "row"),
        read_row({"custom_id": "y", "body": biased}, "row"),
    ]
    found = by_id(Batch([Echo()]).run([*wrong, *rows("a")]))
    assert not found["a"].error
    for name in ("x", "y"):
        line = found[name].to_json()
        assert line["response"] is None
        assert line["error"] == {"code": "ApiError", "message": found[name].error}
        assert failed(line)


def test_a_row_that_crashes_the_engine_is_tried_twice() -> None:
    engine = Echo(fails=["Say bad"])
    found = by_id(Batch([engine]).run(rows("a", "bad", "b")))
    assert found["bad"].error == "The model stopped."
    assert found["bad"].error_code == "EngineCrashed"
    assert not found["a"].error
    assert not found["b"].error
    assert sum("Say bad" in text for text in engine.prompts) == 2


def test_a_broken_engine_is_left_out() -> None:
    broken, good = Echo("broken", fails=["Say"]), Echo("good")
    found = list(Batch([broken, good]).run(rows(*map(str, range(30)))))
    assert len(found) == 30
    assert {result.model for result in found if not result.error} == {"good"}
    assert len(broken.prompts) <= 4


def test_the_run_stops_if_no_engine_works() -> None:
    results = iter(Batch([Echo(fails=["Say"]), Echo(fails=["Say"])]).run(rows(*"abcdefghijkl")))
    with pytest.raises(BatchStopped, match=r"failed 4 times in a row. The model stopped. Run the"):
        list(results)


def test_a_run_can_be_cancelled() -> None:
    engine = Echo(sequences=2)
    run = Batch([engine]).run(rows(*map(str, range(200))))
    next(iter(run))
    engine.blocked = threading.Event()
    run.close()
    assert engine.running == 0
    assert len(engine.prompts) == engine.closed < 200


async def test_results_can_be_awaited() -> None:
    found = [result.id async for result in Batch([Echo(sequences=2)]).run(rows(*"abc"))]
    assert sorted(found) == ["a", "b", "c"]
    await asyncio.sleep(0)


def test_a_bug_is_not_hidden() -> None:
    class Buggy(Echo):
        def generate(self, *_: Any) -> Generation:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Batch([Buggy()]).run(rows("a")))


def test_two_servers_share_a_batch_although_one_is_busy() -> None:
    with remote_server("llama-server") as one, remote_server("llama-server") as two:
        two.always = status(500)
        timeouts = Timeouts(connect=5, first_byte=9, idle=9)
        engines = [drain(connect(parse_url(s.url), 1024, timeouts)) for s in (one, two)]
        tools = [{"type": "function", "function": {"name": "add", "parameters": ADD.parameters}}]
        names = [str(number) for number in range(24)]
        found = by_id(Batch(engines).run(rows(*names, tools=tools)))
        assert set(found) == set(names)
        assert all(
            json.dumps([{"name": c.name, "arguments": c.arguments} for c in r.calls]) == CALL
            for r in found.values()
            if not r.error
        )
        assert sum(bool(result.error) for result in found.values()) <= 8


SHORT = {"id": "a", "prompt": "Hi"}
LONG = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}}
WRONG = [
    ([], "is not an object"),
    ({"prompt": "Hi"}, "has no id"),
    ({"id": "", "prompt": "Hi"}, "has no id"),
    ({"id": True, "prompt": "Hi"}, "has no id"),
    ({"id": "a"}, "needs either a prompt or messages"),
    ({**SHORT, "messages": []}, "needs either a prompt or messages"),
    ({"id": "a", "prompt": 5}, "prompt must be a text"),
    (
        {**SHORT, "temperature": 1},
        "unknown key 'temperature'; the keys are id, messages,",
    ),
    ({**LONG, "id": "a"}, "unknown key 'id'; the keys are body, custom_id, method, url"),
    ({**LONG, "url": "/v1/embeddings"}, "is not a POST to /v1/chat/completions"),
    ({**LONG, "method": "GET"}, "is not a POST to /v1/chat/completions"),
    ({**LONG, "body": "x"}, "has no body"),
]


@pytest.mark.parametrize(("line", "message"), WRONG)
def test_a_wrong_line_is_named(line: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f"\n{json.dumps(SHORT)}\n{json.dumps(line)}\n")
    with pytest.raises(UsageError, match=rf"in\.jsonl, line 3.* {message}"):
        read_rows(path)


def test_both_forms_of_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [SHORT, {**LONG, "custom_id": "b"}, {"id": 7, "messages": [user("x")], "tools": []}]
    path.write_text("\n".join(map(json.dumps, lines)))
    found = read_rows(path, [ADD])
    assert [row.id for row in found] == ["a", "b", "7"]
    assert all(row.body["tools"][0]["function"]["name"] == "add" for row in found)
    path.write_text(f"{json.dumps(SHORT)}\n{json.dumps(SHORT)}\n")
    with pytest.raises(UsageError, match=r"line 2.* repeats the id 'a'"):
        read_rows(path)
    path.write_text("\n")
    with pytest.raises(UsageError, match="has no rows"):
        read_rows(path)


def test_rows_with_the_same_tools_follow_each_other(tmp_path: Path) -> None:
    one, two = [{"name": "x"}], [{"name": "y"}]
    mixed = [*rows("a", tools=one), *rows("b", tools=two), *rows("c", tools=one), *rows("d")]
    with Checkpoint.open(tmp_path / "out", {}, key=ID_KEY) as checkpoint:
        assert [row.id for row in remaining_rows(mixed, checkpoint)] == ["a", "c", "b", "d"]
        for result in Batch([Echo()]).run(rows("b", tools=[{"name": "y"}])):
            checkpoint.append({**result.to_json(), "id": mixed[1].request_id})
        assert [row.id for row in remaining_rows(mixed, checkpoint)] == ["a", "c", "d"]
        with pytest.raises(UsageError, match="The row 'b' has changed since "):
            remaining_rows([*mixed[:1], *rows("b", tools=one)], checkpoint)
        with pytest.raises(
            UsageError, match="has a result of 'b', which is not a row of the input"
        ):
            remaining_rows(mixed[:1], checkpoint)
