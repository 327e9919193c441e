"""Read the results of evaluations from their folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import user_file
from ..errors import IntegrityError, UsageError

Row = Mapping[str, Any]
SUFFIX = ".jsonl"
FINGERPRINT_SUFFIX = ".jsonl.run"
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class EvalRun:
    """The results of one model with one setting."""

    path: Path
    fingerprint: Row
    rows: Sequence[Row]

    @property
    def name(self) -> str:
        """The name of the run, as commands take and show it."""
        return self.path.name.removesuffix(SUFFIX)

    def by_id(self) -> dict[str, Row]:
        """Return the rows by id."""
        return {row["id"]: row for row in self.rows}


def run_path(folder: Path, benchmark: str, model: str, variant: str) -> Path:
    """Return the file of a run."""
    name = NOT_IN_NAMES.sub("-", model.removesuffix(".gguf")).strip("-.")
    return folder / f"{benchmark}-{name or 'model'}-{variant}{SUFFIX}"


def read_runs(paths: Sequence[Path]) -> list[EvalRun]:
    """Return the runs in folders and files, in the order of their names.

    Raises:
        UsageError: there are no results.
        IntegrityError: a file is damaged.
    """
    runs: list[EvalRun] = []
    for path in paths:
        files = sorted(path.glob(f"*{FINGERPRINT_SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise UsageError(f"{path} has no results of an evaluation.")
        runs += [_read_run(Path(str(file).removesuffix(".run"))) for file in files]
    return runs


def read_run(path: Path) -> EvalRun:
    """Return the only run in a file or folder.

    Raises:
        UsageError: there is none, or there are several.
    """
    runs = read_runs([path])
    if len(runs) > 1:
        names = ", ".join(run.path.name for run in runs)
        raise UsageError(f"{path} has several runs; name one of these files in it: {names}.")
    return runs[0]


def _read_run(path: Path) -> EvalRun:
    fingerprint = user_file.read_json(path.with_name(f"{path.name}.run"))
    if not isinstance(fingerprint, dict) or "benchmark" not in fingerprint:
        raise UsageError(f"{path} is not the result of an evaluation.")
    rows: list[Row] = []
    with user_file.open_file(path) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # a running or a killed program has not written its end
            try:
                row = json.loads(line)
                row["id"], row["category"], row["valid"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise IntegrityError(f"{path}, line {number}, is damaged.") from error
            rows.append(row)
    return EvalRun(path, fingerprint, rows)
