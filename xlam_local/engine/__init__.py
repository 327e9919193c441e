"""llama.cpp: load, constrain, decode, and keep what prompts have in common."""

from __future__ import annotations

from .settings import Executor, Settings

__all__ = ["Executor", "Settings"]
