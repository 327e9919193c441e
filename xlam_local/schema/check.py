"""Values checked against a schema, after they are there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..gbnf import TooLarge, matches
from ..types import Schema
from . import formats, strings
from .backtracking import searched, unreadable
from .document import read, standard
from .language import language
from .regex import PatternError
from .shapes import exactly, kind

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

LONG = 300
MOST_REFERENCES = 50_000
"""References followed for one value: thirty that each name the next twice would take days."""
PATTERN_SECONDS = 1.0
"""Time for all searches in one value of patterns that have to be searched step by step back."""


@dataclass(slots=True)
class Budget:
    """What is left of the work that may go into the check of one value."""

    references: int = MOST_REFERENCES
    seconds: float = PATTERN_SECONDS


_budget: ContextVar[Budget] = ContextVar("budget")


class TooMany(Exception):
    """A schema has more references to follow than that."""


def problems(value: Any, schema: Schema | bool) -> list[str]:
    """What is wrong with a value, each in one sentence after a JSON pointer."""
    before = _budget.set(Budget())
    try:
        errors = _validator(json.dumps(schema)).iter_errors(value)
        return [f"{_pointer(error.absolute_path)}: {_sentence(error)}." for error in errors]
    except RecursionError:
        return ["/: the value is nested too deeply to be checked."]
    except TooMany:
        return ["/: the schema refers to itself too often for the value to be checked."]
    except TimeoutError:
        return ["/: a pattern of the schema takes too long for the value to be checked."]
    finally:
        _budget.reset(before)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator:
    return validators()(standard(read(json.loads(schema))))


@lru_cache(maxsize=1)
def validators() -> type[Validator]:
    """Draft 2020-12, with patterns, formats and grids followed exactly as grammars follow them."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    extended: type[Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {
            "pattern": _pattern,
            "format": _format,
            "multipleOf": _multiple,
            "patternProperties": _named,
            **{
                name: _counted(Draft202012Validator.VALIDATORS[name])
                for name in ("$ref", "$dynamicRef")
            },
        },
    )
    return extended


def _counted(follow: Callable[..., Any]) -> Callable[..., Any]:
    """A keyword that follows a reference, as often as one value may take."""

    def counted(validator: Any, reference: Any, value: Any, schema: Any) -> Any:
        budget = _budget.get()
        budget.references -= 1
        if budget.references < 0:
            raise TooMany
        return follow(validator, reference, value, schema)

    return counted


def _error(message: str) -> Iterator[Exception]:
    from jsonschema import ValidationError

    yield ValidationError(message)


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Exception]:
    if isinstance(value, str) and not _found(pattern, value):
        yield from _error(f"{value!r} does not match {pattern!r}")


def _found(pattern: str, value: str) -> bool:
    """Whether a pattern is found in a string, within what time is left where it is searched."""
    try:
        return matches(language(pattern), value)
    except (PatternError, TooLarge):
        budget, began = _budget.get(), time.monotonic()
    try:
        return searched(pattern, value, budget.seconds)
    finally:
        budget.seconds -= time.monotonic() - began


def _format(validator: Any, name: Any, value: Any, schema: Any) -> Iterator[Exception]:
    shape = formats.shape(name)
    if not isinstance(value, str):
        return
    wrong = shape is not None and not strings.holds(shape, value)
    if wrong or (name == formats.REGEX and unreadable(value)):
        yield from _error(f"{value!r} is not a {name}")


def _multiple(validator: Any, step: float, value: Any, schema: Any) -> Iterator[Exception]:
    if kind(value) == "number" and exactly(value) % exactly(step):
        yield from _error(f"{value} is not a multiple of {step}")


def _named(validator: Any, patterns: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for pattern, inner in patterns.items():
            for name, each in value.items():
                if _found(pattern, name):
                    yield from validator.descend(each, inner, path=name, schema_path=pattern)


def _pointer(path: Any) -> str:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "".join(f"/{step}" for step in steps) or "/"


def _sentence(error: Any) -> str:
    """What is wrong; a schema that nothing fits stands where a name is not known."""
    if error.validator == "type" and not error.validator_value:
        return "there may be nothing of this name"
    return _short(error.message)


def _short(message: str) -> str:
    return message if len(message) <= LONG else message[:LONG] + "…"


def normal(schema: Any) -> Any:
    """The schema as draft 2020-12 has it."""
    return standard(read(schema))
