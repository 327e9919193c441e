"""The same turn on a local engine and on real servers: llama.cpp's own, and ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.command_line import run
from tests.fakes.remote_server import remote_server
from tests.fakes.same_turn import CONVERSATION, TOOL, check_same_turn
from tests.fakes.serve_process import server
from tests.fakes.terminal_command import run_in_terminal
from xlam_local import prompt
from xlam_local.bench import report as figures
from xlam_local.bench.report import SEQUENCE_COUNTS
from xlam_local.generators import drain
from xlam_local.grammar import compile_tools
from xlam_local.remote.address import parse_url
from xlam_local.remote.connect import connect
from xlam_local.remote.remote_engine import RemoteEngine
from xlam_local.types import PromptPart, Sampling


@contextmanager
def llama_server(path: Path) -> Iterator[str]:
    """Run llama.cpp's own server; yield its URL."""
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed")
    command = [sys.executable, "-m", "tests.fakes.llama_server", str(path)]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=none, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            yield url
        finally:
            process.kill()


@pytest.fixture(scope="module")
def llama_url(qwen_path: Path) -> Iterator[str]:
    with llama_server(qwen_path) as url:
        yield url


@pytest.fixture
def own_url(qwen_path: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with server("-m", str(qwen_path), "--context", "4096", "--sequences", "2") as (_, url, _):
        token = (own_folders / "config" / "server-token").read_text().strip()
        monkeypatch.setenv("XLAM_REMOTE_KEY", token)
        yield url


@pytest.fixture(params=["llama_url", "own_url"])
def remote(request: pytest.FixtureRequest) -> RemoteEngine:
    return drain(connect(parse_url(request.getfixturevalue(request.param)), 1024))


@pytest.mark.slow
def test_a_turn_is_the_same_as_on_a_local_engine(remote: RemoteEngine, qwen_path: Path) -> None:
    assert (remote.context_size, remote.sequences) == (4096, 2)
    check_same_turn(remote, qwen_path)


def test_calls_that_begin_after_text_keep_to_their_grammar(remote: RemoteEngine) -> None:
    grammar = compile_tools([TOOL]).enforced
    beginning = prompt.render(CONVERSATION, [TOOL], prompt.QWEN)
    pieces = remote.generate(
        (*beginning, PromptPart('[{"name": "set_light", "argu')), grammar, Sampling(max_tokens=9)
    )
    assert "".join(piece for piece in pieces if isinstance(piece, str))


def test_a_reply_can_be_cancelled(remote: RemoteEngine) -> None:
    for _ in range(3):
        reply = remote.generate((PromptPart("x"),), None, Sampling(max_tokens=4000))
        while not isinstance(next(reply), str):
            pass
        reply.close()
    assert remote.count([(PromptPart("x"),)]) == [1]


def test_commands_run_on_a_server(own_url: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools.json"
    function = {"name": TOOL.name, "description": "", "parameters": dict(TOOL.parameters)}
    tools.write_text(json.dumps([function]))
    done = run("call", "--tools", str(tools), "-m", own_url, "--tool-choice", "required", "Hi!")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["name"] == "set_light"


def test_a_named_server_is_used_and_another_host_needs_permission(
    own_url: str, own_folders: Path
) -> None:
    config = own_folders / "config"
    config.mkdir(exist_ok=True)
    entry = f'[big]\nurl = "{own_url}"\n\n[far]\nurl = "http://192.0.2.1:8000"\n'
    (config / "models.toml").write_text(entry)
    done = run("ask", "--no-tools", "--max-tokens", "4", "-m", "big", "Hi!")
    assert "truncated" in done.stderr
    shown = run("models", "show", "big").stdout.split("\n")
    assert [line.split()[0] for line in shown if line] == [
        *("server", "version", "model", "context", "at", "enforces", "running", "waiting")
    ]
    done = run("ask", "-m", "far", "Hi!")
    assert done.returncode == 2
    assert "The model runs on 192.0.2.1" in done.stderr
    assert "--allow-remote 192.0.2.1" in done.stderr


def test_the_first_use_of_a_host_asks_on_a_terminal(own_folders: Path) -> None:
    with remote_server(text="Hello.") as server:
        # 0.0.0.0 leads to this machine, but is not one of its addresses.
        command = ["-m", "xlam_local", "ask", "--no-tools", "-m", server.url]
        command = [word.replace("127.0.0.1", "0.0.0.0") for word in [*command, "Hi!"]]
        screen = run_in_terminal(command, "n\n")
        assert "The model runs on 0.0.0.0. Conversations, with all that tools return, are" in screen
        assert "Allow it with --allow-remote 0.0.0.0" in " ".join(screen.split())
        assert server.host.requests == []
        screen = run_in_terminal(command, "y\n")
        assert "not encrypted" in screen
        assert "Hello." in screen
        config = (own_folders / "config" / "config.toml").read_text()
        assert config == 'allow_remote = ["0.0.0.0"]\n'
        assert "Allow 0.0.0.0" not in run_in_terminal(command, "")
        (own_folders / "config" / "config.toml").unlink()
        done = run(*command[2:], "--allow-remote", "0.0.0.0")
        assert (done.returncode, done.stdout) == (0, "Hello.\n")


def test_a_command_that_needs_a_file_says_so(own_folders: Path) -> None:
    done = run("models", "verify", "http://gpu.example.com:8000")
    print(done.stderr)
    done = run("bench", "-m", "http://gpu.example.com:8000")
    assert done.returncode == 2
    assert "Allow it with --allow-remote gpu.example.com" in done.stderr
    for option in ("--threads=2", "--server-url=http://127.0.0.1:1"):
        done = run("bench", "-m", "http://127.0.0.1:9", option)
        assert done.returncode == 2
        assert f"{option.partition('=')[0]} is for models on this machine" in done.stderr


def test_a_server_is_measured(llama_url: str, own_folders: Path, tmp_path: Path) -> None:
    picture = tmp_path / "speed.svg"
    done = run("bench", "-m", llama_url, "--rounds", "1", "--json", "--picture", str(picture))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {figure["name"]: figure["median"] for figure in report["figures"]}
    expected = {figures.FIRST_TOKEN_COLD, figures.FIRST_TOKEN_CACHED, figures.CALLS_REMOTE}
    expected |= {"prefill", *map(figures.at_once, SEQUENCE_COUNTS)}
    assert expected <= set(found)
    assert all(value > 0 for value in found.values())
    assert report["machine"] == "llama-server on 127.0.0.1"
    assert figures.CALLS_REMOTE in picture.read_text()


def test_a_server_without_grammars_is_measured_without_calls(own_folders: Path) -> None:
    with remote_server("Ollama", text="Once upon a time. " * 20) as server:
        done = run("bench", "-m", server.url, "--rounds", "1")
        assert done.returncode == 0, done.stderr
        assert figures.TEXT_FREE in done.stdout
        assert "calls" not in done.stdout
        assert "takes no token ids" in done.stderr
