"""What the README promises."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from xlam_local import models
from xlam_local.cli import COMMANDS, xlam_local
from xlam_local.errors import XlamError
from xlam_local.models import catalog

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
USED = sorted({line.strip() for line in re.findall(r"xlam-local \w[^|&#\n]*", SHELL)})


@pytest.mark.parametrize("line", USED)
def test_every_command_in_it_is_one(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command | None = xlam_local
    context = click.Context(xlam_local)
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        command = command.get_command(context, words.pop(0))
    assert command is not None
    with pytest.MonkeyPatch.context() as patch:
        # Files are named for the reader; only the words of the command line are checked.
        patch.chdir(ROOT / "grammars")
        command.make_context(line, [w.replace("chat.json", "-") for w in words], parent=context)


def test_the_commands_of_the_first_lines_are_there() -> None:
    assert {"ask", "call", "demo", "grammar", "models", "prompt"} <= set(COMMANDS)
    assert len(USED) >= 10


def test_every_exit_code_is_told() -> None:
    kinds = [XlamError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert {kind.exit_code for kind in kinds} <= told


def test_its_tree_is_the_tree() -> None:
    told = set(re.findall(r"^  (\w+(?:/|\.py))", README, re.MULTILINE))
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "xlam_local").iterdir()
        if not path.name.startswith("__") and path.suffix in {"", ".py"}
    }
    assert told == there


def test_its_pictures_are_there() -> None:
    for picture in re.findall(r"\]\((assets/[^)]+)\)", README):
        assert (ROOT / picture).is_file()


def test_the_models_of_its_example_are_in_the_catalog(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (entry,) = (block for block in blocks if "quantizations" in block)
    (tmp_path / "models.toml").write_text(entry, encoding="utf-8")
    added = catalog.load(tmp_path)[-1]
    assert added.file("q8_0") == "qwen2.5-coder-1.5b-instruct-q8_0.gguf"


@pytest.mark.model
def test_its_python_runs(small_path: Path, own_folders: Path) -> None:
    from xlam_local import config

    folders = config.folders()
    list(models.import_(small_path, models.Store.under(folders.config, folders.data), "small"))
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (code,) = (block for block in blocks if "Session(" in block)
    names: dict[str, object] = {}
    exec(compile(code.replace('"demo"', '"small"'), "README.md", "exec"), names)
    assert names["session"]
