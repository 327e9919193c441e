"""Quantize a GGUF file again, to measure what a smaller quantization costs.

usage: python -m tests.scripts.quantize MODEL.gguf NEW.gguf Q3_K_M

Weights that are already quantized lose a little more than those of the original would.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import llama_cpp

PREFIX = "LLAMA_FTYPE_MOSTLY_"


def quantize(model: Path, new: Path, quantization: str) -> None:
    """Write a model with another quantization, as llama.cpp names it.

    Raises:
        ValueError: llama.cpp has no such quantization, or cannot quantize the file.
    """
    ftype = getattr(llama_cpp, PREFIX + quantization, None)
    if ftype is None:
        known = [name.removeprefix(PREFIX) for name in dir(llama_cpp) if name.startswith(PREFIX)]
        raise ValueError(f"llama.cpp has no quantization {quantization}, only {', '.join(known)}.")
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.allow_requantize = ftype, True
    if llama_cpp.llama_model_quantize(bytes(model), bytes(new), ctypes.byref(options)):
        raise ValueError(f"llama.cpp cannot quantize {model}.")


if __name__ == "__main__":
    quantize(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
