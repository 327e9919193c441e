"""Models of random weights with a real vocabulary: the harshest judges of a grammar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

from .resources import KEPT, get

WIDTH, HEADS, LAYERS, INNER = 32, 2, 2, 64
CONTEXT = 4096
VOCABULARIES = {"qwen2": "vocab-qwen2", "llama": "vocab-llama3"}


def tiny(architecture: str, name: str = "xLAM-2-tiny") -> Path:
    """A GGUF file of a few MB that calls itself `name`, made once and kept."""
    path = KEPT / f"{name}-{architecture}-1.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        write(part, architecture, name)
        part.rename(path)
    return path


def write(
    path: Path, architecture: str, name: str, written_as: str = "", context: int = CONTEXT
) -> None:
    """Write the model to `path`; `written_as` is what its header says it is."""
    writer = GGUFWriter(path, written_as or architecture)
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    size = _copy_vocabulary(get(VOCABULARIES[architecture]), writer)
    for tensor, shape in _shapes(architecture, size).items():
        writer.add_tensor(tensor, _weights(tensor, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_vocabulary(source: Path, writer: GGUFWriter) -> int:
    fields = GGUFReader(source).fields
    words = fields["tokenizer.ggml.tokens"].contents()
    writer.add_tokenizer_model(fields["tokenizer.ggml.model"].contents())
    writer.add_tokenizer_pre(fields["tokenizer.ggml.pre"].contents())
    writer.add_token_list(words)
    writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_bos_token_id(fields["tokenizer.ggml.bos_token_id"].contents())
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"].contents())
    writer.add_vocab_size(len(words))
    return len(words)


def _shapes(architecture: str, vocabulary: int) -> dict[str, tuple[int, ...]]:
    layer = {
        "attn_norm.weight": (WIDTH,),
        "attn_q.weight": (WIDTH, WIDTH),
        "attn_k.weight": (WIDTH, WIDTH),
        "attn_v.weight": (WIDTH, WIDTH),
        "attn_output.weight": (WIDTH, WIDTH),
        "ffn_norm.weight": (WIDTH,),
        "ffn_gate.weight": (INNER, WIDTH),
        "ffn_up.weight": (INNER, WIDTH),
        "ffn_down.weight": (WIDTH, INNER),
    }
    if architecture == "qwen2":
        layer |= {f"attn_{part}.bias": (WIDTH,) for part in "qkv"}
    return {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),
        **{f"blk.{n}.{part}": shape for n in range(LAYERS) for part, shape in layer.items()},
    }


def _weights(tensor: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(sum(tensor.encode()))
    values = random.standard_normal(shape, dtype=np.float32)
    return values if len(shape) == 1 else (0.5 * values).astype(np.float16)
