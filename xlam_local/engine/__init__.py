"""Run models with llama.cpp: load, constrain, decode, and cache prompts."""

from __future__ import annotations

from .load_options import AdapterOption, GrammarBackend, LoadOptions

__all__ = ["AdapterOption", "GrammarBackend", "LoadOptions"]
