from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest

from xlam_local.bench import server_speed
from xlam_local.bench.example import calls_schema
from xlam_local.bench.report import RATIOS, Report, drawn, medians
from xlam_local.cli import run_command
from xlam_local.cli.bench import BARS
from xlam_local.errors import UsageError, XlamError


def test_a_ratio_divides_medians() -> None:
    report = Report("m", "here", {}, {})
    report.add("calls, in its process", "tokens/s", 1.0, 30.0, 31.0)
    report.add("LlamaGrammar", "tokens/s", 10.0)
    report.add("LlamaGrammar", "tokens/s", 20.0)
    assert report.ratios == {"calls / LlamaGrammar": 2.0}
    assert report.figures["LlamaGrammar"].spread == pytest.approx(10 / 15)


def test_runs_of_one_round_are_compared_with_each_other() -> None:
    report = Report("m", "here", {}, {})
    report.add("text in auto", "tokens/s", 10.0, 20.0, 2.0)
    report.add("text, no grammar", "tokens/s", 10.0, 21.0, 40.0)
    assert report.ratios == {"text in auto / no grammar": pytest.approx(20 / 21)}


def test_the_picture_has_a_bar_for_each_figure() -> None:
    report = Report("m", "here", {}, {})
    for name in BARS[:3]:
        report.add(name, "tokens/s", 10.0)
    picture = ElementTree.fromstring(drawn(report, BARS))
    assert len(picture.findall("{http://www.w3.org/2000/svg}rect")) == 3


def test_what_is_no_report_is_not_compared_with() -> None:
    with pytest.raises(UsageError, match="is not what `bench --json` writes"):
        medians({"figures": [1]}, "old.json")


@contextmanager
def server(answer: dict[str, object]) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """An HTTP server that answers each completion alike, and keeps what it was asked."""
    asked: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", asked
        finally:
            http.shutdown()
            thread.join()


def test_a_server_is_asked_for_the_same_calls_under_their_schema() -> None:
    with server({"timings": {"predicted_per_second": 16.5}}) as (url, asked):
        assert server_speed(url, "the prompt") == 16.5
    (body,) = asked
    assert body["prompt"] == "the prompt"
    assert body["json_schema"] == calls_schema()


def test_what_is_no_llama_server_is_an_error() -> None:
    with (
        server({"hello": 1}) as (url, _),
        pytest.raises(XlamError, match="does not answer as a llama-server does"),
    ):
        server_speed(url, "the prompt")
    with pytest.raises(XlamError, match="does not answer"):
        server_speed("http://127.0.0.1:9", "the prompt")


@pytest.mark.slow
def test_a_whole_run_measures_every_subject(
    qwen_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture, old = tmp_path / "speed.svg", tmp_path / "old.json"
    command = ["bench", "-m", str(qwen_path), "--rounds", "1", "--threads", "1"]
    assert run_command([*command, "--json", "--picture", str(picture)]) == 0
    told = json.loads(capfd.readouterr().out)
    named = {figure["name"] for figure in told["figures"]}
    wanted = {name for _, above, below in RATIOS for name in (above, below)}
    assert wanted - named <= {"llama-server", "text in auto", "text, no grammar"}
    assert told["curve"]
    assert picture.exists()
    old.write_text(json.dumps(told))
    assert run_command([*command, "--compare", str(old)]) == 0
    assert "before" in capfd.readouterr().out
