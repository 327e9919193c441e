"""Read the fields of a request: each is honored, known to be harmless, or refused by name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import conversation_format, gbnf, openai_format, tool_definition
from ..errors import GrammarError, SchemaError, UsageError
from ..grammar import compile_tools
from ..json_depth import MAX_JSON_DEPTH, exceeds_depth
from ..types import Message, Sampling, Tool
from .api_error import ApiError
from .replies import OutputFormat, json_output

Json = Any
MAX_TOOLS = 128
MAX_CHOICES = 8
MAX_STOP_STRINGS = 4
HARMLESS = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_retention", "cache_prompt", "id_slot"),
        *("reasoning_effort", "reasoning_format", "verbosity", "timings_per_token"),
        *("keep_alive", "client_metadata", "mcp_version"),
    }
)
"""Fields of any wire format that do not change what a local model answers."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a JSON object in a request; null means that a field is not given."""

    values: Mapping[str, Json]
    path: str = ""
    """The name of the object, as it stands in `param`; empty for the request itself."""

    def check_known(
        self,
        honored: Collection[str],
        neutral: Mapping[str, Sequence[Json]],
        harmless: Collection[str] = HARMLESS,
    ) -> None:
        """Refuse unknown fields, and those of `neutral` that have another value than given there.

        Raises:
            ApiError: a field would change the answer, but is not supported.
        """
        for name, value in self.values.items():
            if value is None or name in honored or name in harmless:
                continue
            if name not in neutral:
                raise self.error(name, "is not supported")
            if not any(value == other for other in neutral[name]):
                raise self.error(name, f"{_short(value)} is not supported")

    def error(self, name: str, problem: str) -> ApiError:
        """Return the error for a field; `problem` continues the sentence after its name."""
        param = self.param(name)
        return ApiError(f"{param}: {problem}.", param=param)

    def param(self, name: str) -> str:
        """Return the full name of a field."""
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a string."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"{_kind(value)} is not a string")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"{_kind(value)} is not a boolean")
        return value

    def integer(self, name: str, minimum: int, maximum: int) -> int | None:
        """Return an integer within limits."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"{_kind(value)} is not an integer")
        if not minimum <= value <= maximum:
            raise self.error(name, f"{value} is not between {minimum} and {maximum}")
        return value

    def number(self, name: str, minimum: float, maximum: float) -> float | None:
        """Return a number within limits."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.error(name, f"{_kind(value)} is not a number")
        if not minimum <= value <= maximum:
            raise self.error(name, f"{value} is not between {minimum:g} and {maximum:g}")
        return float(value)

    def object(self, name: str) -> Fields | None:
        """Return the fields of an object."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(name, f"{_kind(value)} is not an object")
        return Fields(value, self.param(name))

    def list(self, name: str) -> Sequence[Json] | None:
        """Return a list."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.error(name, f"{_kind(value)} is not a list")
        return value

    def stop_strings(self, name: str = "stop") -> tuple[str, ...]:
        """Return the stop strings: one, or a list of at most MAX_STOP_STRINGS."""
        value = self.values.get(name)
        found = [value] if isinstance(value, str) else self.list(name) or []
        if len(found) > MAX_STOP_STRINGS:
            raise self.error(name, f"more than {MAX_STOP_STRINGS} stop strings are not supported")
        for item in found:
            if not isinstance(item, str):
                raise self.error(name, f"{_kind(item)} is not a string")
            if not item:
                raise self.error(name, "a stop string is empty")
        return tuple(found)


MAX_SEED = 2**32 - 1
MAX_INTEGER = 2**31 - 1
MIN_TEMPERATURE = 1e-6
"""A lower temperature is 0: the most likely token is chosen, and dividing by it would overflow."""


def sampling(fields: Fields, max_tokens: Sequence[str], default: Sampling) -> Sampling:
    """Return the sampling of a request; `max_tokens` are the names of its token limit."""
    seed = fields.integer("seed", -(2**63), 2**63 - 1)
    top_k = fields.integer("top_k", -1, MAX_INTEGER)
    temperature = fields.number("temperature", 0, 2)
    if temperature is not None and temperature < MIN_TEMPERATURE:
        temperature = 0.0
    limits = [fields.integer(name, 1, MAX_INTEGER) for name in max_tokens]
    given: dict[str, Any] = {
        "temperature": temperature,
        "top_k": None if top_k is None else max(top_k, 0),
        "top_p": fields.number("top_p", 0, 1),
        "min_p": fields.number("min_p", 0, 1),
        "repeat_penalty": fields.number("repeat_penalty", 0.1, 10),
        "repeat_last_n": fields.integer("repeat_last_n", 0, MAX_INTEGER),
        "stop": fields.stop_strings() or None,
        "seed": secrets.randbelow(MAX_SEED) if seed is None else seed & MAX_SEED,
        "max_tokens": next((limit for limit in limits if limit is not None), None),
    }
    return replace(default, **{name: value for name, value in given.items() if value is not None})


def messages(items: Sequence[Json], param: str = "messages", **beside: Json) -> tuple[Message, ...]:
    """Return the messages of a conversation; `beside` are the fields beside them.

    Raises:
        ApiError: a message is invalid; the error has its JSON pointer.
    """
    if not items:
        raise ApiError(f"{param}: the list is empty.", param=param)
    try:
        return conversation_format.conversation({"messages": items, **beside})
    except UsageError as error:
        found = str(error).replace("/messages/", f"/{param}/")
        raise ApiError(found, param=param) from error


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """The tools of a request, and what was left out of them."""

    tools: tuple[Tool, ...] = ()
    ignored: tuple[str, ...] = ()
    """The types of tools that only other servers run."""


def offered_tools(
    items: Sequence[Json], param: str = "tools", kinds: Collection[str] = ("function",)
) -> OfferedTools:
    """Return the tools of the types `kinds`, or without a type; others are left out.

    Raises:
        ApiError: a tool is invalid, or its schema cannot be enforced.
    """
    if len(items) > MAX_TOOLS:
        raise ApiError(f"{param}: {len(items)} tools are more than {MAX_TOOLS}.", param=param)
    types = [item.get("type") if isinstance(item, Mapping) else None for item in items]
    ignored = tuple(str(kind) for kind in types if kind is not None and kind not in kinds)
    functions = [
        item for item, kind in zip(items, types, strict=True) if kind is None or kind in kinds
    ]
    if exceeds_depth(functions):
        raise ApiError(
            f"{param}: a tool is nested more than {MAX_JSON_DEPTH} levels deep.", param=param
        )
    try:
        tools = openai_format.tools(functions)
    except UsageError as error:
        raise ApiError(str(error), param=param) from error
    for entry in compile_tools(tools, "required").report:
        if entry.status == "refused":
            number = next(n for n, tool in enumerate(tools) if tool.name == entry.tool)
            where = f"{param}[{number}].parameters"
            keyword = f" ({entry.pointer})" if entry.pointer else ""
            raise ApiError(
                f"Tool {entry.tool!r} cannot be enforced: {entry.reason}{keyword}",
                param=where,
                code="invalid_schema",
            )
    return OfferedTools(tools, ignored)


def schema_output(fields: Fields, name: str) -> OutputFormat:
    """Return the output format for the JSON Schema in a field.

    Raises:
        ApiError: the schema cannot be enforced.
    """
    wanted = fields.values[name]
    if not isinstance(wanted, Mapping | bool):
        raise fields.error(name, f"{_kind(wanted)} is not a JSON Schema")
    if exceeds_depth(wanted):
        raise fields.error(name, f"the schema is nested more than {MAX_JSON_DEPTH} levels deep")
    try:
        return json_output(wanted)
    except SchemaError as error:
        param = fields.param(name)
        raise ApiError(f"{param}: {error}", param=param, code="invalid_schema") from error


def grammar_output(fields: Fields, name: str) -> OutputFormat:
    """Return the output format for the GBNF grammar in a field.

    Raises:
        ApiError: the grammar is invalid.
    """
    text = fields.text(name)
    assert text is not None
    try:
        return OutputFormat(gbnf.parse_gbnf(text))
    except GrammarError as error:
        param = fields.param(name)
        raise ApiError(f"{param}: {error}", param=param, code="invalid_grammar") from error


def choose(fields: Fields, offered: Sequence[Tool], name: str) -> str:
    """Return the name of a tool that a client chose.

    Raises:
        ApiError: no tool has this name.
    """
    if name not in {tool.name for tool in offered}:
        raise fields.error("tool_choice", f"there is no tool {name!r}")
    return name


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _kind(value: Json) -> str:
    return tool_definition.json_type(value)
