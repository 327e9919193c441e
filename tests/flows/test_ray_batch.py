"""The example that runs a batch on Ray, on a local Ray of two workers."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.client_environments import environment
from tests.fakes.command_line import run, write_tools
from tests.fakes.doc_pages import ROOT

SCRIPT = ROOT / "docs" / "examples" / "ray_batch.py"
ADD = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
SETTINGS = "temperature = 1.0\nmax_tokens = 12\ncontext = 1024\n"
PARQUET = """
import json, sys
import pyarrow, pyarrow.parquet

rows = [json.loads(line) for line in open("in.jsonl", encoding="utf-8")]
rows = [{**row, "tools": json.dumps(row["tools"]) if "tools" in row else None} for row in rows]
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "in.parquet")
done = pyarrow.table({"id": [row["id"] for row in rows[:3]]})
pyarrow.parquet.write_table(done, "checkpoint/part.parquet")
"""
"""Writes the rows as Parquet, and a checkpoint of Ray in which the first three are done."""


@pytest.fixture(scope="module")
def python() -> str:
    """The Python of an environment with Ray and everything that the tests have."""
    program = environment("ray", "ray[data]")
    packages = Path(program).parents[1] / "lib"
    (site,) = packages.glob("python*/site-packages")
    (site / "tests.pth").write_text(sysconfig.get_path("purelib"))
    return program


@pytest.fixture
def folder(tmp_path: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (own_folders / "config").mkdir(parents=True)
    (own_folders / "config" / "config.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(count: int) -> list[dict[str, Any]]:
    """Return rows, of which every third has its own tools; line separators are part of a text."""
    texts = [{"id": f"row-{n}", "prompt": f"Say {n}\u2028, please."} for n in range(count)]
    return [{**row, "tools": [ADD]} if n % 3 == 0 else row for n, row in enumerate(texts)]


def run_ray(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    return subprocess.run(
        [python, str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def results(folder: Path) -> list[str]:
    return sorted(
        line
        for path in folder.glob("*.jsonl")
        for line in path.read_text("utf-8").split("\n")
        if line
    )


@pytest.mark.slow
def test_ray_writes_the_same_rows_as_batch(python: str, qwen_path: Path, folder: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows(8)]
    (folder / "in.jsonl").write_text("\n".join(lines), "utf-8")
    tools = write_tools(folder, [ADD])
    model = ["-m", str(qwen_path), "--tools", tools]
    done = run("batch", "in.jsonl", "out.jsonl", *model, "--sequences", "1")
    assert done.returncode == 0, done.stderr
    expected = sorted((folder / "out.jsonl").read_text("utf-8").strip("\n").split("\n"))
    # On two cores, Ray's tasks that read and filter rows would wait for cores that actors reserve.
    spread = ["--actors", "2", "--rows", "4", "--cpus", "0"]
    ray = run_ray(python, "in.jsonl", f"{folder}/lines", *model, *spread)
    assert ray.returncode == 0, ray.stderr[-3000:]
    assert results(folder / "lines") == expected
    (folder / "checkpoint").mkdir()
    subprocess.run([python, "-c", PARQUET], check=True)
    checkpoint = ["--checkpoint", f"{folder}/checkpoint"]
    ray = run_ray(python, "in.parquet", f"{folder}/columns", *model, *spread, *checkpoint)
    assert ray.returncode == 0, ray.stderr[-3000:]
    left = [line for line in expected if json.loads(line)["custom_id"] > "row-2"]
    assert results(folder / "columns") == left
