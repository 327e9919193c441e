"""What a model's file means for memory, from its header or from the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import IntegrityError
from ..fit import Shape, Weights
from .catalog import Model
from .gguf import Header, Tensor

# Tensors of these types get a second copy on the CPU, with eight rows side by side.
REPACKED = ("Q4_0", "Q4_K", "IQ4_NL")
LAYER = re.compile(r"blk\.\d+\.")
LARGEST = 1 << 24
"""No number of a shape is larger."""


def of_file(header: Header) -> Weights:
    """The weights in a GGUF file."""
    shape = shape_of(header)
    in_layers = sum(tensor.size for tensor in header.tensors if LAYER.match(tensor.name))
    layer = -(-in_layers // shape.layers)
    size = max(header.size, layer * shape.layers)
    return Weights(header.path.name, size, layer, shape, _repacked(header.tensors))


def of_catalog(model: Model, quantization: str) -> Weights | None:
    """The weights of a published file, as far as the catalog knows it."""
    size = model.files[quantization].size if quantization in model.files else None
    if model.shape is None or size is None:
        return None
    shape = model.shape
    embeddings = shape.vocabulary * shape.width * (2 if model.parameters > 4 else 1)
    share = 1 - embeddings / (model.parameters * 1e9)
    layer = round(size * share / shape.layers)
    repacked = round(size * share) if quantization.startswith("Q4") else 0
    return Weights(f"{model.name}:{quantization}", size, layer, shape, repacked)


def shape_of(header: Header) -> Shape:
    """The model's shape; a file that does not tell it cannot be loaded."""
    heads = _number(header, "attention.head_count")
    width = _number(header, "embedding_length")
    return Shape(
        layers=_number(header, "block_count"),
        kv_heads=_number(header, "attention.head_count_kv", heads),
        head=_number(header, "attention.key_length", width // heads),
        heads=heads,
        width=width,
        feed=_number(header, "feed_forward_length", 4 * width),
        vocabulary=_vocabulary(header),
        context=_number(header, "context_length"),
        stretched=_stretched(header),
    )


def _stretched(header: Header) -> int:
    """How far Qwen2 models trained on 32,768 tokens reach with YaRN, as their cards say."""
    known = header.architecture == "qwen2" and header.number("context_length") == 32768
    return 131072 if known else 0


def _number(header: Header, key: str, default: int | None = None) -> int:
    value = header.number(key)
    if value is None:
        value = default
    name = f"field '{header.architecture}.{key}'"
    if value is None:
        raise IntegrityError(f"{header.path.name}: {name} is missing.")
    if not 0 < value <= LARGEST:
        raise IntegrityError(f"{header.path.name}: {name} is {value}.")
    return value


def _vocabulary(header: Header) -> int:
    if (size := header.number("vocab_size")) is not None and 0 < size <= LARGEST:
        return size
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    count = getattr(tokens, "count", None) or len(tokens or ())
    if not count:
        raise IntegrityError(f"{header.path.name}: field 'tokenizer.ggml.tokens' is missing.")
    return int(count)


def _repacked(tensors: Iterable[Tensor]) -> int:
    return sum(
        tensor.size
        for tensor in tensors
        if tensor.kind in REPACKED and len(tensor.shape) == 2 and LAYER.match(tensor.name)
    )
