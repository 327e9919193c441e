from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest

from tests.fakes.peft_folders import write_peft_folder
from xlam_local.bench import report as figures
from xlam_local.bench.llama_server import server_speed
from xlam_local.bench.report import RATIOS, Report, medians, to_svg
from xlam_local.bench.workload import TOOLS
from xlam_local.cli import run_command
from xlam_local.config import folders
from xlam_local.errors import UsageError, XlamError
from xlam_local.grammar import compile_tools
from xlam_local.models import Store, adapters

CALLS = compile_tools(TOOLS, "required").grammar


def test_a_ratio_divides_medians() -> None:
    report = Report("m", "here", {}, {})
    report.add(figures.CALLS, "tokens/s", 1.0, 30.0, 31.0)
    report.add(figures.CALLS_LLAMA_GRAMMAR, "tokens/s", 10.0)
    report.add(figures.CALLS_LLAMA_GRAMMAR, "tokens/s", 20.0)
    assert report.ratios == {"calls / LlamaGrammar": 2.0}
    assert report.figures[figures.CALLS_LLAMA_GRAMMAR].spread == pytest.approx(10 / 15)


def test_a_ratio_compares_the_values_of_each_round() -> None:
    report = Report("m", "here", {}, {})
    report.add(figures.TEXT_AUTO, "tokens/s", 10.0, 20.0, 2.0)
    report.add(figures.TEXT_FREE, "tokens/s", 10.0, 21.0, 40.0)
    expected = {"text, tool_choice auto / no grammar": pytest.approx(20 / 21)}
    assert report.ratios == expected


def test_the_picture_has_a_bar_for_each_figure() -> None:
    report = Report("m", "here", {}, {})
    for name in figures.PICTURE_FIGURES[:4]:
        report.add(name, "tokens/s", 10.0)
    bars = ElementTree.fromstring(to_svg(report)).findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["own", "own", "own", "peer"]


def test_a_file_that_is_not_a_report_is_rejected() -> None:
    with pytest.raises(UsageError, match="is not an output of `bench --json`"):
        medians({"figures": [1]}, "old.json")


@contextmanager
def http_server(answer: dict[str, object]) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Serve the same JSON for every request; yield the URL and the received requests."""
    received: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
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
            yield f"http://127.0.0.1:{http.server_port}", received
        finally:
            http.shutdown()
            thread.join()


def test_a_llama_server_gets_the_same_prompt_and_a_schema() -> None:
    with http_server({"timings": {"predicted_per_second": 16.5}}) as (url, received):
        assert server_speed(url, "the prompt", CALLS, 200) == 16.5
    (request,) = received
    assert request["prompt"] == "the prompt"
    assert request["json_schema"] == CALLS.json_schema


def test_a_server_that_is_not_llama_server_is_an_error() -> None:
    with (
        http_server({"hello": 1}) as (url, _),
        pytest.raises(XlamError, match="did not answer like a llama-server"),
    ):
        server_speed(url, "the prompt", CALLS, 200)
    with pytest.raises(XlamError, match="did not answer like"):
        server_speed("http://127.0.0.1:9", "the prompt", CALLS, 200)


@pytest.mark.slow
def test_a_whole_run_measures_every_figure(
    qwen_path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture, earlier = tmp_path / "speed.svg", tmp_path / "earlier.json"
    command = ["bench", "-m", str(qwen_path), "--rounds", "1", "--threads", "1"]
    assert run_command([*command, "--json", "--picture", str(picture)]) == 0
    document = json.loads(capfd.readouterr().out)
    measured = {figure["name"] for figure in document["figures"]}
    needed = {name for _, above, below in RATIOS for name in (above, below)}
    # A model of random weights may write no text, and no server runs here.
    optional = {figures.TEXT_AUTO, figures.TEXT_FREE, figures.CALLS_REMOTE}
    optional |= {name for name in needed if name.endswith("llama-server")}
    assert needed - measured <= optional
    assert document["curve"]
    assert picture.exists()
    earlier.write_text(json.dumps(document))
    store = Store.from_folders(folders().config, folders().data)
    adapters.add(write_peft_folder(tmp_path / "lamp"), "tiny", qwen_path, store)
    command[2] += "+lamp:0.5"
    assert run_command([*command, "--compare", str(earlier)]) == 0
    shown = capfd.readouterr().out
    assert "earlier" in shown
    assert f"{qwen_path.name}+lamp:0.5 on " in shown
