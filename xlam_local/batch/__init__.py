"""Run many requests on one or several engines, with results that can be resumed."""

from .batch_file import read_rows
from .batch_run import Batch, BatchStopped
from .rows import BatchResult, BatchRow, read_row

__all__ = ["Batch", "BatchResult", "BatchRow", "BatchStopped", "read_row", "read_rows"]
