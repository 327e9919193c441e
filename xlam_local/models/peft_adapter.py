"""Convert a LoRA adapter from PEFT's folder to what llama.cpp reads.

PEFT writes `adapter_config.json` and `adapter_model.safetensors`:
https://huggingface.co/docs/peft/developer_guides/checkpoint. The names and the order of rows are
those of llama.cpp's convert_lora_to_gguf.py:
https://github.com/ggml-org/llama.cpp/blob/master/convert_lora_to_gguf.py
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from .. import user_file
from ..errors import ModelError
from .gguf import GgufHeader

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
MAX_WEIGHTS_BYTES = 4 << 30
MATRICES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Names of matrices in Transformers, and in llama.cpp."""
ARCHITECTURES = ("llama", "qwen2")
"""Those whose conversion is known: llama.cpp reorders the rows of some matrices of others."""
TENSOR_NAME = re.compile(
    r"(?:base_model\.model\.)?model\.layers\.(?P<layer>\d+)\.(?P<matrix>[a-z_]+\.[a-z_]+)"
    r"\.lora_(?P<part>[AB])(?:\.default)?\.weight"
)
DATA_TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
"""How the numbers of a safetensors file are read."""

Tensor = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A converted adapter."""

    alpha: float
    """The adapter's products are multiplied by this, divided by the rank."""
    rank: int
    base: str
    """The model that it was trained on, as PEFT names it; empty if unknown."""
    tensors: Mapping[str, Tensor]
    """By llama.cpp's names: A of shape (rank, inputs), B of shape (outputs, rank)."""


def read(folder: Path, base: GgufHeader) -> Adapter:
    """Convert the adapter in a folder for a base model, whose tensors must have its shapes.

    Raises:
        UsageError: a file is missing or cannot be read.
        ModelError: the adapter is of a kind that cannot be converted, or does not fit the model.
    """
    config = user_file.read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict):
        raise ModelError(f"{folder / CONFIG_FILE} is not a JSON object.")
    _check_kind(config, folder / CONFIG_FILE)
    if base.architecture not in ARCHITECTURES:
        raise ModelError(
            f"Adapters for the architecture {base.architecture} cannot be converted here; convert "
            "it with llama.cpp's convert_lora_to_gguf.py, and add the GGUF file."
        )
    tensors = dict(_converted(folder / WEIGHTS_FILE, base))
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith(".lora_a")}
    if not ranks:
        raise ModelError(f"{folder / WEIGHTS_FILE} has no LoRA matrices.")
    name = config.get("base_model_name_or_path")
    return Adapter(
        float(config["lora_alpha"]), max(ranks), name if isinstance(name, str) else "", tensors
    )


def _check_kind(config: Mapping[str, Any], file: Path) -> None:
    """Refuse what llama.cpp's adapters cannot express, by its name in the configuration."""
    refusals: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        ("peft_type", lambda value: value != "LORA", "only LORA adapters can be used"),
        ("lora_alpha", lambda value: type(value) not in (int, float), "a number is needed"),
        ("use_rslora", bool, "llama.cpp scales by alpha / rank, rsLoRA by alpha / sqrt(rank)"),
        ("use_dora", bool, "llama.cpp has no DoRA magnitudes"),
        ("alora_invocation_tokens", bool, "an activated LoRA is not supported"),
        ("modules_to_save", bool, "whole modules, such as embeddings, cannot be in an adapter"),
        ("bias", lambda value: value not in (None, "none"), "biases cannot be in an adapter"),
        ("lora_bias", bool, "biases cannot be in an adapter"),
        ("alpha_pattern", bool, "llama.cpp has one alpha for all matrices"),
        ("fan_in_fan_out", bool, "transposed matrices are not supported"),
        ("layer_replication", bool, "replicated layers are not supported"),
        ("target_parameters", bool, "adapters of single parameters are not supported"),
        (
            "init_lora_weights",
            lambda value: str(value).lower().startswith(("pissa", "olora", "corda", "loftq")),
            "it changed the base model; convert it with PEFT to an adapter of the original model",
        ),
    )
    for key, refused, reason in refusals:
        if refused(config.get(key)):
            raise ModelError(f"{file}: {key} is {config.get(key)!r}: {reason}.")


def _converted(file: Path, base: GgufHeader) -> Iterator[tuple[str, Tensor]]:
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _weights(file):
        found = TENSOR_NAME.fullmatch(name)
        matrix = MATRICES.get(found["matrix"]) if found else None
        if not found or not matrix:
            raise ModelError(
                f"{file}: {name} cannot be converted; adapters may change "
                f"{', '.join(MATRICES)} of each layer."
            )
        target = f"blk.{found['layer']}.{matrix}.weight"
        if target not in shapes:
            raise ModelError(f"{file}: the model {base.path.name} has no {target} for {name}.")
        reorder = found["part"] == "B" and base.architecture == "llama"
        parts.setdefault(target, {})[found["part"]] = (
            _reordered(tensor, matrix, base) if reorder else tensor
        )
    for target, pair in parts.items():
        _check_shapes(file, target, pair, shapes[target])
        yield f"{target}.lora_a", pair["A"]
        yield f"{target}.lora_b", pair["B"]


def _check_shapes(
    file: Path, target: str, pair: Mapping[str, Tensor], shape: tuple[int, ...]
) -> None:
    """Check a pair of matrices against the shape of theirs in GGUF: inputs, outputs."""
    if pair.keys() != {"A", "B"}:
        raise ModelError(f"{file}: {target} has only lora_{''.join(pair)}.")
    a, b = pair["A"].shape, pair["B"].shape
    if len(a) != 2 or len(b) != 2 or (a[1], b[0]) != shape or a[0] != b[1]:
        raise ModelError(
            f"{file}: lora_A {a} and lora_B {b} do not fit {target}, which has {shape[0]} inputs "
            f"and {shape[1]} outputs. The adapter belongs to another model."
        )


def _weights(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a safetensors file as 16-bit floats, by name.

    safetensors returns them in another order each time. The converted file must be the same each
    time, because its SHA-256 is part of the prompt cache's keys.
    """
    try:
        if file.stat().st_size > MAX_WEIGHTS_BYTES:
            raise ModelError(f"{file} has more than {MAX_WEIGHTS_BYTES >> 30} GiB.")
        entries: Any = safetensors.deserialize(file.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}.") from error
    except safetensors.SafetensorError as error:
        raise ModelError(f"{file} is not a safetensors file: {error}.") from error
    for name, entry in sorted(entries, key=lambda pair: str(pair[0])):
        kind = DATA_TYPES.get(entry["dtype"])
        if kind is None:
            raise ModelError(
                f"{file}: {name} has the type {entry['dtype']}; F32, F16 and BF16 are supported."
            )
        numbers: npt.NDArray[Any] = np.frombuffer(entry["data"], dtype=kind)
        if entry["dtype"] == "BF16":  # the upper half of a 32-bit float
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            tensor = numbers.reshape(entry["shape"]).astype(np.float16)
        if not np.isfinite(tensor).all():
            raise ModelError(f"{file}: {name} has values that 16-bit floats cannot represent.")
        yield name, tensor


def _reordered(tensor: Tensor, matrix: str, base: GgufHeader) -> Tensor:
    """Return B with the rows of each head in the order in which llama.cpp rotates them.

    Transformers keeps the two numbers of each rotated pair half a head apart, llama.cpp beside
    each other.
    """
    heads = {
        "attn_q": base.number("attention.head_count"),
        "attn_k": base.number("attention.head_count_kv") or base.number("attention.head_count"),
    }.get(matrix)
    if not heads or tensor.ndim != 2 or tensor.shape[0] % (2 * heads):
        return tensor
    rows, columns = tensor.shape
    pairs = tensor.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))
