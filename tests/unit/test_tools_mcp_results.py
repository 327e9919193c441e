"""No part of what a server's tool returns is lost, and one odd tool does not cost the others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.mcp_servers import entry, opened, running, source
from xlam_local.errors import ToolError
from xlam_local.tools.mcp.result_text import result_text

TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image", "data": "AAAA", "mimeType": "image/png"}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [TEXT, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": []}, ""),
        ({"content": None}, ""),
        ({}, ""),
        (None, ""),
        ({"content": [{"type": "text", "text": ""}, TEXT]}, "a"),
        ({"content": [TEXT], "structuredContent": {"n": 1}}, 'a\n{"n": 1}'),
        ({"content": [], "structuredContent": {"n": 1}}, '{"n": 1}'),
        ({"structuredContent": [1, None]}, "[1, null]"),
        (
            {"content": [{"type": "text", "text": "1"}], "structuredContent": {"r": True}},
            '1\n{"r": true}',
        ),
        ({"content": [TEXT], "resultType": "complete"}, "a"),
        ({"content": [], "resultType": "input_required"}, '{"resultType": "input_required"}'),
        ([TEXT, IMAGE], "a\n(image, image/png, 3 bytes, not shown)"),
        (
            {"content": [{"type": "resource", "resource": {"text": "a", "blob": "AAAA"}}]},
            "(binary data, 3 bytes, not shown)\na",
        ),
        (
            {"content": [{"type": "resource_link", "uri": "file:/a", "name": "a", "size": 4096}]},
            "(a: file:/a, 4,096 bytes)",
        ),
        ({"content": [], "structuredContent": 0}, "0"),
        (
            {"content": [{"type": "text", "text": '{"n":1}'}], "structuredContent": {"n": 1}},
            '{"n":1}',
        ),
        ({"content": [TEXT], "structuredContent": {"result": "a"}}, "a"),
        ({"content": [{"type": "text", "text": "5"}], "structuredContent": {"result": 5}}, "5"),
        ({"content": [TEXT, TEXT], "structuredContent": {"result": ["a", "a"]}}, "a\na"),
        (
            {"content": [IMAGE], "structuredContent": {"w": 9}},
            '(image, image/png, 3 bytes, not shown)\n{"w": 9}',
        ),
        (
            {"content": [TEXT, IMAGE, {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]},
            "a\n(image, image/png, 3 bytes, not shown)\n(audio, audio/wav, 3 bytes, not shown)",
        ),
        (
            {"content": [TEXT, {"type": "video", "url": "x"}]},
            'a\n(content of type \'video\': {"type": "video", "url": "x"})',
        ),
        (
            {"content": [{"type": "image", "url": "x"}]},
            '(content of type \'image\': {"type": "image", "url": "x"})',
        ),
        (
            {"content": [{"text": "x"}, 7]},
            '(content of type None: {"text": "x"})\n(unknown content: 7)',
        ),
        ({"content": [{"type": "text", "text": {"n": 1}}]}, '{"n": 1}'),
        (
            {"content": [{"type": "text", "text": None}]},
            '(content of type \'text\': {"type": "text", "text": null})',
        ),
        ({"content": "plain"}, "plain"),
        ({"content": ["plain", TEXT]}, "plain\na"),
        ({"content": TEXT}, "a"),
        (
            {"content": [{"type": "resource", "resource": {"uri": "file:///x", "text": "t"}}]},
            "(file:///x)\nt",
        ),
        (
            {
                "content": [
                    {
                        "type": "resource",
                        "resource": {"uri": "u", "blob": "AAAA", "mimeType": "a/b"},
                    }
                ]
            },
            "(u, a/b, 3 bytes, not shown)",
        ),
        (
            {
                "content": [
                    {
                        "type": "resource_link",
                        "uri": "u",
                        "name": "n",
                        "description": "d",
                        "mimeType": "a/b",
                    }
                ]
            },
            "(n: u, d, a/b)",
        ),
        ({"content": [{"type": "resource_link", "uri": "u"}]}, "(link: u)"),
        ({"toolResult": {"content": [TEXT]}}, "a"),
        ({"toolResult": [1, 2]}, "[1, 2]"),
        ({"content": [TEXT], "usage": {"tokens": 3}}, 'a\n{"usage": {"tokens": 3}}'),
        ({"content": [TEXT], "_meta": {"x": 1}, "isError": False}, "a"),
        ({"answer": 42}, '{"answer": 42}'),
        ("text", '"text"'),
    ],
)
def test_every_part_of_a_result_reaches_the_model(result: Any, text: str) -> None:
    assert result_text(result) == text


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"isError": True}, "The server reported an error without a message."),
        ({"content": [TEXT], "isError": True}, "a"),
        ({"content": [TEXT], "isError": "true"}, "a"),
        (
            {"content": [], "structuredContent": {"code": "LIMIT", "after": 30}, "isError": True},
            '{"code": "LIMIT", "after": 30}',
        ),
        (
            {"content": [TEXT, IMAGE], "structuredContent": {"c": 1}, "isError": True},
            'a\n(image, image/png, 3 bytes, not shown)\n{"c": 1}',
        ),
    ],
)
def test_every_part_of_an_error_reaches_the_model(result: Any, message: str) -> None:
    with pytest.raises(ToolError) as error:
        result_text(result)
    assert str(error.value) == message


@pytest.mark.parametrize("depth", [500, 100_000])
def test_text_that_is_nested_too_deeply_reaches_the_model(depth: int) -> None:
    text = "[" * depth + "]" * depth
    result = {"content": [{"type": "text", "text": text}], "structuredContent": {"a": 1}}
    assert result_text(result) == f'{text}\n{{"a": 1}}'


def called(top: Path, result: Any) -> str:
    """Return what a call of a server's tool returns whose answer is `result`."""
    with running(top, "answers", str(answer_file(top, result)), timeout=5) as servers:
        (tool,) = (tool for tool in source(servers).tools if tool.name == "echo")
        assert tool.run is not None
        return str(tool.run(text="x"))


def answer_file(top: Path, answer: Any) -> Path:
    path = top / "answer.json"
    path.write_text(json.dumps(answer))
    return path


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"result": None}, ""),
        ({"result": [TEXT]}, "a"),
        ({"result": "done"}, "done"),
        ({"result": {"content": [TEXT, {"type": "video"}]}}, "a\n(content of type 'video'"),
        ({"result": {"content": "a", "isError": None}}, "a"),
        ({"result": {"structuredContent": {"n": int("9" * 40)}}}, '{"n": ' + "9" * 40 + "}"),
    ],
)
def test_an_answer_that_is_not_a_result_is_read_too(tmp_path: Path, answer: Any, text: str) -> None:
    assert called(tmp_path, answer).startswith(text)


@pytest.mark.slow
def test_an_error_answer_has_its_whole_message_and_data(tmp_path: Path) -> None:
    error = {"code": -32602, "message": "Invalid.\nSecond line.", "data": {"field": "text"}}
    with pytest.raises(ToolError) as raised:
        called(tmp_path, {"error": error})
    assert str(raised.value).endswith('Invalid.\nSecond line.\n{"field": "text"}')


def test_one_odd_tool_is_left_out_by_name_and_the_others_work(tmp_path: Path) -> None:
    with running(tmp_path, "odd") as servers:
        found = source(servers)
        assert [tool.name for tool in found.tools] == ["echo", "list_schema", "go", "null"]
        left_out = "\n".join(found.left_out)
        for name in ("'no_schema'", "'null_schema'", "'number'", "/tools/5", "/6"):
            assert name in left_out
        assert "'no_schema' is left out: it has no inputSchema." in left_out
    # What was left out is known before the server is started again.
    with opened(tmp_path, one=entry("odd")) as servers:
        assert source(servers).state == "ready"
        assert "'no_schema' is left out" in "\n".join(source(servers).left_out)


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("banner-dies", r"exit code 1; the last line of its stderr is 'Error: TOKEN is required'"),
        ("banner-dies", r"its first line on stdout, 'Starting\.\.\.', is no MCP message"),
        ("banner-dies", r"its log is .*one\.log"),
        ("killed", r"It was killed by SIGKILL"),
        ("not-mcp", r"exit code 2; its first line on stdout, 'Hello, who is there\?'"),
        ("closes-stdout", r"it closed its stdout, where its answers are read. Its log is"),
        ("banner-hangs", r"in time \(5 seconds; .*'Starting\.\.\.', is no MCP message; its log is"),
    ],
)
def test_a_server_that_ends_is_told_with_its_cause(tmp_path: Path, mode: str, told: str) -> None:
    with running(tmp_path, mode, startTimeout=5) as servers:
        assert source(servers).state == "failed"
        assert re.search(told, source(servers).detail)


def test_pages_without_an_end_and_repeated_pages_are_told(tmp_path: Path) -> None:
    with running(tmp_path, "endless-pages") as servers:
        assert len(source(servers).tools) == 50
        assert source(servers).left_out == ("Its tools after page 50 of its list are left out.",)
    with running(tmp_path, "endless-list") as servers:
        assert source(servers).left_out == ()


def test_a_byte_order_mark_before_the_first_message_is_read_over(tmp_path: Path) -> None:
    with running(tmp_path, "byte-order-mark") as servers:
        assert source(servers).state == "ready"


def test_a_server_that_cannot_be_reached_or_found_is_told_with_what_to_change(
    tmp_path: Path,
) -> None:
    closed = {"url": "http://127.0.0.1:9/mcp", "startTimeout": 5}
    line = {"command": "sh -c true"}
    with opened(tmp_path, one=closed, two=line) as servers:
        servers.start()
        servers.wait(30)
        assert source(servers).detail.startswith("http://127.0.0.1:9/mcp: ")
        assert "put the arguments of 'sh' into args" in source(servers, "two").detail
