"""LoRA adapters: converted from PEFT's folders, applied, taken off, and part of cache keys."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.fakes.engine_helpers import generate, user_prompt
from tests.fakes.peft_folders import ALPHA, RANK, Tensors, random_tensors, write_peft_folder
from tests.fakes.tiny_models import HEADS, LAYERS, write_model
from xlam_local import model_loading
from xlam_local.cli import run_command
from xlam_local.config import Config, folders
from xlam_local.engine import AdapterOption, LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.prompt_cache import entries
from xlam_local.engine.subprocess_engine import SubprocessEngine
from xlam_local.errors import IntegrityError, ModelError, ModelMissing, UsageError, XlamError
from xlam_local.models import Store, adapters, gguf, gguf_writer
from xlam_local.types import Sampling

OPTIONS = LoadOptions(context_size=512, threads=1)
SAMPLING = Sampling(max_tokens=24)
LLAMA_CPP_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub", tmp_path / "data", tmp_path / "config")


@pytest.fixture(params=["qwen2", "llama"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.gguf"
    write_model(path, request.param, "xLAM-2-tiny")
    return path


def option(stored: adapters.StoredAdapter, scale: float = 1.0) -> AdapterOption:
    return AdapterOption(stored.name, stored.path, stored.sha256, scale)


def logits(path: Path, *applied: AdapterOption) -> npt.NDArray[np.float32]:
    with closing(
        LocalEngine.load(path, LoadOptions(context_size=512, threads=1, adapters=applied))
    ) as engine:
        generate(engine, user_prompt(engine), Sampling(max_tokens=1))
        return engine.context.sequences[0].logits().copy()


def merged(path: Path, tensors: Tensors, scale: float) -> Path:
    """Return a copy of a model whose weights are those of the adapter merged into them.

    In llama.cpp's Llama models, row 2i + j of a head of q and k is row 8j + i in Transformers.
    """
    header = gguf.read(path)
    data = bytearray(path.read_bytes())
    infos = {tensor.name: tensor for tensor in header.tensors}
    for layer in range(LAYERS):
        for matrix, name in LLAMA_CPP_NAMES.items():
            prefix = f"base_model.model.model.layers.{layer}.{matrix}"
            b, a = tensors[f"{prefix}.lora_B.weight"], tensors[f"{prefix}.lora_A.weight"]
            change = scale * ALPHA / RANK * (b @ a)
            info = infos[f"blk.{layer}.{name}.weight"]
            start = header.data_offset + info.offset
            weights = np.frombuffer(data, np.float16, info.size // 2, start).reshape(change.shape)
            for row in range(change.shape[0]):
                source = row
                if header.architecture == "llama" and name in ("attn_q", "attn_k"):
                    size = change.shape[0] // HEADS
                    head, inner = divmod(row, size)
                    source = head * size + inner % 2 * (size // 2) + inner // 2
                weights[row] = (weights[row].astype(np.float32) + change[source]).astype(np.float16)
    copy = path.with_name("merged.gguf")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("scale", [1.0, 0.5, -1.0])
def test_a_converted_adapter_acts_as_if_it_were_merged(
    base: Path, store: Store, tmp_path: Path, scale: float
) -> None:
    folder = write_peft_folder(tmp_path / "lamp")
    stored = adapters.add(folder, "tiny", base, store)
    assert (stored.name, stored.rank, stored.trained_on) == ("lamp", RANK, "xLAM-2-tiny")
    expected = logits(merged(base, random_tensors(), scale))
    applied = logits(base, option(stored, scale))
    assert np.abs(applied - logits(base)).max() > 1
    assert np.abs(applied - expected).max() < 0.1


@pytest.mark.slow
def test_adapters_change_a_running_engine_and_can_be_taken_off(
    base: Path, store: Store, tmp_path: Path
) -> None:
    one = option(adapters.add(write_peft_folder(tmp_path / "one"), "tiny", base, store))
    tensors = random_tensors(2)
    two = option(adapters.add(write_peft_folder(tmp_path / "two", tensors), "tiny", base, store))
    texts: dict[tuple[AdapterOption, ...], str] = {}
    with closing(SubprocessEngine.load(base, OPTIONS)) as engine:
        for applied in ((), (one,), (one, two), (two,), ()):
            engine.set_adapters(applied)
            text, end = generate(engine, user_prompt(engine), SAMPLING)
            assert end.usage.cached_tokens == 0
            assert texts.setdefault(applied, text) == text
            assert engine.name == "+".join(["xLAM-2-tiny", *(each.name for each in applied)])
    assert len(set(texts.values())) == 4


@pytest.mark.slow
def test_adapters_do_not_change_during_a_reply(base: Path) -> None:
    with closing(SubprocessEngine.load(base, OPTIONS)) as engine:
        items = engine.generate(user_prompt(engine), None, Sampling(max_tokens=400))
        while not isinstance(next(items), str):
            pass
        with pytest.raises(UsageError, match="while a reply is being written"):
            engine.set_adapters([])
        assert list(items)


def test_a_process_that_ends_is_restarted_with_its_adapters(
    base: Path, store: Store, tmp_path: Path
) -> None:
    applied = option(adapters.add(write_peft_folder(tmp_path / "lamp"), "tiny", base, store), 0.5)
    with closing(SubprocessEngine.load(base, OPTIONS)) as engine:
        engine.set_adapters([applied])
        text = generate(engine, user_prompt(engine), SAMPLING)[0]
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert generate(engine, user_prompt(engine), SAMPLING)[0] == text


def test_a_prompt_cached_with_an_adapter_is_not_used_without_it(
    base: Path, store: Store, tmp_path: Path
) -> None:
    stored = adapters.add(write_peft_folder(tmp_path / "lamp"), "tiny", base, store)
    cache = tmp_path / "cache"
    for applied in ((), (option(stored),), (option(stored, 0.5),)):
        options = LoadOptions(
            context_size=1024, threads=1, adapters=applied, prompt_cache_folder=cache
        )
        for first in (True, False):
            with closing(LocalEngine.load(base, options)) as engine:
                written = user_prompt(engine, "words " * 300)
                _, end = generate(engine, written, Sampling(max_tokens=2))
            assert (end.usage.cached_tokens == 0) == first
    assert len(entries(cache)) == 3


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rsLoRA": ({"use_rslora": True}, "use_rslora is True: llama.cpp scales by alpha / rank"),
    "DoRA": ({"use_dora": True}, "use_dora is True: llama.cpp has no DoRA"),
    "modules": ({"modules_to_save": ["embed_tokens"]}, "modules_to_save is .*embed_tokens"),
    "kind": ({"peft_type": "IA3"}, "peft_type is 'IA3': only LORA"),
    "bias": ({"bias": "all"}, "bias is 'all'"),
    "alpha": ({"lora_alpha": None}, "lora_alpha is None"),
    "alphas": ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern is"),
    "pissa": ({"init_lora_weights": "pissa_niter_4"}, "it changed the base model"),
    "activated": ({"alora_invocation_tokens": [1, 2]}, "an activated LoRA is not supported"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_llama_cpp_cannot_express_are_refused_by_name(
    qwen_path: Path, store: Store, tmp_path: Path, kind: str
) -> None:
    config, message = REFUSED[kind]
    folder = write_peft_folder(tmp_path / "lamp", **config)
    with pytest.raises(ModelError, match=message):
        adapters.add(folder, "tiny", qwen_path, store)
    assert not adapters.list_adapters(store)


def _renamed(tensors: Tensors, old: str, new: str) -> Tensors:
    return {name.replace(old, new): tensor for name, tensor in tensors.items()}


DAMAGES: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "embeddings": (
        lambda t: _renamed(t, "layers.0.self_attn.q_proj.lora_A", "embed_tokens.lora_embedding_A"),
        "embed_tokens.lora_embedding_A.weight cannot be converted",
    ),
    "a layer too many": (lambda t: _renamed(t, "layers.1", "layers.7"), "has no blk.7"),
    "another width": (
        lambda t: {name: np.pad(tensor, ((0, 0), (0, 8))) for name, tensor in t.items()},
        "The adapter belongs to another model",
    ),
    "half a pair": (
        lambda t: {name: tensor for name, tensor in t.items() if "q_proj.lora_B" not in name},
        "has only lora_A",
    ),
    "not finite": (
        lambda t: {name: tensor + np.float32("inf") for name, tensor in t.items()},
        "values that 16-bit floats cannot represent",
    ),
    "integers": (
        lambda t: {name: tensor.astype(np.int8) for name, tensor in t.items()},
        "has the type I8",
    ),
    "nothing": (lambda t: {"x": np.zeros(1, np.float32)}, "x cannot be converted"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit_are_refused_with_their_names(
    qwen_path: Path, store: Store, tmp_path: Path, damage: str
) -> None:
    change, message = DAMAGES[damage]
    folder = write_peft_folder(tmp_path / "lamp", change(random_tensors()))
    with pytest.raises(ModelError, match=message):
        adapters.add(folder, "tiny", qwen_path, store)


@pytest.mark.parametrize("length", [0, 4, 100, 5000])
def test_a_cut_file_is_refused(qwen_path: Path, store: Store, tmp_path: Path, length: int) -> None:
    folder = write_peft_folder(tmp_path / "lamp")
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelError, match="is not a safetensors file"):
        adapters.add(folder, "tiny", qwen_path, store)


def test_a_gguf_adapter_is_checked_against_its_model(
    qwen_path: Path, store: Store, tmp_path: Path
) -> None:
    stored = adapters.add(write_peft_folder(tmp_path / "lamp"), "tiny", qwen_path, store)
    copy = tmp_path / "copy.gguf"
    shutil.copyfile(stored.path, copy)
    assert adapters.add(copy, "tiny", qwen_path, store).rank == RANK
    llama = tmp_path / "llama.gguf"
    write_model(llama, "llama", "other")
    with pytest.raises(ModelError, match=r"architecture qwen2, but llama\.gguf has llama"):
        adapters.add(copy, "llama", llama, store, "second")
    with pytest.raises(ModelError, match="is not a LoRA adapter"):
        adapters.add(qwen_path, "tiny", qwen_path, store, "third")
    wrong = np.zeros((RANK, 8), np.float16)
    metadata: dict[str, str | float] = {
        "general.type": "adapter",
        "general.architecture": "qwen2",
        "adapter.type": "lora",
        "adapter.lora.alpha": 1.0,
    }
    name = "blk.0.attn_q.weight"
    gguf_writer.write(copy, metadata, {f"{name}.lora_a": wrong, f"{name}.lora_b": wrong.T.copy()})
    with pytest.raises(ModelError, match="The adapter belongs to another model"):
        adapters.add(copy, "tiny", qwen_path, store, "fourth")
    with pytest.raises(XlamError):
        adapters.add(tmp_path / "nowhere", "tiny", qwen_path, store)


def test_bfloat16_numbers_are_converted(qwen_path: Path, store: Store, tmp_path: Path) -> None:
    folder = write_peft_folder(tmp_path / "lamp")
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in random_tensors().items():
        half = (tensor.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        offsets = [len(data), len(data) + len(half)]
        header[name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": offsets}
        data += half
    text = json.dumps(header).encode()
    file = folder / "adapter_model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    stored = adapters.add(folder, "tiny", qwen_path, store)
    with_halves = logits(qwen_path, option(stored))
    plain = adapters.add(write_peft_folder(tmp_path / "plain"), "tiny", qwen_path, store)
    assert np.abs(with_halves - logits(qwen_path, option(plain))).max() < 0.3


DAMAGED_RECORDS = {
    "empty": b"",
    "cut": b'{"name": "la',
    "not UTF-8": b"\xff\xfe{",
    "a list": b"[1]",
    "a key too many": b'{"name": "lamp", "color": 1}',
    "keys missing": b'{"name": "lamp"}',
    "nested": b"[" * 5000,
    "wrong types": json.dumps(
        {"name": "lamp", "base": "x", "architecture": "llama", "rank": 1, "size": 1, "sha256": 7}
    ).encode(),
    "missing": None,
}


@pytest.mark.parametrize("damage", DAMAGED_RECORDS)
def test_a_damaged_record_is_named_with_what_to_do(
    qwen_path: Path, store: Store, tmp_path: Path, damage: str
) -> None:
    folder = write_peft_folder(tmp_path / "lamp")
    stored = adapters.add(folder, "tiny", qwen_path, store)
    record, data = stored.path.with_suffix(".json"), DAMAGED_RECORDS[damage]
    if data is None:
        record.unlink()
    else:
        record.write_bytes(data)
    for read in (lambda: adapters.find("lamp", store), lambda: adapters.list_adapters(store)):
        with pytest.raises(IntegrityError) as caught:
            read()
        assert str(caught.value).startswith(str(record))
        assert "adapters remove lamp`, and add it again" in str(caught.value)
    assert adapters.remove("lamp", store) == stored.size
    assert adapters.add(folder, "tiny", qwen_path, store) == stored
    assert adapters.find("lamp", store) == stored


def test_only_names_of_adapters_are_looked_up(qwen_path: Path, store: Store) -> None:
    for name in ("", "../lamp", "a/b", "lamp"):
        with pytest.raises(ModelMissing, match="There is no adapter"):
            adapters.find(name, store)
        with pytest.raises(ModelMissing):
            adapters.remove(name, store)


@pytest.mark.slow
def test_models_are_named_with_their_adapters(qwen_path: Path, tmp_path: Path) -> None:
    store = Store.from_folders(folders().config, folders().data)
    adapters.add(write_peft_folder(tmp_path / "lamp"), "tiny", qwen_path, store)
    name = f"{qwen_path}+lamp:0.5"
    (found,) = model_loading.find_adapters(name, qwen_path, store)
    assert (found.name, found.scale) == ("lamp", 0.5)
    with closing(model_loading.load_model(name, Config(context=512, threads=1))) as engine:
        assert engine.name == "xLAM-2-tiny+lamp:0.5"
    with pytest.raises(ModelMissing, match="There is no adapter 'other'"):
        model_loading.load_model(f"{qwen_path}+other", Config(context=512))
    with pytest.raises(UsageError, match="scale of the adapter lamp is 'much'"):
        model_loading.load_model(f"{qwen_path}+lamp:much", Config(context=512))
    plus = tmp_path / "a+b.gguf"
    shutil.copyfile(qwen_path, plus)
    assert model_loading.split_adapters(str(plus)) == (str(plus), [])


def test_commands_add_list_and_remove(
    qwen_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_peft_folder(tmp_path / "lamp")
    add = ["models", "adapters", "add", str(folder), "-m", str(qwen_path)]
    assert run_command(add) == 0
    assert "Added lamp: rank 4" in capsys.readouterr().err
    assert run_command(add) == 2
    assert "There is an adapter lamp already" in capsys.readouterr().err
    assert run_command(["models", "adapters", "list"]) == 0
    assert "lamp" in capsys.readouterr().out
    assert run_command(["models", "adapters", "list", "--json"]) == 0
    assert '"rank": 4' in capsys.readouterr().out
    assert run_command(["models", "adapters", "remove", "lamp"]) == 0
    assert run_command(["models", "adapters", "remove", "lamp"]) != 0
