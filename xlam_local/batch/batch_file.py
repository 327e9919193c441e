"""Read the input of a batch, and compare it with the results that a file already has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import user_file
from ..checkpoint import Checkpoint
from ..errors import UsageError
from ..types import Tool
from .rows import BatchRow, read_row

ID_KEY = "custom_id"
"""The field of a result with the id of its row."""


def read_rows(path: Path, tools: Sequence[Tool] = ()) -> list[BatchRow]:
    """Return the rows of a JSONL file, in its order.

    Raises:
        UsageError: a line is invalid, or two rows have the same id; the message names the line.
    """
    rows: dict[str, BatchRow] = {}
    with user_file.open_file(path) as file:
        for where, text in user_file.read_lines(file, str(path)):
            row = read_row(user_file.parse_json(text, where), where.rstrip(","), tools)
            if row.id in rows:
                raise UsageError(f"{where} repeats the id {row.id!r}; each row needs its own.")
            rows[row.id] = row
    if not rows:
        raise UsageError(f"{path} has no rows.")
    return list(rows.values())


def remaining_rows(rows: Sequence[BatchRow], checkpoint: Checkpoint) -> list[BatchRow]:
    """Return the rows without a result; rows with the same tools follow each other.

    Raises:
        UsageError: a row has changed since it ran, or the file has results of other rows.
    """
    by_id = {row.id: row for row in rows}
    for result in checkpoint.rows():
        row = by_id.get(str(result[ID_KEY]))
        if row is None:
            raise UsageError(
                f"{checkpoint.path} has a result of {result[ID_KEY]!r}, which is not a row of the "
                "input. Use another file."
            )
        if row.request_id != result.get("id"):
            raise UsageError(
                f"The row {row.id!r} has changed since {checkpoint.path} was written. Use another "
                "file, or remove its line there."
            )
    left = [row for row in rows if row.id not in checkpoint.done]
    first_places: dict[str, int] = {}
    for place, row in enumerate(rows):
        first_places.setdefault(row.tools_key, place)
    return sorted(left, key=lambda row: first_places[row.tools_key])


def failed(result: Mapping[str, Any]) -> bool:
    """Return whether a result is an error."""
    return result.get("error") is not None
