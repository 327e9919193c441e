"""JSON Schema: dialects, references, value sets, and validation."""

from __future__ import annotations

from .document import Document, read_schema
from .keywords import KEYWORDS
from .solver import Solver
from .validate import invalid_defaults, normalize, validate

__all__ = [
    "Document",
    "Solver",
    "invalid_defaults",
    "normalize",
    "read_schema",
    "solver_for",
    "validate",
]


def solver_for(document: Document) -> Solver:
    """Return a solver that knows every keyword of draft 2020-12."""
    return Solver(document, KEYWORDS)
