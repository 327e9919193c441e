"""The Berkeley Function-Calling Leaderboard: its cases, and what identifies a run of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..models.ggml import FILE_TYPES
from ..models.gguf import GgufHeader
from .bfcl_checker import Checker
from .categories import MULTI_TURN, select
from .packages import BFCL, MPMATH, find
from .replies import EvalRequest
from .run import EvalCase, Judges, play_bfcl

Json = Mapping[str, Any]

TEMPERATURE = 0.001
"""The leaderboard's; it takes the most likely token in practice."""
MAX_TOKENS = 4096
"""The leaderboard's limit of a reply."""
PROMPTS = "original handlers', in ASCII"
"""How prompts of xLAM models are written."""
OTHER_PROMPTS = "xlam-local's for other models, tools in ASCII"
"""How prompts of other models are written."""
ENGINE_PACKAGES = ("llama-cpp-python", "llguidance")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What identifies a model in a table."""

    name: str
    sha256: str
    quantization: str
    adapters: str = ""
    """The names, scales and hashes of its adapters."""
    server: str = ""
    """What runs it, if it is a server."""
    is_xlam: bool = True
    """Whether its prompts are those of the leaderboard's handlers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Settings that change results; the model and the grammar are recorded beside them."""

    seed: int
    max_tokens: int = MAX_TOKENS
    context: int
    kv_cache_type: str


def checker_folders(categories: Sequence[str], cache: Path, given: Path | None) -> tuple[Path, ...]:
    """Return the folders with the original packages that the categories need; fetch missing ones.

    Raises:
        PackageMissing: a package cannot be fetched.
        IntegrityError: a package has other files than the pinned ones.
    """
    packages = [BFCL, *([MPMATH] if set(categories) & set(MULTI_TURN) else [])]
    return tuple(dict.fromkeys(find(package, cache, given) for package in packages))


def load_cases(
    folders: Sequence[Path], categories: Sequence[str], count: int | None
) -> list[EvalCase]:
    """Return `count` cases of each category, or all, in the order that all runs share."""
    found: list[EvalCase] = []
    with Checker(folders) as checker:
        for category in categories:
            cases = {case["id"]: case for case in checker.cases(category)}
            for case_id in select(list(cases), count):
                case = cases[case_id]
                messages = case["question"][0] if case["question"] else []
                request = EvalRequest(messages, case["function"], case["function"])
                found.append(EvalCase(case_id, category, request))
    return found


def judges(folders: Sequence[Path]) -> Judges:
    """Return what judges the leaderboard's cases."""
    return Judges(partial(Checker, folders), play_bfcl)


def quantization(header: GgufHeader) -> str:
    """Return the name of the quantization that a model's file says."""
    code = header.metadata.get("general.file_type")
    known = FILE_TYPES.get(code) if isinstance(code, int) else None
    return known or "unknown"


def fingerprint(
    model: ModelFile, settings: RunSettings, grammar: bool, program_version: str
) -> Json:
    """Return what changes replies, and what tables show of a run."""
    versions = [f"{name} {version(name)}" for name in ENGINE_PACKAGES]
    engine = [model.server] if model.server else versions
    return {
        "model": model.name,
        "sha256": model.sha256,
        "quantization": model.quantization,
        "adapters": model.adapters or "none",
        **asdict(settings),
        "grammar": "on" if grammar else "off",
        "temperature": TEMPERATURE,
        "engine": ", ".join([f"xlam-local {program_version}", *engine]),
        "prompts": PROMPTS if model.is_xlam else OTHER_PROMPTS,
    }


BFCL_CHECKER = f"{BFCL.name} {BFCL.version}"
