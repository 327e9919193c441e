"""The README's examples of tools, run."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xlam_local.tools import sandbox
from xlam_local.tools.lint import faults
from xlam_local.tools.toolbox import Toolbox
from xlam_local.tools.types import Places
from xlam_local.types import Effect, Sandbox, Tool

from .test_tools_http import say, serving

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
isolated = pytest.mark.skipif(
    bool(sandbox.available(Sandbox.ISOLATED)), reason="programs cannot be isolated here"
)
BLOCKS = re.findall(r"```(python|toml)\n(.*?)```", README, re.DOTALL)


def example(name: str) -> str:
    (text,) = (text for _, text in BLOCKS if name in text and "Session(" not in text)
    return str(text)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "config", tmp_path / "data", tmp_path / "state", tmp_path)


@pytest.fixture
def tools(tmp_path: Path, places: Places) -> Iterator[dict[str, Tool]]:
    """The examples, as files that were agreed to, in a repository with one commit."""
    files = {
        "my_tools.py": "def roll",
        "commits.toml": "find_commits",
        "weather.toml": "get_forecast",
    }
    for name, part in files.items():
        (tmp_path / name).write_text(example(part))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin it"], check=True)
    named = [tmp_path / name for name in files]
    with Toolbox.open(places, named, trusted=True, alone=True) as box:
        yield {made.name: made for made in box.tools}


def run(made: Tool, **arguments: Any) -> Any:
    assert made.run is not None
    return made.run(**arguments)


def test_the_python_rolls(tools: dict[str, Tool]) -> None:
    assert all(1 <= number <= 20 for number in run(tools["roll"], sides=20, dice=2))
    assert (tools["roll"].effect, tools["roll"].sandbox) == (Effect.READ, Sandbox.LIMITS)


@isolated
def test_the_command_finds(tools: dict[str, Tool]) -> None:
    assert run(tools["find_commits"], words="Begin").endswith(" Begin it\n")
    assert run(tools["find_commits"], words="nothing", count=2) == ""


SIGNED = """tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A <a@b.org> 1 +0000
committer A <a@b.org> 1 +0000
gpgsig -----BEGIN PGP SIGNATURE-----
 -----END PGP SIGNATURE-----

Begin it
"""


@isolated
def test_the_command_holds_what_a_repository_makes_git_run(
    tools: dict[str, Tool], tmp_path: Path
) -> None:
    """The settings in a repository name the program that judges the signature of a commit."""
    with tempfile.TemporaryDirectory() as elsewhere:
        owned = Path(elsewhere) / "owned"
        (tmp_path / "evil").write_text(f"#!/bin/sh\ntouch ran {owned}\n")
        (tmp_path / "evil").chmod(0o755)
        git = ["git", "-C", str(tmp_path)]
        for words in (["log.showSignature", "true"], ["gpg.program", f"{tmp_path}/evil"]):
            subprocess.run([*git, "config", *words], check=True)
        write = [*git, "hash-object", "-t", "commit", "-w", "--stdin"]
        made = subprocess.run(write, input=SIGNED, capture_output=True, text=True, check=True)
        subprocess.run([*git, "update-ref", "HEAD", made.stdout.strip()], check=True)
        assert "Begin it" in run(tools["find_commits"], words="Begin")
        assert (tmp_path / "ran").exists()
        assert not owned.exists()


def test_the_request_asks_its_host(tools: dict[str, Tool]) -> None:
    preview = tools["get_forecast"].preview
    assert preview is not None
    assert preview(city="a/../b") == "GET https://api.example.org/forecast/a%2F..%2Fb?days=3"


def test_the_request_is_made(places: Places) -> None:
    with serving() as host:
        host.answers["/forecast/New%20York"] = say(b"Sunny.")
        near = example("get_forecast").replace("https://api.example.org", host.url)
        path = places.folder / "near.toml"
        path.write_text(near.replace("[tool.http]", "[tool.http]\nprivate = true"))
        with Toolbox.open(places, [path], trusted=True, alone=True) as box:
            assert run(box.tools[0], city="New York") == "Sunny."
        ((method, asked, headers, _),) = host.asked
        assert (method, asked) == ("GET", "/forecast/New%20York?days=3")
        assert headers["Accept"] == "application/json"


def test_there_is_nothing_to_mend(tools: dict[str, Tool]) -> None:
    assert list(faults(list(tools.values()))) == []
