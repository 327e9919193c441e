"""Tools described in a JSON file, which the caller runs."""

from __future__ import annotations

import json
from pathlib import Path

from .. import wire
from ..errors import ToolFileError
from ..types import Tool


def load(path: Path) -> tuple[Tool, ...]:
    """The tools in the JSON file at `path`, in OpenAI's form or bare.

    Raises:
        ToolFileError: names the file, and the line or the tool at fault.
    """
    try:
        return wire.tools(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ToolFileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ToolFileError(f"{path} is not UTF-8 text: byte {error.start}.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ToolFileError(f"{path} is not JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise ToolFileError(f"{path} is nested too deeply.") from error
    except ToolFileError as error:
        raise ToolFileError(f"{path}: {error}") from error
