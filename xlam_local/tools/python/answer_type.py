"""Python types of answers: Pydantic models, dataclasses, typed dictionaries, lists of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from ...errors import InvalidReply, UsageError
from ...types import Schema

T = TypeVar("T")


class AnswerType(Generic[T]):
    """A Python type with its JSON Schema.

    Raises:
        UsageError: the type has no JSON Schema.
    """

    def __init__(self, kind: type[T]) -> None:
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(kind)
            self.schema: Schema = _closed(self._adapter.json_schema())
        except (PydanticUserError, PydanticInvalidForJsonSchema) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise UsageError(f"The type {kind!r} has no JSON Schema: {reason}.") from error

    def parse(self, text: str) -> T:
        """Return the object that an answer describes.

        Raises:
            InvalidReply: the answer is not valid for the type.
        """
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            problems = (f"{'/'.join(map(str, e['loc']))}: {e['msg']}." for e in error.errors())
            raise InvalidReply(f"The answer is invalid: {' '.join(problems)}") from error


def _closed(schema: Any) -> Any:
    """Return a schema whose objects have no other properties than those of the type."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if closed.get("type") == "object" and isinstance(closed.get("properties"), Mapping):
        closed.setdefault("additionalProperties", False)
    return closed
