"""Save a model of random weights in Hugging Face's form; runs in an environment with transformers.

usage: python hf_model.py VOCABULARY FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from transformers import AddedToken, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

WIDTH, HEADS, LAYERS, CONTEXT = 64, 2, 2, 4096
"""vLLM's attention on CPUs needs heads of 32 numbers or more."""


def main() -> None:
    """Save the model and its tokenizer."""
    vocabulary = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder = Path(sys.argv[2])
    torch.manual_seed(1)
    tokens = vocabulary["tokens"]
    config = Qwen2Config(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=vocabulary["eos"],
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    _tokenizer(vocabulary).save_pretrained(folder)


def _tokenizer(vocabulary: dict[str, list[str]]) -> Qwen2Tokenizer:
    ids = {token: number for number, token in enumerate(vocabulary["tokens"])}
    control = set(vocabulary["control"])
    merges = [tuple(merge.split(" ")) for merge in vocabulary["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for token, number in ids.items() if token not in control},
        merges=merges,
    )
    tokenizer.add_tokens(
        [AddedToken(token, special=True) for token in sorted(control, key=ids.__getitem__)]
    )
    found = {token: tokenizer.convert_tokens_to_ids(token) for token in control}
    assert found == {token: ids[token] for token in control}, found
    return tokenizer


if __name__ == "__main__":
    main()
