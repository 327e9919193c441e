from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.tiny_models import write_model
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.errors import ModelError, ModelMissing


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no model file .*nope\.gguf"):
        LocalEngine.load(tmp_path / "nope.gguf")


def test_a_file_that_is_not_gguf_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load bad\.gguf"):
        LocalEngine.load(path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    write_model(path, "qwen2", "odd", header_architecture="martian")
    with pytest.raises(ModelError, match="unknown model architecture: 'martian'"):
        LocalEngine.load(path)


def test_a_model_without_a_chat_template_cannot_chat(tmp_path: Path) -> None:
    path = tmp_path / "nameless.gguf"
    write_model(path, "qwen2", "nameless")
    engine = LocalEngine.load(path, LoadOptions(context_size=256))
    with pytest.raises(ModelError, match="has no chat template"):
        engine.prompt_format  # noqa: B018
    engine.close()


def test_a_context_beyond_the_trained_one_uses_yarn(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    write_model(path, "qwen2", "long", context=32768)
    engine = LocalEngine.load(path, LoadOptions(context_size=40000, threads=1))
    assert engine.context_size >= 40000
    assert engine.model.max_context == 131072
    engine.close()
    engine = LocalEngine.load(path, LoadOptions(context_size=1 << 20, threads=1))
    assert engine.context_size == 131072
    engine.close()


def test_an_unsupported_kv_cache_type_is_an_error_with_an_alternative(qwen_path: Path) -> None:
    options = LoadOptions(context_size=512, threads=1, kv_cache_type="q8_0")
    with pytest.raises(ModelError, match=r"KV cache type q8_0 .* Try KV cache type f16"):
        LocalEngine.load(qwen_path, options)


@pytest.mark.slow
def test_a_context_larger_than_memory_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    write_model(path, "llama", "long", context=1 << 23)
    program = f"""
import resource
from pathlib import Path
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.errors import OutOfMemory
resource.setrlimit(resource.RLIMIT_AS, ({2 << 30}, {2 << 30}))
try:
    LocalEngine.load(Path({str(path)!r}), LoadOptions(context_size=1 << 23, threads=1))
except OutOfMemory as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.startswith(b"Cannot create a context of 8388608 tokens")
