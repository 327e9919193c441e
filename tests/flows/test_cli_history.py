from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from xlam_local.cli import run_command, xlam_local
from xlam_local.history import History
from xlam_local.types import AssistantMessage, Message, UserMessage


def run(*words: str) -> Result:
    return CliRunner().invoke(xlam_local, ["history", *words], catch_exceptions=False)


def kept(home: Path) -> int:
    history = History(home / "data" / "history.db")
    number = history.import_messages(
        "Milk", [UserMessage("Where is the milk?"), AssistantMessage("In the \x1b[2Jfridge.")]
    )
    history.close()
    return number


def test_conversations_are_listed_found_and_told(own_folders: Path) -> None:
    number = kept(own_folders)
    assert "2 messages  Milk" in run("list").stdout
    assert json.loads(run("list", "--json").stdout)[0]["title"] == "Milk"
    found = run("search", "fri").stdout
    assert "Milk" in found
    assert "\x1b" not in found
    assert run("search", "caf\udce9").stdout == ""
    assert json.loads(run("search", "milk", "--json").stdout)[0]["conversation"]["id"] == number
    assert run("export", str(number)).stdout.startswith("# Milk")


def test_a_conversation_goes_out_and_comes_back(own_folders: Path, tmp_path: Path) -> None:
    number = kept(own_folders)
    for name in ("talk.json", "talk.jsonl"):
        run("export", str(number), str(tmp_path / name))
        back = int(run("import", "--again", str(tmp_path / name)).stdout)
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


def test_conversations_of_other_programs_are_imported(own_folders: Path, tmp_path: Path) -> None:
    said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    shared = tmp_path / "shared.json"
    shared.write_bytes(b"\xef\xbb\xbf" + json.dumps([{"conversations": said}] * 2).encode())
    numbers = [int(line) for line in run("import", str(shared)).stdout.splitlines()]
    history = History(own_folders / "data" / "history.db")
    for number in numbers:
        assert history.messages(number) == [UserMessage("Hi"), AssistantMessage("Hello")]
    history.close()
    assert len(numbers) == 2


def test_a_search_lists_a_conversation_once(own_folders: Path) -> None:
    history = History(own_folders / "data" / "history.db")
    said: list[Message] = [UserMessage("The milk?"), AssistantMessage("The milk is milk.")]
    numbers = [history.import_messages(f"Milk {n}", said) for n in range(3)]
    history.close()
    found = json.loads(run("search", "milk", "--json").stdout)
    assert sorted(hit["conversation"]["id"] for hit in found) == numbers
    assert len(run("search", "milk").stdout.splitlines()) == 2 * len(numbers)


def test_a_search_says_that_nothing_was_found(own_folders: Path) -> None:
    empty = run("list")
    assert (empty.stdout, empty.stderr) == ("", "The history has no conversations.\n")
    kept(own_folders)
    for more, printed in (([], ""), (["--json"], "[]\n")):
        found = run("search", "no\x1bsuch", "words", *more)
        assert found.stdout == printed
        assert found.stderr == "No message contains 'no\\\\u001bsuch words'.\n"


def test_a_conversation_is_shown(own_folders: Path) -> None:
    number = str(kept(own_folders))
    shown = run("show", number).stdout
    assert shown.startswith("# Milk")
    assert "## You\n\nWhere is the milk?" in shown
    assert run_command(["history", "show", "7"]) == 1


def test_a_conversation_is_exported_to_stdout_in_each_format(own_folders: Path) -> None:
    number = str(kept(own_folders))
    assert run("export", number, "-").stdout == run("show", number).stdout
    as_json = run("export", number, "-", "--format", "json").stdout
    assert [m["role"] for m in json.loads(as_json)["messages"]] == ["user", "assistant"]
    lines = run("export", number, "-", "--format", "jsonl").stdout.splitlines()
    assert len(lines) == 3
    assert run("export", number, "--format", "json").stdout == as_json
    assert not Path("-").exists()
