"""The README and the pages in docs/: links, commands, code blocks."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from tests.fakes.doc_pages import ROOT, code_blocks
from xlam_local.cli import xlam_local
from xlam_local.tools import Toolbox, ToolPaths

PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ROOT / "grammars" / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
)
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=IDS)
COMMAND = re.compile(
    r"(?:^ *|[|;(] *|&& *)((?:[A-Z_]+=\S+ +)*)xlam-local +([^|&;>#\n)]*)", re.MULTILINE
)
MODULE = re.compile(r"python3? -m ((?:tests|xlam_local)(?:\.(?!NAME)\w+)*)")
BUILD_PATH = re.compile(r"/(?:work|tmp/bash)\b\S*|/home/(?!ann\b|me\b|pi\b)\w+")


def shell_text(page: Path) -> str:
    """Return the shell blocks of a page with continued lines joined."""
    return "\n".join(code_blocks(page, "sh")).replace("\\\n", " ")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def link_exists(page: Path, link: str) -> bool:
    """Return whether a relative link has a target, and its anchor a heading."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@every_page
def test_every_relative_link_has_a_target(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text)
    assert [link for link in links if not link_exists(page, link)] == []


def test_the_index_links_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


COMMANDS = sorted(
    {
        (name, line.strip())
        for page, name in zip(PAGES, IDS, strict=True)
        for _, line in COMMAND.findall(shell_text(page))
        if line.strip()
    }
)


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_line_is_valid(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    check_command(line, words)


def check_command(line: str, words: list[str]) -> None:
    """Parse a command line; the files that it names are created in the current folder."""
    for word in words:
        if re.fullmatch(r"[\w-]+\.(?:json|jsonl|toml|py|gbnf|gguf|md|svg)", word):
            Path(word).touch()
    command: click.Command | None = xlam_local
    context = click.Context(xlam_local)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(command, parent=context)
        command = command.get_command(context, words.pop(0))
    assert command is not None
    with suppress(click.exceptions.Exit):  # --help and --version end the program
        command.make_context(line, words, parent=context).close()


def test_the_pages_show_commands() -> None:
    assert len(COMMANDS) > 50


@every_page
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    modules = MODULE.findall(page.read_text(encoding="utf-8"))
    assert [name for name in modules if find_spec(name) is None] == []


@every_page
def test_every_python_block_compiles(page: Path) -> None:
    for number, block in enumerate(code_blocks(page, "python"), 1):
        compile(block, f"{page.name}, Python block {number}", "exec")


@every_page
def test_every_toml_and_json_block_parses(page: Path) -> None:
    for block in code_blocks(page, "toml"):
        tomllib.loads(block)
    for block in code_blocks(page, "json"):
        json.loads(block)


@every_page
def test_no_page_has_a_path_of_the_build_machine(page: Path) -> None:
    assert BUILD_PATH.findall(page.read_text(encoding="utf-8")) == []


def test_the_modules_of_the_glossary_exist() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`([\w/]+(?:\.py|/))`", text)) - {"xlam_local/"}
    assert [path for path in sorted(paths) if not (ROOT / "xlam_local" / path).exists()] == []


def test_the_commands_of_the_readme_can_be_pasted() -> None:
    """Each file that they name exists; a command that does not end is the last of its block."""
    for block in code_blocks(ROOT / "README.md", "sh"):
        words = re.findall(
            r"[\w./-]+\.(?:py|json|toml|md|gguf|cmake)\b", block.replace("$PWD/", "")
        )
        assert [word for word in words if not (ROOT / word).exists()] == []
        lines = [line.partition("#")[0].strip() for line in block.splitlines()]
        endless = {"xlam-local", "xlam-local serve", "xlam-local mcp serve"}
        assert endless.isdisjoint(lines[:-1])


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_the_commands_of_the_example_services_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xlam-report").mkdir()
    services = list((ROOT / "docs" / "examples").glob("*.service"))
    assert services
    for service in services:
        (line,) = re.findall(r"^ExecStart=\S*xlam-local (.*)$", service.read_text("utf-8"), re.M)
        check_command(line, shlex.split(line.replace("%h", str(tmp_path))))


def test_the_example_tool_file_runs(tmp_path: Path) -> None:
    paths = ToolPaths(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path)
    file = ROOT / "docs" / "examples" / "board.py"
    with Toolbox.open(paths, [file], trusted=True, only_files=True) as toolbox:
        (board_state,) = toolbox.tools
        assert board_state.run is not None
        assert "cores" in str(board_state.run())
