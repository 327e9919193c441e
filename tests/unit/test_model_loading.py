from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.fakes.tiny_models import write_model
from xlam_local import memory_plan
from xlam_local.config import Config
from xlam_local.errors import IntegrityError, ModelMissing
from xlam_local.hardware import GIB, MIB, Device, Machine
from xlam_local.memory_plan import LoadRequest, Weights
from xlam_local.model_loading import (
    downgrade_notice,
    load_model,
    load_model_in_process,
    loading_steps,
)
from xlam_local.model_shape import ModelShape
from xlam_local.types import LoadProgress, Notice

SMALL = Config(context=512, threads=1, prompt_cache_mib=0)


@pytest.mark.slow
def test_a_model_is_loaded_in_a_child_process(qwen_path: Path) -> None:
    steps = loading_steps(str(qwen_path), SMALL)
    progress = []
    while True:
        try:
            progress.append(next(steps))
        except StopIteration as end:
            engine = end.value
            break
    assert progress
    assert all(isinstance(step, LoadProgress) for step in progress)
    assert engine.pid not in (None, os.getpid())
    assert engine.context_size == 512
    engine.close()


def test_a_notice_names_the_largest_context(qwen_path: Path) -> None:
    with closing(loading_steps(str(qwen_path), Config(context=5000, threads=1))) as steps:
        notice = f"{qwen_path.name} supports at most 4096 tokens of context."
        assert next(steps) == Notice(notice)


def test_a_notice_tells_how_many_layers_fit_on_the_gpu() -> None:
    shape = ModelShape(
        layers=28,
        kv_heads=2,
        head_size=128,
        heads=12,
        embedding_size=1536,
        feed_forward_size=8960,
        vocabulary_size=151936,
        trained_context=32768,
    )
    weights = Weights("m.gguf", 4 * GIB, 140 * MIB, shape)
    gpu = Device("card", 2 * GIB, 2 * GIB)
    machine = Machine("laptop", 32 * GIB, 30 * GIB, 8, (gpu,))
    plan = memory_plan.choose(weights, machine, LoadRequest(2048))
    notice = downgrade_notice(plan, machine, LoadRequest())
    assert re.match(r"\d of the 28 layers of m.gguf fit on the GPU", notice)
    requested = LoadRequest(gpu_layers=plan.gpu_layers)
    assert downgrade_notice(plan, machine, requested) == ""
    without_gpu = replace(machine, devices=())
    plan = memory_plan.choose(weights, without_gpu, LoadRequest(2048))
    assert downgrade_notice(plan, without_gpu, LoadRequest()) == ""


def engine_processes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "xlam_local.engine.worker" in child.cmdline()]


def test_a_cancelled_load_leaves_no_process(qwen_path: Path) -> None:
    before = engine_processes()
    steps = loading_steps(str(qwen_path), SMALL)
    next(steps)
    assert len(engine_processes()) == len(before) + 1
    steps.close()
    assert engine_processes() == before


def test_a_model_can_be_loaded_in_this_process(qwen_path: Path) -> None:
    engine = load_model_in_process(qwen_path, SMALL)
    assert engine.context_size == 512
    engine.close()


def test_a_file_is_checked_before_llama_cpp_loads_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        load_model(str(tmp_path / "nope.gguf"), SMALL)
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(IntegrityError):
        load_model(str(bad), SMALL)


PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({2 << 30}, {2 << 30}))
from xlam_local.config import Config
from xlam_local.model_loading import loading_steps
from xlam_local.types import Notice
config = Config(context=1 << 23, threads=1, auto_downgrade="no" not in sys.argv)
steps = loading_steps(sys.argv[1], config)
try:
    while True:
        match next(steps):
            case Notice(text):
                print(text)
except StopIteration as end:
    print(end.value.context_size)
    end.value.close()
"""


@pytest.mark.slow
def test_a_load_that_runs_out_of_memory_falls_back(tmp_path: Path, own_folders: Path) -> None:
    path = tmp_path / "long.gguf"
    write_model(path, "llama", "xLAM-2-long", context=1 << 23)

    def load(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(path), *arguments]
        return subprocess.run(command, capture_output=True, check=False)

    first = load().stdout.decode().splitlines()
    assert len(first) > 1
    assert all("does not fit as requested. Trying: context of" in line for line in first[:-1])
    size = int(first[-1])
    assert size < 1 << 23
    again = load().stdout.decode().splitlines()
    assert len(again) == 2
    assert int(again[-1]) == size
    (plan,) = json.loads((own_folders / "data" / "plans.json").read_text()).values()
    assert plan[2] == size
    assert b"OutOfMemory" in load("no").stderr
