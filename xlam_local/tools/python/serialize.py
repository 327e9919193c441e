"""Convert the return value of a tool to text, bytes or JSON."""

from __future__ import annotations

from pydantic_core import PydanticSerializationError, to_jsonable_python

from ...errors import ToolError

UNCHANGED_TYPES = (str, bytes, bytearray, int, float, bool, type(None))


def to_jsonable(value: object) -> object:
    """Return text, bytes, or a JSON value; dataclasses, Pydantic models, dates and sets too.

    Raises:
        ToolError: the value contains itself, or cannot be converted.
    """
    if isinstance(value, UNCHANGED_TYPES):
        return value
    try:
        jsonable: object = to_jsonable_python(
            value, fallback=str, bytes_mode="base64", inf_nan_mode="constants"
        )
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise ToolError(f"The tool's return value cannot be serialized: {error}.") from error
    return jsonable
