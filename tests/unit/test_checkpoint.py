from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from xlam_local.checkpoint import Checkpoint, CheckpointError
from xlam_local.errors import IntegrityError, UsageError

RUN = {"model": "abc", "seed": 1, "sampling": {"stop": ("x", "y")}}
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "ä\u2028😀\n"},
    {"id": "b", "text": "\ud800"},
    {"id": "c", "ok": False},
]
WRITER = """
import resource, sys
from pathlib import Path
from xlam_local.checkpoint import Checkpoint
from xlam_local.errors import XlamError

path, count, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with Checkpoint.open(path, {"seed": 1}) as checkpoint:
        print("open", flush=True)
        for number in range(count):
            if str(number) not in checkpoint.done:
                checkpoint.append({"id": str(number), "text": "x" * (number * 7919 % 5000)})
except XlamError as error:
    print(error)
"""


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> None:
    with Checkpoint.open(path, RUN) as checkpoint:
        for row in rows:
            checkpoint.append(row)


def saved(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def writer(path: Path, count: int, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(count), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_writer(path: Path, count: int, limit: int = 0) -> str:
    return writer(path, count, limit).communicate()[0]


def test_rows_are_one_line_each_and_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    assert path.read_bytes().count(b"\n") == len(ROWS)
    assert saved(path) == ROWS
    with Checkpoint.open(path, RUN) as checkpoint:
        assert checkpoint.done == {"a", "b", "c"}
        assert list(checkpoint.rows()) == ROWS
        assert checkpoint.cut_bytes == 0
        with pytest.raises(ValueError, match="already has a row with the id 'a'"):
            checkpoint.append({"id": "a"})


@pytest.mark.parametrize(
    "end", [b"{", b'{"id": "d"}', b'{"id": "\xc3', b"\0" * 4096, b"{]\n", b"\n\n", b'["d"]\n{"i']
)
def test_an_incomplete_end_is_cut(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    with Checkpoint.open(path, RUN) as checkpoint:
        assert checkpoint.cut_bytes == len(end)
        checkpoint.append({"id": "d"})
    assert path.read_bytes() == whole + b'{"id": "d"}\n'


@pytest.mark.parametrize("line", [b"{", b"\0\0", b"[]", b'{"text": ""}', b'{"id": 3}', b"[" * 9999])
def test_a_damaged_line_before_others_is_named_and_nothing_is_changed(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    damaged = line + b"\n" + path.read_bytes() + b"{"
    path.write_bytes(damaged)
    with (
        pytest.raises(IntegrityError, match=r"out\.jsonl, line 1, is damaged: it "),
        Checkpoint.open(path, RUN),
    ):
        pass
    assert path.read_bytes() == damaged


def test_a_repeated_id_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    path.write_bytes(path.read_bytes() * 2)
    with (
        pytest.raises(IntegrityError, match=r'line 4, repeats the id "a"'),
        Checkpoint.open(path, RUN),
    ):
        pass


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 2}, "seed was 1 and is now 2"),
        ({"seed": True}, "seed was 1 and is now true"),
        ({"tools": "f00"}, 'tools was null and is now "f00"'),
        ({"model": "x" * 99, "seed": 1.5}, 'model was "abc" and is now "xx.*; seed was 1 and'),
        ({"sampling": {"stop": ["y", "x"]}}, "sampling was "),
    ],
)
def test_results_of_another_run_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    before = path.read_bytes()
    with (
        pytest.raises(UsageError, match=message),
        Checkpoint.open(path, {**RUN, **changed}),
    ):
        pass
    assert path.read_bytes() == before


def test_a_file_without_results_takes_the_new_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path, [])
    with Checkpoint.open(path, {"seed": 7}):
        pass
    assert json.loads((tmp_path / "out.jsonl.run").read_text()) == {"seed": 7}


def test_a_file_of_another_origin_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with pytest.raises(UsageError, match=r"notes\.txt\.run is missing"), Checkpoint.open(path, RUN):
        pass
    for broken in ("[]", "{", ""):
        (tmp_path / "notes.txt.run").write_text(broken)
        with pytest.raises(UsageError, match=r"notes\.txt\.run "), Checkpoint.open(path, RUN):
            pass
    assert path.read_text() == "my notes"


def test_paths_that_cannot_hold_results_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null"), Path("/proc/x/y"), Path("a\0b")):
        with pytest.raises(UsageError), Checkpoint.open(path, RUN):
            pass


def test_two_writers_are_refused_also_after_the_file_was_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Checkpoint.open(path, RUN) as checkpoint:
        for rewritten in (False, True):
            if rewritten:
                checkpoint.append({"id": "z"})
                checkpoint.append({"id": "a"})
                checkpoint.sort(["a"])
            with (
                pytest.raises(UsageError, match="Another program writes "),
                Checkpoint.open(path, RUN),
            ):
                pass
    with Checkpoint.open(path, RUN) as checkpoint:
        assert list(checkpoint.done) == ["a", "z"]


def test_failed_rows_are_removed_and_others_sorted(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    path.chmod(0o640)
    with Checkpoint.open(path, RUN) as checkpoint:
        assert checkpoint.remove(lambda row: row.get("ok") is False) == 1
        assert checkpoint.remove(lambda row: row.get("ok") is False) == 0
        checkpoint.append({"id": "c", "ok": True})
        checkpoint.sort(["c", "none", "b", "c"])
        checkpoint.append({"id": "d"})
    assert [row["id"] for row in saved(path)] == ["c", "b", "a", "d"]
    assert path.stat().st_mode & 0o777 == 0o640
    assert {file.name for file in tmp_path.iterdir()} - {"home"} == {"out.jsonl", "out.jsonl.run"}


def test_another_key_can_be_the_id(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Checkpoint.open(path, RUN, key="case") as checkpoint:
        checkpoint.append({"case": "simple_1", "id": 3})
    with Checkpoint.open(path, RUN, key="case") as checkpoint:
        assert checkpoint.done == {"simple_1"}


def test_several_threads_append(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Checkpoint.open(path, RUN) as checkpoint:

        def append(thread: int) -> None:
            for number in range(50):
                checkpoint.append({"id": f"{thread}-{number}", "text": "x" * number * 20})

        threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({row["id"] for row in saved(path)}) == 200


@pytest.mark.slow
def test_a_full_disk_leaves_whole_rows_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    path, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    run_writer(whole, 60)
    for limit in (30_000, 60_001, 90_000):
        output = run_writer(path, 60, limit)
        assert "cannot be written: File too large. It has " in output
        assert path.read_bytes().endswith(b"}\n")
        assert whole.read_bytes().startswith(path.read_bytes())
    run_writer(path, 60)
    assert path.read_bytes() == whole.read_bytes()


def test_a_full_disk_keeps_the_old_file_when_it_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(path)
    with Checkpoint.open(path, RUN) as checkpoint:
        (tmp_path / ".out.jsonl.new").mkdir()
        with pytest.raises(CheckpointError, match="cannot be written"):
            checkpoint.sort(["c"])
        checkpoint.append({"id": "d"})
    assert [row["id"] for row in saved(path)] == ["a", "b", "c", "d"]


@pytest.mark.slow
def test_ten_kills_lose_and_repeat_no_row(tmp_path: Path) -> None:
    path, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    run_writer(whole, 3000)
    rng = random.Random(7)
    for _ in range(10):
        process = writer(path, 3000)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(rng.uniform(0, 0.01))
        process.kill()
        process.communicate()
        assert whole.read_bytes().startswith(
            path.read_bytes()[: path.read_bytes().rfind(b"\n") + 1]
        )
    run_writer(path, 3000)
    assert path.read_bytes() == whole.read_bytes()
