"""A migration of the history that is killed leaves the old version or the new one, complete."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from xlam_local.history import History
from xlam_local.history.schema import VERSION, VERSION_1

CONVERSATIONS = 300
OPEN = "import sys; from pathlib import Path; from xlam_local.history import History; "
OPEN += "print('ready', flush=True); History(Path(sys.argv[1])); print('open', flush=True)"


def write_version_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"PRAGMA journal_mode = WAL;{VERSION_1}PRAGMA user_version = 1;")
        for id in range(1, CONVERSATIONS + 1):
            database.execute(
                "INSERT INTO conversation (id, title, created, changed) VALUES (?, ?, 1, 1)",
                (id, f"Talk {id}"),
            )
            database.execute(
                "INSERT INTO message (conversation, place, kind, packed, words) "
                "VALUES (?, 0, 'user', '{\"text\": \"Hi\"}', 'Hi')",
                (id,),
            )
        database.commit()


@pytest.mark.slow
def test_a_killed_migration_leaves_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    dice = random.Random(19)
    versions = []
    for number in range(50):
        path = tmp_path / f"{number}.db"
        write_version_1(path)
        command = [sys.executable, "-c", OPEN, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            program.stdout.readline()
            time.sleep(dice.uniform(0, 0.03))
            program.send_signal(signal.SIGKILL)
        with closing(sqlite3.connect(path)) as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        versions.append(version)
        assert ({"reply", "definition", "rating", "imported"} <= tables) == (version == VERSION)
        assert not ({"reply", "definition"} & tables) or version == VERSION
        with closing(History(path)) as history:
            assert history.note == ""
            assert len(history.summaries()) == CONVERSATIONS
    assert set(versions) <= {1, VERSION}
