"""The `check` command with the example shop, and the page about it."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.command_line import Finished, run
from tests.fakes.doc_pages import ROOT, code_blocks, table_rows
from tests.fakes.scenario_worlds import SCENARIO, make_scenarios
from tests.fakes.tool_calls import needs_isolation
from xlam_local.cli.check import check as check_command
from xlam_local.cli.check_run import trust_fixtures
from xlam_local.errors import UsageError
from xlam_local.scenarios.causes import CAUSES
from xlam_local.scenarios.scenario_file import SCENARIO_KEYS, WORLD_KEYS, read_scenarios
from xlam_local.scenarios.variations import VARIATIONS

PAGE = ROOT / "docs" / "check.md"
SHOP = ROOT / "docs" / "examples" / "shop"
LIMITS = ("--max-tokens", "8", "--context", "4096")
KILLS = int(os.environ.get("XLAM_KILLS", "2"))
FEW = ("price of a product", "cancel an order", "return an item", "not about the shop")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shop with a few scenarios, as the working folder."""
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder)
    text = (folder / "shop.toml").read_text()
    head, *entries = text.split("[[scenario]]")
    chosen = [entry for entry in entries if any(f'name = "{name}"' in entry for name in FEW)]
    (folder / "shop.toml").write_text("[[scenario]]".join([head, *chosen]))
    monkeypatch.chdir(folder)
    return folder


def check(model: Path, *arguments: str) -> Finished:
    return run(
        "check", "shop.toml", "--tools", "shop.py", "--trust", "-m", str(model), *LIMITS, *arguments
    )


def rows(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@needs_isolation
def test_a_check_is_resumed_extended_compared_and_drawn(qwen_path: Path, shop: Path) -> None:
    done = check(qwen_path, "--out", "a.jsonl")
    assert done.returncode == 0, done.stderr
    assert "cancel an order" in done.stdout
    before = Path("a.jsonl").read_text()
    done = check(qwen_path, "--out", "a.jsonl", "--runs", "2", "--json", "--picture", "a.svg")
    assert done.returncode == 0, done.stderr
    assert Path("a.jsonl").read_text().startswith(before)
    found = json.loads(done.stdout)
    assert found["runs"] == 2 * len(FEW)
    assert [rate["runs"] for rate in found["scenarios"]] == [2] * len(FEW)
    assert list(found["rates"][""]) == ["pass^1", "pass^2"]
    assert found["users"] == ["scripted"]
    assert "cancel an order" in Path("a.svg").read_text()
    # Results in which all was right are better than what random weights can do.
    right = [{**row, "passed": True, "cause": ""} for row in rows("a.jsonl")]
    Path("old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in right))
    done = check(qwen_path, "--out", "a.jsonl", "--against", "old.jsonl")
    assert done.returncode == 1
    assert "worse" in done.stdout
    assert check(qwen_path, "--out", "a.jsonl", "--against", "a.jsonl").returncode == 0


@pytest.mark.slow
@needs_isolation
def test_a_changed_scenario_runs_again(qwen_path: Path, shop: Path) -> None:
    assert check(qwen_path, "--out", "a.jsonl").returncode == 0
    before = {str(row["id"]): row for row in rows("a.jsonl")}
    path = Path("shop.toml")
    path.write_text(path.read_text().replace("capital of France", "capital of Norway"))
    assert check(qwen_path, "--out", "a.jsonl").returncode == 0
    after = {str(row["id"]): row for row in rows("a.jsonl")}
    assert before.keys() == after.keys()
    assert [name for name in after if before[name] != after[name]] == ["not about the shop/1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop.toml",), "--tools is required"),
        (("missing.toml", "--tools", "shop.py"), "missing.toml does not exist"),
        (("shop.toml", "--tools", "shop.py"), "is not trusted yet"),
        (("shop.toml", "--tools", "shop.py", "--trust", "--allow", "x"), "there is no tool 'x'"),
        (("shop.toml", "--tools", "shop.py", "--vary", "sort"), "--vary: 'sort' is none of"),
        (("shop.toml", "--tools", "shop.py", "--against", "no.jsonl"), "no.jsonl does not exist"),
    ],
)
@needs_isolation
def test_errors_are_one_sentence(arguments: tuple[str, ...], message: str, shop: Path) -> None:
    done = run("check", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fixture_needs_trust(shop: Path) -> None:
    Path("world.py").write_text("def up(world):\n    pass\n")
    path = Path("shop.toml")
    path.write_text(path.read_text().replace("[world]\n", '[world]\nsetup = "world.py:up"\n'))
    with pytest.raises(UsageError, match=r"world\.py is not trusted yet"):
        trust_fixtures(read_scenarios(path), trust=False)
    trust_fixtures(read_scenarios(path), trust=True)


def check_kills(folder: Path, kills: int, runs: int) -> None:
    chance, path = random.Random(7), folder / "runs.jsonl"
    command = [sys.executable, "-m", "tests.fakes.check_process", str(folder), str(runs)]
    earlier: list[bytes] = []
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline, grown = time.monotonic() + 60, len(earlier) + chance.randint(1, 3)
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.read_bytes().count(b"\n") >= grown:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]
        assert lines[: len(earlier)] == earlier
        earlier = lines
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    runs = 4 * KILLS
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        make_scenarios(tmp_path / name, SCENARIO, SCENARIO.replace("add a note", "again"))
    check_kills(tmp_path / "killed", KILLS, runs)
    check_kills(tmp_path / "whole", 0, runs)
    killed, whole = (rows(str(tmp_path / name / "runs.jsonl")) for name in ("killed", "whole"))
    for row in (*killed, *whole):
        del row["seconds"]
    assert killed == whole
    assert len(killed) == 2 * runs
    assert 0 < sum(bool(row["passed"]) for row in killed) < len(killed)


MODELS = ("-m", "xlam-2-1b", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
"""The words of the page that choose the model that is checked."""


def commands() -> Iterator[list[str]]:
    """Yield the commands of the page, which build on each other."""
    for block in code_blocks(PAGE, "sh"):
        for line in block.splitlines():
            yield shlex.split(line)[1:]


@pytest.mark.slow
@needs_isolation
def test_every_command_of_the_page_runs(
    qwen_path: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["-m", str(qwen_path), "--trust", *LIMITS]
    for written in commands():
        words = [word for word in written if word not in MODELS]
        words = [str(qwen_path) if word == "xlam-2-3b" else word for word in words]
        if words[-2:] == ["--as", "turns"]:
            make_right("runs.jsonl")
        # Another temperature needs another file.
        out = "again.jsonl" if "--temperature" in words else "runs.jsonl"
        done = run(*(out if word == "runs.jsonl" else word for word in words), *model)
        assert done.returncode == 0, (words, done.stderr)
    assert Path("rates.svg").exists()
    assert Path("longer.toml").exists()
    report = Path("rows/REPORT.md").read_text()
    assert "turns" in report
    lines = Path("rows/train.jsonl").read_text().splitlines()
    assert len(lines) == len(FEW)
    assert "Please cancel order 1205." in lines[1]


def make_right(path: str) -> None:
    """Say of all runs in a file that they were right."""
    changed = [{**row, "passed": True} for row in rows(path)]
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in changed))


def test_the_tables_of_the_page_are_complete() -> None:
    def first_column(header: str) -> set[str]:
        return {row[0].strip("`") for row in table_rows(PAGE, header)}

    assert first_column("key of a scenario") == set(SCENARIO_KEYS)
    assert first_column("key of a world") == set(WORLD_KEYS)
    assert first_column("cause") == set(CAUSES)
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}" in text for name in VARIATIONS)
    options = [parameter.opts[-1] for parameter in check_command.params[1:16]]
    assert [option for option in options if option not in text] == []
