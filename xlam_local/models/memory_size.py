"""Derive the sizes that a memory plan needs, from a GGUF header or from the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import IntegrityError
from ..memory_plan import Weights
from ..model_shape import ModelShape
from .catalog import CatalogModel
from .gguf import ArraySummary, GgufHeader, TensorInfo

REPACKED_TYPES = ("Q4_0", "Q4_K", "IQ4_NL")
"""Tensor types that llama.cpp's CPU backend copies into an order of eight interleaved rows."""
LAYER_TENSOR = re.compile(r"blk\.\d+\.")
MAX_DIMENSION = 1 << 24
"""A larger number in a model's shape is an error."""
TIED_EMBEDDINGS_BELOW_BILLIONS = 4
"""Smaller models use one matrix both for the input embeddings and for the output."""
QWEN2_TRAINED_CONTEXT, QWEN2_YARN_CONTEXT = 32768, 131072


def file_weights(header: GgufHeader) -> Weights:
    """Return the sizes of the weights in a GGUF file.

    Raises:
        IntegrityError: the header lacks a dimension, or has an impossible one.
    """
    shape = model_shape(header)
    in_layers = sum(tensor.size for tensor in header.tensors if LAYER_TENSOR.match(tensor.name))
    layer_size = -(-in_layers // shape.layers)
    size = max(header.file_size, layer_size * shape.layers)
    return Weights(header.path.name, size, layer_size, shape, _repacked_size(header.tensors))


def catalog_weights(model: CatalogModel, quantization: str) -> Weights | None:
    """Estimate the sizes of a published file; None if the catalog does not know its size."""
    published = model.files.get(quantization)
    if model.shape is None or published is None or published.size is None:
        return None
    size, shape = published.size, model.shape
    matrices = 1 if model.billion_parameters < TIED_EMBEDDINGS_BELOW_BILLIONS else 2
    embeddings = matrices * shape.vocabulary_size * shape.embedding_size
    share_of_layers = 1 - embeddings / (model.billion_parameters * 1e9)
    layer_size = round(size * share_of_layers / shape.layers)
    repacked_size = round(size * share_of_layers) if quantization.startswith("Q4") else 0
    return Weights(f"{model.name}:{quantization}", size, layer_size, shape, repacked_size)


def model_shape(header: GgufHeader) -> ModelShape:
    """Return the dimensions of a model.

    Raises:
        IntegrityError: the header lacks one, or has an impossible one.
    """
    heads = _number(header, "attention.head_count")
    embedding_size = _number(header, "embedding_length")
    return ModelShape(
        layers=_number(header, "block_count"),
        kv_heads=_number(header, "attention.head_count_kv", heads),
        head_size=_number(header, "attention.key_length", embedding_size // heads),
        heads=heads,
        embedding_size=embedding_size,
        feed_forward_size=_number(header, "feed_forward_length", 4 * embedding_size),
        vocabulary_size=_vocabulary_size(header),
        trained_context=_number(header, "context_length"),
        yarn_context=_yarn_context(header),
    )


def _yarn_context(header: GgufHeader) -> int:
    """Return the context that a Qwen2 model reaches with YaRN, according to its model card."""
    trained = header.number("context_length")
    is_qwen2 = header.architecture == "qwen2" and trained == QWEN2_TRAINED_CONTEXT
    return QWEN2_YARN_CONTEXT if is_qwen2 else 0


def _number(header: GgufHeader, key: str, default: int | None = None) -> int:
    name = f"{header.architecture}.{key}"
    found = header.metadata.get(name)
    if isinstance(found, tuple) and found and all(type(one) is int for one in found):
        found = max(found)  # Some models have another number for each layer.
    value = found if type(found) is int else default
    name = f"field {name!r}"
    if value is None:
        problem = "is missing" if found is None else "is not one integer for all layers"
        raise IntegrityError(f"{header.path.name}: {name} {problem}.")
    if not 0 < value <= MAX_DIMENSION:
        raise IntegrityError(f"{header.path.name}: {name} is {value}.")
    return value


def _vocabulary_size(header: GgufHeader) -> int:
    if (size := header.number("vocab_size")) is not None and 0 < size <= MAX_DIMENSION:
        return size
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    count = tokens.count if isinstance(tokens, ArraySummary) else len(tokens or ())
    if not count:
        raise IntegrityError(f"{header.path.name}: field 'tokenizer.ggml.tokens' is missing.")
    return count


def _repacked_size(tensors: Iterable[TensorInfo]) -> int:
    return sum(
        tensor.size
        for tensor in tensors
        if tensor.type in REPACKED_TYPES
        and len(tensor.shape) == 2
        and LAYER_TENSOR.match(tensor.name)
    )
