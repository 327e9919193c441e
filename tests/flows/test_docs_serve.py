"""The page about the server: its tables and the configurations of clients."""

from __future__ import annotations

import plistlib
import re
import tomllib

import pytest

from tests.fakes.command_line import run
from tests.fakes.doc_pages import ROOT, table_rows
from tests.fakes.fake_engine import Scripted
from tests.fakes.word_tokenizer import WordTokenizer
from xlam_local.cli.serve import CLIENTS, serve
from xlam_local.server import EngineQueue, ServerState
from xlam_local.server.app import ENDPOINTS
from xlam_local.server.chat_completions import HONORED
from xlam_local.server.client_configs import TEMPLATES, client_config

PAGE = ROOT / "docs" / "serve.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_page_has_the_configuration_that_is_printed(client: str) -> None:
    assert f"\n{client_config(client, 'http://127.0.0.1:8000', 'TOKEN')}```" in TEXT
    assert f"`--print-config {client}`" in TEXT


def test_the_clients_are_those_that_have_a_template() -> None:
    assert set(CLIENTS) == set(TEMPLATES)


def test_a_configuration_has_the_address_and_the_token() -> None:
    token = run("serve", "--print-token").stdout.strip()
    printed = run("serve", "--print-config", "codex", "--port", "81").stdout
    provider = tomllib.loads(printed)["model_providers"]["xlam-local"]
    assert provider["base_url"] == "http://127.0.0.1:81/v1"
    assert provider["wire_api"] == "responses"
    printed = run("serve", "--print-config", "open-webui", "--host", "::1").stdout
    assert printed == f"OPENAI_API_BASE_URL=http://[::1]:8000/v1\nOPENAI_API_KEY={token}\n"


def test_the_page_lists_the_endpoints() -> None:
    cells = " ".join(row[0] for row in table_rows(PAGE, "method and path"))
    paths = {path.replace("{model:path}", "NAME") for _, path in ENDPOINTS} - {"/v1/health"}
    assert {path for path in paths if f"{path}`" not in cells} == set()


def test_the_page_lists_the_fields_of_chat_completions() -> None:
    cells = " ".join(row[0] for row in table_rows(PAGE, "field"))
    assert {name for name in HONORED if f"`{name}`" not in cells} == {"model"}


def test_the_launchd_agent_has_a_valid_command() -> None:
    agent = plistlib.loads((ROOT / "docs" / "examples" / "xlam-local-serve.plist").read_bytes())
    program, command, *options = agent["ProgramArguments"]
    assert (program.rpartition("/")[2], command) == ("xlam-local", "serve")
    serve.make_context("serve", options).close()


def test_the_page_lists_the_metrics() -> None:
    cells = " ".join(row[0] for row in table_rows(PAGE, "metric"))
    text = ServerState(EngineQueue(Scripted(), 0), WordTokenizer()).metrics.text()
    names = re.findall(r"# TYPE xlam_(\S+)", text)
    assert {name for name in names if f"`{name}`" not in cells} == set()
    assert len(names) == cells.count("`") // 2
