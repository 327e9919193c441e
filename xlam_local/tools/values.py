"""What a tool returns, as text or as what JSON can carry."""

from __future__ import annotations

from ..errors import ToolError

PLAIN = (str, bytes, bytearray, int, float, bool, type(None))


def plain(value: object) -> object:
    """The value as text, bytes, or what JSON can carry: dataclasses, models, dates and sets too.

    Raises:
        ToolError: it holds itself, or can be told in no other way.
    """
    if isinstance(value, PLAIN):
        return value
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        told: object = to_jsonable_python(
            value, fallback=str, bytes_mode="base64", inf_nan_mode="constants"
        )
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise ToolError(f"What it returned cannot be told: {error}.") from error
    return told
