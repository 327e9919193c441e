"""Run a batch on a Ray cluster: python ray_batch.py IN OUT_FOLDER -m MODEL --actors 4.

IN is a JSONL file as for `xlam-local batch`, or Parquet with the columns id and prompt or messages.
Each file of OUT_FOLDER has lines as `xlam-local batch` writes them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ray.data
from pyarrow import csv, string
from ray.data.checkpoint import CheckpointConfig

from xlam_local import config
from xlam_local.batch.ray_actor import LINE_COLUMN, RESULT_COLUMN, RayBatch
from xlam_local.cli.toolbox_options import load_schemas

MAX_LINE_BYTES = 64 << 20


class JsonLines(ray.data.BlockBasedFileDatasink):
    """Writes the results of each block to a file."""

    def __init__(self, path: str) -> None:
        super().__init__(path, file_format="jsonl")

    def write_block_to_file(self, block: Any, file: Any) -> None:
        """Write one result per line."""
        for result in block.to_arrow()[RESULT_COLUMN].to_pylist():
            file.write(f"{result}\n".encode())


def read(path: str) -> tuple[ray.data.Dataset, str]:
    """Return the rows, and the column that tells one from another."""
    if path.endswith(".parquet"):
        rows = ray.data.read_parquet(path)
        return rows, "id" if "id" in (rows.columns() or ()) else "custom_id"
    # One column of whole lines. JSON has no raw control characters, so nothing is split.
    lines = ray.data.read_csv(
        path,
        file_extensions=None,
        read_options=csv.ReadOptions(column_names=[LINE_COLUMN], block_size=MAX_LINE_BYTES),
        parse_options=csv.ParseOptions(delimiter="\x01", quote_char=False),
        convert_options=csv.ConvertOptions(column_types={LINE_COLUMN: string()}),
    )
    return lines, LINE_COLUMN


def main() -> None:
    """Read the arguments, and run the batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("-m", "--model", action="append", help="a model or a URL; repeatable")
    parser.add_argument("--tools", action="append", default=[], help="for rows without tools")
    parser.add_argument("--actors", type=int, default=1, help="each loads the models")
    parser.add_argument("--cpus", type=float, default=1, help="cores that an actor reserves")
    parser.add_argument("--rows", type=int, default=64, help="rows that an actor takes at once")
    parser.add_argument("--checkpoint", help="a folder that all machines of the cluster share")
    options = parser.parse_args()
    rows, id_column = read(options.input)
    if options.checkpoint:
        rows.context.checkpoint_config = CheckpointConfig(id_column, options.checkpoint)
    results = rows.map_batches(
        RayBatch,
        fn_constructor_kwargs={
            "models": options.model or [None],
            "settings": config.load(config.folders().config / "config.toml"),
            "tools": load_schemas([Path(name) for name in options.tools], trust=False),
        },
        batch_format="pyarrow",
        batch_size=options.rows,
        concurrency=options.actors,
        num_cpus=options.cpus,
    )
    results.write_datasink(JsonLines(options.output))


if __name__ == "__main__":
    main()
