"""Tools from Python functions and files, and the built-in ones."""

from __future__ import annotations

from .builtin import builtin
from .files import load
from .functions import tool

__all__ = ["builtin", "load", "tool"]
