"""Real clients, unmodified, against the server. `pytest -m slow tests/flows/test_server_clients.py`

They are installed in an environment of their own, below the folder of the tests' resources. The
npm clients need `node` and `npm`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.fakes.client_environments import environment, install
from tests.fakes.doc_pages import code_blocks
from tests.fakes.resources import CACHE_FOLDER
from tests.fakes.scripted_server import TOKEN
from xlam_local.server import client_config

pytestmark = pytest.mark.slow
CLIENTS = Path(__file__).parents[1] / "clients"
PYTHON_PACKAGES = (
    *("openai", "openai-agents", "langchain-openai", "pydantic-ai-slim[openai]", "llm"),
    *("instructor", "smolagents[openai]", "anthropic", "ollama"),
)
NPM_PACKAGES = ("openai", "ai", "@ai-sdk/openai-compatible", "zod", "@openai/codex")
PYTHON_CLIENTS = (
    *("openai_chat", "openai_responses", "openai_completions", "openai_agents", "langchain"),
    *("pydantic_ai", "llm", "instructor", "smolagents", "anthropic", "ollama"),
)
NPM_CLIENTS = ("openaiChat", "openaiResponses", "aiSdk")
TIMEOUT_S = 300
PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a server whose model does what the request says."""
    command = [sys.executable, "-m", "tests.fakes.scripted_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture(scope="module")
def npm_folder() -> Path:
    """A folder with the npm clients."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = CACHE_FOLDER / "npm-clients"
    with FileLock(CACHE_FOLDER / "npm-clients.lock"):
        if not all((folder / "node_modules" / package).exists() for package in NPM_PACKAGES):
            folder.mkdir(parents=True, exist_ok=True)
            install(["npm", "install", "--silent", *NPM_PACKAGES], folder)
    shutil.copy(CLIENTS / "npm_clients.mjs", folder)
    return folder


@pytest.mark.parametrize("client", PYTHON_CLIENTS)
def test_a_python_client_works(client: str, url: str) -> None:
    python = environment("python-clients", *PYTHON_PACKAGES)
    run_client([python, str(CLIENTS / "python_clients.py"), url, client], CLIENTS)


def test_litellm_works(url: str) -> None:
    # It needs an older openai than the other clients, so it has an environment of its own.
    python = environment("litellm-client", "litellm")
    run_client([python, str(CLIENTS / "python_clients.py"), url, "litellm"], CLIENTS)


def run_client(command: list[str], folder: Path) -> None:
    """Run a client, without a look-up of prices in the network."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(len(code_blocks(PAGE, "python"))))
def test_the_python_of_the_page_runs(number: int, url: str) -> None:
    python = environment("python-clients", *PYTHON_PACKAGES)
    block = code_blocks(PAGE, "python")[number]
    code = block.replace("http://127.0.0.1:8000/v1", f"{url}/v1").replace('"TOKEN"', repr(TOKEN))
    assert code != block
    run_client([python, "-c", code], CLIENTS)


@pytest.mark.parametrize("client", NPM_CLIENTS)
def test_an_npm_client_works(client: str, url: str, npm_folder: Path) -> None:
    run_client(["node", "npm_clients.mjs", url, client], npm_folder)


def codex(url: str, npm_folder: Path, folder: Path, *arguments: str) -> str:
    """Return what Codex prints, with the configuration that we print and a home in `folder`."""
    (folder / ".codex").mkdir()
    config = client_config("codex", url, TOKEN)
    (folder / ".codex" / "config.toml").write_text(config, encoding="utf-8")
    program = npm_folder / "node_modules" / ".bin" / "codex"
    done = subprocess.run(
        [program, "exec", "--skip-git-repo-check", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "XLAM_LOCAL_TOKEN": TOKEN},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_codex_gets_an_answer(url: str, npm_folder: Path, tmp_path: Path) -> None:
    assert codex(url, npm_folder, tmp_path, "hello").strip() == "Hello there."


@pytest.mark.parametrize(("request_text", "outputs"), [("add", ["5"]), ("twice", ["5", "9"])])
def test_codex_runs_calls_and_goes_on_with_their_results(
    request_text: str, outputs: list[str], url: str, npm_folder: Path, tmp_path: Path
) -> None:
    # Codex's sandbox needs rights that a container may not have; the commands are only `echo`.
    unsafe = "--dangerously-bypass-approvals-and-sandbox"
    printed = codex(url, npm_folder, tmp_path, "--json", unsafe, request_text)
    items = [event["item"] for event in map(json.loads, printed.splitlines()) if "item" in event]
    commands = [item for item in items if item.get("status") == "completed"]
    assert sorted(item["aggregated_output"].strip() for item in commands) == outputs
    assert items[-1]["text"] == "The sum is 5."


def test_codex_gets_an_answer_within_a_schema(url: str, npm_folder: Path, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer"}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    printed = codex(url, npm_folder, tmp_path, "--output-schema", "schema.json", "hello")
    assert json.loads(printed) == {"sum": 5}


def test_every_client_of_the_scripts_is_run() -> None:
    text = (CLIENTS / "python_clients.py").read_text(encoding="utf-8")
    assert [name for name in PYTHON_CLIENTS if f"def {name}(" not in text] == []
