"""Validate values against a schema, after decoding."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..types import Schema
from . import validation_keywords
from .document import read_schema, to_draft_2020_12
from .validation_keywords import Budget, TooMuchWork, budget
from .validation_messages import pointer, sentence

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_ERRORS = 20
"""The most errors that are reported for one value."""
MAX_REFERENCES = 50_000
"""References followed for one value."""
TIMEOUT_S = 5.0
"""Time for the validation of one value."""
PATTERN_TIMEOUT_S = 1.0
"""Time for all searches of backtracking patterns in one value."""


def validate(
    value: Any, schema: Schema | bool, pattern_timeout_s: float = PATTERN_TIMEOUT_S
) -> list[str]:
    """Return what is wrong with a value, each as a JSON pointer and a sentence; [] if valid."""
    validator, definitions = _validator(json.dumps(schema))
    return _errors(validator, definitions, value, pattern_timeout_s)


def invalid_defaults(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the JSON pointer of each default that is not valid, and what is wrong with it.

    Null stands for no default.
    """
    document = read_schema(schema, assert_formats=True)
    whole = to_draft_2020_12(document)
    validator, definitions = validators()(whole), validation_keywords.definitions(whole)
    for place, value, number in document.defaults:
        inner = validator.evolve(schema=definitions[f"#/$defs/{number}"])
        for wrong in _errors(inner, definitions, value, PATTERN_TIMEOUT_S)[:1]:
            yield f"{place}/default", wrong


def _errors(
    validator: Validator, definitions: Mapping[str, Any], value: Any, pattern_timeout_s: float
) -> list[str]:
    """Return what is wrong with a value, with limited work."""
    deadline = time.monotonic() + TIMEOUT_S
    before = budget.set(Budget(MAX_REFERENCES, deadline, pattern_timeout_s, definitions))
    try:
        errors = islice(validator.iter_errors(value), MAX_ERRORS)
        return [f"{pointer(error.absolute_path)}: {sentence(error)}." for error in errors]
    except RecursionError:
        return ["/: the value is nested too deeply to be validated."]
    except TooMuchWork as error:
        return [f"/: the value cannot be validated: {error}."]
    finally:
        budget.reset(before)


@lru_cache(maxsize=256)
def _validator(schema: str) -> tuple[Validator, Mapping[str, Any]]:
    document = to_draft_2020_12(read_schema(json.loads(schema)))
    return validators()(document), validation_keywords.definitions(document)


@lru_cache(maxsize=1)
def validators() -> type[Validator]:
    """Return a draft 2020-12 validator that treats patterns and formats as the grammar does."""
    import jsonschema.validators as jsonschema

    library = jsonschema.Draft202012Validator
    extended: type[Validator] = jsonschema.extend(  # type: ignore[no-untyped-call]
        library, validation_keywords.keywords(library.VALIDATORS)
    )
    return extended


def normalize(schema: Any) -> Any:
    """Return the schema in draft 2020-12."""
    return to_draft_2020_12(read_schema(schema))
