from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from xlam_local.cli import run_command, xlam_local
from xlam_local.history import History
from xlam_local.types import Answer, User


def run(*words: str) -> Result:
    return CliRunner().invoke(xlam_local, ["history", *words], catch_exceptions=False)


def kept(home: Path) -> int:
    history = History(home / "data" / "history.db")
    number = history.take("Milk", [User("Where is the milk?"), Answer("In the \x1b[2Jfridge.")])
    history.close()
    return number


def test_conversations_are_listed_found_and_told(own_folders: Path) -> None:
    number = kept(own_folders)
    assert "2 messages  Milk" in run("list").stdout
    assert json.loads(run("list", "--json").stdout)[0]["title"] == "Milk"
    found = run("search", "fri").stdout
    assert "Milk" in found
    assert "\x1b" not in found
    assert json.loads(run("search", "milk", "--json").stdout)[0]["conversation"]["id"] == number
    assert run("export", str(number)).stdout.startswith("# Milk")


def test_a_conversation_goes_out_and_comes_back(own_folders: Path, tmp_path: Path) -> None:
    number = kept(own_folders)
    for name in ("talk.json", "talk.jsonl"):
        run("export", str(number), str(tmp_path / name))
        back = int(run("import", str(tmp_path / name)).stdout)
        history = History(own_folders / "data" / "history.db")
        assert history.messages(back) == history.messages(number)
        history.close()
    run("rename", str(number), "Butter")
    assert "Butter" in run("list").stdout
    run("remove", str(number), "--yes")
    assert "Butter" not in run("list").stdout


def test_what_is_wrong_is_a_sentence(own_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text("[3]")
    assert run_command(["history", "export", "7"]) == 1
    assert run_command(["history", "import", str(tmp_path / "none.json")]) == 2
    assert run_command(["history", "import", str(tmp_path / "talk.json")]) == 2
    kept(own_folders)
    assert run_command(["history", "export", "1", str(tmp_path / "talk.pdf")]) == 2
