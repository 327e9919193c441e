"""Measure the speed of a model on this machine, next to other programs in the same run."""

from __future__ import annotations

from .run import BenchCase, run

__all__ = ["BenchCase", "run"]
