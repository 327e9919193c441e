"""History files that are cut, overwritten or cannot be written: what is left is given back."""

from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.command_line import run
from xlam_local.errors import HistoryError
from xlam_local.history import History
from xlam_local.history.serialization import DAMAGED
from xlam_local.types import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

CONVERSATIONS = 300
PERCENT = tuple(range(1, 100))
SOME_PERCENT = (3, 20, 41, 66, 87, 99)

Expected = dict[int, list[Message]]


def text(id: int, length: int) -> str:
    """Return a text with a mark of its conversation in every part of it."""
    mark = f"MARK{id:03}X "
    return mark + "".join(f"word {number} {mark}" for number in range(length))


def talk(id: int, chance: random.Random) -> list[Message]:
    call = ToolCall("call_0", "look", {"where": text(id, 2)})
    said: list[Message] = [UserMessage(text(id, chance.randint(0, 20)))]
    if id % 3 == 0:
        said += [ToolCalls((call,)), ToolResult(call, text(id, chance.choice((1, 30, 900))))]
    return [*said, AssistantMessage(text(id, chance.randint(1, 60)))]


def write(path: Path, count: int) -> Expected:
    """Write conversations whose messages lie between those of others; return them."""
    chance, history, written = random.Random(3), History(path), {}
    ends = []
    for number in range(count):
        said = talk(number + 1, chance)
        half = len(said) // 2 if number % 2 else len(said)
        id = history.append(None, 0, said[:half], title=f"NAME{number + 1:03}X").id
        assert id == number + 1
        written[id] = said
        if half < len(said):
            ends.append((id, half))
        if len(ends) > 20:
            later, place = ends.pop(0)
            history.append(later, place, written[later][place:])
    for later, place in ends:
        history.append(later, place, written[later][place:])
    history.remove(count // 2)
    del written[count // 2]
    history.close()
    return written


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Expected]:
    """A history file, and its conversations."""
    path = tmp_path_factory.mktemp("whole") / "history.db"
    written = write(path, CONVERSATIONS)
    return path.read_bytes(), written


def whole_before(data: bytes, size: int, mark: str = "MARK") -> list[int]:
    """Return the conversations of which all texts lie before a place in the file."""
    marks = re.finditer(rf"{mark}(\d{{3}})X".encode(), data)
    ends = {int(found[1]): found.end() for found in marks}
    return [id for id, end in ends.items() if end + 64 <= size]


def read(history: History) -> Expected:
    return {summary.id: history.messages(summary.id) for summary in history.summaries()}


def assert_given_back(path: Path, expected: Expected, titled: Sequence[int] = ()) -> None:
    """Check the messages of conversations, and the titles of those that still have their own."""
    with closing(History(path)) as history:
        found = read(history)
        missing = [id for id in expected if found.get(id) != expected[id]]
        assert missing == []
        titles = {summary.id: summary.title for summary in history.summaries()}
        assert all(titles[id][:8] in (f"NAME{id:03}X", f"MARK{id:03}X") for id in expected)
        assert [titles[id] for id in titled] == [f"NAME{id:03}X" for id in titled]
        for id in list(expected)[:3]:
            assert any(hit.conversation.id == id for hit in history.search(f"MARK{id:03}X"))
        if not history.read_only:
            new = history.import_messages("New", [UserMessage("A later word: xylophone.")])
            assert [hit.conversation.id for hit in history.search("xylophone")] == [new]
            assert history.search("word")


def cut(whole: tuple[bytes, Expected], percent: int, padded: bool, path: Path) -> None:
    data, written = whole
    size = len(data) * percent // 100
    path.write_bytes(data[:size] + bytes(len(data) - size if padded else 0))
    expected = {id: written[id] for id in whole_before(data, size)}
    assert percent < 10 or expected
    titled = [id for id in whole_before(data, size, "NAME") if id in expected]
    assert_given_back(path, expected, titled)


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True], ids=["cut", "padded"])
@pytest.mark.parametrize("percent", SOME_PERCENT)
def test_a_cut_file_gives_back_what_lies_before_the_cut(
    whole: tuple[bytes, Expected], percent: int, padded: bool, tmp_path: Path
) -> None:
    cut(whole, percent, padded, tmp_path / "history.db")


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True], ids=["cut", "padded"])
@pytest.mark.parametrize("percent", PERCENT)
def test_a_file_cut_anywhere_gives_back_what_lies_before_the_cut(
    whole: tuple[bytes, Expected], percent: int, padded: bool, tmp_path: Path
) -> None:
    cut(whole, percent, padded, tmp_path / "history.db")


PAGE = 4096


def overwrite(pages: Sequence[int], content: bytes) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for page in pages:
            damaged[page * PAGE : (page + 1) * PAGE] = content
        return bytes(damaged)

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "no header": overwrite([0], bytes(PAGE)),
    "noise as header": overwrite([0], random.Random(1).randbytes(PAGE)),
    "no root pages": overwrite(range(1, 12), bytes(PAGE)),
    "noise in the middle": overwrite(range(60, 70), random.Random(2).randbytes(PAGE)),
    "a page of another kind": overwrite([50], b"\x0d" + b"\xff" * (PAGE - 1)),
    "every tenth page lost": lambda data: overwrite(range(9, len(data) // PAGE, 10), bytes(PAGE))(
        data
    ),
    "text at its end": lambda data: data + b"These are notes. " * 500,
    "another page size": lambda data: data[:16] + b"\x20\x00" + data[18:],
    "a huge page count": lambda data: data[:28] + b"\xff" * 4 + data[32:],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_loses_only_what_lies_in_it(
    name: str, whole: tuple[bytes, Expected], tmp_path: Path
) -> None:
    data, written = whole
    damaged = DAMAGES[name](data)
    lost = {
        int(mark)
        for start in range(0, len(data), PAGE)
        if damaged[start : start + PAGE] != data[start : start + PAGE] and start
        for mark in re.findall(rb"MARK(\d{3})X", data[start - 8 : start + PAGE + 8])
    }
    path = tmp_path / "history.db"
    path.write_bytes(damaged)
    if name == "another page size":
        # The pages cannot be told apart; the file is kept.
        History(path).close()
        assert [one.read_bytes() == damaged for one in tmp_path.glob("*.damaged-*")] == [True]
        return
    assert_given_back(path, {id: said for id, said in written.items() if id not in lost})


def test_what_was_deleted_does_not_come_back(whole: tuple[bytes, Expected], tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(whole[0][:-PAGE])
    with closing(History(path)) as history:
        assert CONVERSATIONS // 2 not in read(history)
        assert f"MARK{CONVERSATIONS // 2:03}X".encode() not in path.read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.hostile.test_history_damage import talk
from xlam_local.history import History
import random
history, chance = History(Path(sys.argv[1])), random.Random(5)
for number in range(40):
    history.append(None, 0, talk(number + 1, chance), title=f"NAME{number + 1:03}X")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a history whose last changes are only in its write-ahead log."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run([sys.executable, "-c", KILLED, folder / "history.db"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "history.db-wal").stat().st_size > 100_000
    return folder


def written_before_the_kill() -> Expected:
    chance = random.Random(5)
    return {number + 1: talk(number + 1, chance) for number in range(40)}


@pytest.mark.parametrize("size", [0, 1, 1000, PAGE, 3 * PAGE + 7])
def test_a_cut_file_is_healed_from_its_log(size: int, killed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(killed, folder)
    path = folder / "history.db"
    data = path.read_bytes()
    path.write_bytes(data[:size])
    (folder / "history.db-shm").unlink(missing_ok=True)
    with closing(History(path)) as history:
        found = read(history)
    expected = written_before_the_kill()
    logged = re.findall(rb"MARK(\d{3})X", (killed / "history.db-wal").read_bytes())
    whole_in_log = set(map(int, logged)) - {
        int(mark) for mark in re.findall(rb"MARK(\d{3})X", data[size:])
    }
    assert [id for id in whole_in_log if found.get(id) != expected[id]] == []


def make_unwritable(folder: Path) -> None:
    """Let no file be locked beside the history, as on a read-only disk."""
    (folder / "history.db.lock").unlink(missing_ok=True)
    (folder / "history.db.lock").mkdir()


@pytest.mark.parametrize("state", ["closed", "killed", "cut", "noise", "empty"])
def test_a_history_that_cannot_be_written_is_read(
    state: str, whole: tuple[bytes, Expected], killed: Path, tmp_path: Path
) -> None:
    folder, expected = tmp_path / "data", {}
    if state == "killed":
        shutil.copytree(killed, folder)
        expected = written_before_the_kill()
    else:
        folder.mkdir()
        data, written = whole
        size = len(data) * 2 // 3
        content = {"closed": data, "cut": data[:size], "noise": b"x" * 9999, "empty": b""}[state]
        (folder / "history.db").write_bytes(content)
        if state in ("closed", "cut"):
            expected = {id: written[id] for id in whole_before(data, len(content))}
    make_unwritable(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert_given_back(folder / "history.db", expected)
    with closing(History(folder / "history.db")) as history:
        assert history.read_only
        assert "cannot be written" in history.note
        for write_to in (
            lambda: history.import_messages("x", [UserMessage("x")]),
            lambda: history.append_partial(1, "x"),
        ):
            with pytest.raises(HistoryError):
                write_to()
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_commands_read_a_history_that_cannot_be_written(own_folders: Path) -> None:
    data = own_folders / "data"
    with closing(History(data / "history.db")) as history:
        history.import_messages("Milk", [UserMessage("Where is the milk?")])
    make_unwritable(data)
    for words, shown in (
        (["list"], "Milk"),
        (["search", "milk"], "Milk"),
        (["export", "1"], "Where is the milk?"),
    ):
        done = run("history", *words)
        assert (done.returncode, shown in done.stdout) == (0, True), done
        assert done.stderr.count("\n") == 1
    for words in (["rename", "1", "x"], ["remove", "1", "--yes"]):
        done = run("history", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "cannot be written" in done.stderr


@pytest.mark.parametrize("column", ["title", "packed", "words", "kind"])
def test_one_damaged_row_loses_no_other(column: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    written = write(path, 6)
    table = "conversation" if column == "title" else "message"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"UPDATE {table} SET {column} = CAST(x'ff00' AS TEXT) WHERE id = 1")
    with closing(History(path)) as history:
        found = read(history)
        assert {id: found[id] for id in written if id != 1} == {
            id: said for id, said in written.items() if id != 1
        }
        assert len(history.user_messages()) >= len(written) - 1
        damaged = [DAMAGED if one == UserMessage(DAMAGED) else one for one in found[1]]
        assert damaged[1:] == written[1][1:]
        assert damaged[0] in (written[1][0], DAMAGED, AssistantMessage(DAMAGED))


SET_BLOCK = "UPDATE found_data SET block ="
INDEX_DAMAGES = {
    "texts of the index lost": f"{SET_BLOCK} zeroblob(length(block)) WHERE id > 10",
    "noise in the index": f"{SET_BLOCK} randomblob(length(block)) WHERE id > 10",
    "its structure lost": f"{SET_BLOCK} zeroblob(length(block)) WHERE id <= 10",
    "rows of the index lost": "DELETE FROM found_data WHERE id > 10",
    "sizes of the index lost": "DELETE FROM found_docsize",
    "pages of the index lost": "DELETE FROM found_idx",
}


@pytest.mark.parametrize("name", INDEX_DAMAGES)
def test_a_damaged_index_is_written_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    written = write(path, 40)
    for use in ("search", "append", "remove"):
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(INDEX_DAMAGES[name])
        with closing(History(path)) as history:
            if use == "append":
                history.import_messages("New", [UserMessage("xylophone")])
                assert history.search("xylophone")
            elif use == "remove":
                history.remove(3)
                del written[3]
                assert not history.search("MARK003X")
            assert history.search("MARK005X")
            assert {id: history.messages(id) for id in written} == written
