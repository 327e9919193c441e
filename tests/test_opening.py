from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from xlam_local import fit
from xlam_local.config import Config
from xlam_local.errors import IntegrityError, ModelMissing
from xlam_local.opening import given_up, open_engine, open_here, opening
from xlam_local.types import Loading, Note

from .tiny import write

SMALL = Config(context=512, threads=1, prefix_cache=0)


def test_a_model_is_opened_in_a_process_of_its_own(qwen_path: Path) -> None:
    steps = opening(str(qwen_path), SMALL)
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            engine = end.value
            break
    assert seen
    assert all(isinstance(step, Loading) for step in seen)
    assert engine.pid not in (None, os.getpid())
    assert engine.size == 512
    engine.close()


def test_a_context_that_the_model_cannot_use_is_told_of(qwen_path: Path) -> None:
    with closing(opening(str(qwen_path), Config(context=5000, threads=1))) as steps:
        assert next(steps) == Note(f"{qwen_path.name} can use 4096 tokens of context, not more.")


def test_what_a_gpu_has_no_room_for_is_told_of() -> None:
    shape = fit.Shape(28, 2, 128, 12, 1536, 8960, 151936, 32768)
    weights = fit.Weights("m.gguf", 4 * fit.GIB, 140 * fit.MIB, shape)
    gpu = fit.Device("card", 2 * fit.GIB, 2 * fit.GIB)
    here = fit.Machine("laptop", 32 * fit.GIB, 30 * fit.GIB, 8, (gpu,))
    plan = fit.choose(weights, here, fit.Wish(2048))
    assert re.match(
        r"\d of the 28 layers of m.gguf fit on the GPU", given_up(plan, here, fit.Wish())
    )
    assert given_up(plan, here, fit.Wish(gpu_layers=plan.gpu_layers)) == ""
    alone = replace(here, devices=())
    assert given_up(fit.choose(weights, alone, fit.Wish(2048)), alone, fit.Wish()) == ""


def test_leaving_it_early_leaves_no_process(qwen_path: Path) -> None:
    import psutil

    steps = opening(str(qwen_path), SMALL)
    next(steps)
    steps.close()
    assert not [child for child in psutil.Process().children() if "engine.child" in str(child)]


def test_a_model_is_opened_in_this_process_where_one_wants_it(qwen_path: Path) -> None:
    engine = open_here(qwen_path, SMALL)
    assert engine.size == 512
    engine.close()


def test_what_is_wrong_is_said_before_llama_cpp_sees_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        open_engine(str(tmp_path / "nope.gguf"), SMALL)
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(IntegrityError):
        open_engine(str(bad), SMALL)


def test_less_is_tried_when_loading_runs_out_of_memory(tmp_path: Path, own_folders: Path) -> None:
    path = tmp_path / "long.gguf"
    write(path, "llama", "xLAM long", context=1 << 23)
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({2 << 30}, {2 << 30}))
from xlam_local import fit
from xlam_local.config import Config
from xlam_local.opening import opening
from xlam_local.types import Note
steps = opening({str(path)!r}, Config(context=1 << 23, threads=1, fallback="no" not in sys.argv))
try:
    while True:
        match next(steps):
            case Note(text):
                print(text)
except StopIteration as end:
    print(end.value.size)
    end.value.close()
"""

    def opened(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, capture_output=True, check=False)

    first = opened().stdout.decode().splitlines()
    assert len(first) > 1
    assert all("does not fit as wished; with context of" in line for line in first[:-1])
    size = int(first[-1])
    assert size < 1 << 23
    again = opened().stdout.decode().splitlines()
    assert len(again) == 2
    assert int(again[-1]) == size
    (known,) = json.loads((own_folders / "data" / "plans.json").read_text()).values()
    assert known[2] == size
    assert b"OutOfMemory" in opened("no").stderr
