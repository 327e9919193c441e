"""Run the rows of a batch in the actors of Ray Data, each with models of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from .. import user_file
from ..checkpoint import to_line
from ..config import Config
from ..errors import UsageError
from ..model_loading import load_model
from ..session_setup import turn_options
from ..types import Tool
from .batch_run import Batch
from .rows import BatchRow, read_row

Json = Any
LINE_COLUMN = "line"
"""The column with a whole line of a batch file; without it, the columns are a row's keys."""
RESULT_COLUMN = "result"
JSON_COLUMNS = frozenset({"tools", "body"})
"""Columns that hold JSON as text: Arrow would add null fields to the objects of a schema."""


class Table(Protocol):
    """What is used of a `pyarrow.Table`."""

    def to_pylist(self) -> list[dict[str, Json]]:
        """Return the rows."""

    def append_column(self, name: str, values: Sequence[Sequence[str]]) -> Self:
        """Return a table with one more column."""


class RayBatch:
    """The class for `Dataset.map_batches` with `batch_format="pyarrow"`: it adds the results.

    Each actor loads the models on the machine where it runs, or connects to the servers.
    """

    def __init__(
        self,
        models: Sequence[str | None],
        settings: Config,
        tools: Sequence[Tool] = (),
        sequences: int | None = 1,
    ) -> None:
        """Load models; None is the default one. `tools` are for rows that have none.

        `sequences` is how many rows a local model runs at once; None takes as many as pay.

        Raises:
            XlamError: a model cannot be loaded.
        """
        engines = [load_model(name, settings, sequences=sequences) for name in models]
        self._batch = Batch(engines, turn_options(settings).sampling)
        self._tools = tools

    def __call__(self, table: Table) -> Table:
        """Return a table with the column `result`: lines of OpenAI's batch output.

        Raises:
            UsageError: a row is invalid, or two rows have the same id.
            BatchStopped: no model works.
        """
        rows = [self._row(columns) for columns in table.to_pylist()]
        results = {}
        for result in self._batch.run(sorted(rows, key=lambda row: row.tools_key)):
            results[result.id] = to_line(result.to_json()).decode().rstrip("\n")
        if len(results) < len(rows):
            raise UsageError("Two rows have the same id; each row needs its own.")
        return table.append_column(RESULT_COLUMN, [[results[row.id] for row in rows]])

    def _row(self, columns: Mapping[str, Json]) -> BatchRow:
        line, where = columns.get(LINE_COLUMN), "A row"
        if line is not None:
            return read_row(user_file.parse_json(line, where), where, self._tools)
        filled = {name: value for name, value in columns.items() if value is not None}
        where = f"The row {filled.get('id', filled.get('custom_id'))!r}"
        for name in JSON_COLUMNS & filled.keys():
            if not isinstance(filled[name], str):
                raise UsageError(f"{where}: the column {name!r} must hold JSON as text.")
            filled[name] = user_file.parse_json(filled[name], f"{where}, {name}")
        return read_row(filled, where, self._tools)
