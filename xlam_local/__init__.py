"""Function-calling models on your own machine, with calls that are always valid."""

from __future__ import annotations
