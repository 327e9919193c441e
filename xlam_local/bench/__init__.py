"""Measure the speed of a model, on this machine next to other programs, or of a server."""

from __future__ import annotations

from .remote import run_remote
from .run import BenchCase, run

__all__ = ["BenchCase", "run", "run_remote"]
