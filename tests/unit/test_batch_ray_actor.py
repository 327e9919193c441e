from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pytest

from tests.fakes.remote_server import CALL, FakeServer, remote_server
from xlam_local.batch import read_row
from xlam_local.batch.ray_actor import LINE_COLUMN, RESULT_COLUMN, RayBatch
from xlam_local.config import Config
from xlam_local.errors import UsageError
from xlam_local.types import Tool

ADD = Tool("add", "Add.", {"type": "object", "properties": {"a": {"type": "integer"}}})
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": ADD.parameters}}]
MESSAGES = [{"role": "user", "content": "Hi"}]


class Rows:
    """A table of Arrow, as far as it is used."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)

    def to_pylist(self) -> list[dict[str, Any]]:
        return self.rows

    def append_column(self, name: str, values: Sequence[Sequence[str]]) -> Self:
        (column,) = values
        pairs = zip(self.rows, column, strict=True)
        return type(self)(*({**row, name: value} for row, value in pairs))


@pytest.fixture
def server(own_folders: object) -> Iterator[FakeServer]:
    with remote_server() as running:
        yield running


def results(actor: RayBatch, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(row[RESULT_COLUMN]) for row in actor(Rows(*rows)).to_pylist()]


def test_lines_and_columns_lead_to_the_same_results(server: FakeServer) -> None:
    actor = RayBatch([server.url], Config(), [ADD])
    short: dict[str, Any] = {"id": "a", "prompt": "Hi"}
    line = {LINE_COLUMN: json.dumps(short)}
    columns = {**short, "messages": None, "tools": None}
    (first,), (second,) = results(actor, line), results(actor, columns)
    assert first == second
    assert first["id"] == read_row(short, "row", [ADD]).request_id
    (call,) = first["response"]["body"]["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == json.loads(CALL)[0]["arguments"]
    body = {"messages": MESSAGES, "tools": TOOLS}
    (long,) = results(actor, {"custom_id": "a", "body": json.dumps(body), "prompt": None})
    assert long["custom_id"] == "a"
    assert long["error"] is None


def test_results_stand_in_the_order_of_the_rows(server: FakeServer) -> None:
    actor = RayBatch([server.url], Config())
    rows = [
        {"id": str(number), "prompt": "Hi", "tools": json.dumps(TOOLS[: number % 2])}
        for number in range(20)
    ]
    assert [found["custom_id"] for found in results(actor, *rows)] == list(map(str, range(20)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({LINE_COLUMN: "{"}, "A row is not valid JSON"),
        ({LINE_COLUMN: "[]"}, "A row is not an object"),
        ({"id": "a", "prompt": "Hi", "tools": TOOLS}, "The row 'a': the column 'tools' must hold"),
        ({"id": "a", "prompt": "Hi", "tools": "["}, "The row 'a', tools is not valid JSON"),
        ({"id": "a", "url": "x", "prompt": "Hi"}, "The row 'a' has the unknown key 'url'"),
    ],
)
def test_a_wrong_row_ends_the_run(server: FakeServer, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")):
        results(RayBatch([server.url], Config()), row)


def test_a_repeated_id_ends_the_run(server: FakeServer) -> None:
    row = {"id": "a", "prompt": "Hi"}
    with pytest.raises(UsageError, match="Two rows have the same id"):
        results(RayBatch([server.url], Config()), row, row)
