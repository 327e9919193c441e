"""JSON Schema in one normal form; arguments checked against it."""

from __future__ import annotations

from .check import normal, problems
from .document import Document, read
from .solver import Solver

__all__ = ["Document", "Solver", "normal", "problems", "read"]
