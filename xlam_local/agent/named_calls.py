"""Read calls in which a tool's name stands outside the JSON, as models other than xLAM write them.

    [get_weather(city="Rome")]
    <function=get_weather>{"city": "Rome"}</function>
    <function=get_weather><parameter=city>Rome</parameter></function>
    <invoke name="get_weather"><parameter name="city">Rome</parameter></invoke>
    <tool_call>get_weather<arg_key>city</arg_key><arg_value>Rome</arg_value></tool_call>
    [TOOL_CALLS]get_weather[ARGS]{"city": "Rome"}

The markup around calls is not read here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..json_depth import MAX_JSON_DEPTH, exceeds_depth
from ..types import Schema
from .json_values import INVALID, MAX_KEY_CHARS, Invalid, decode, decode_at, problem_at, problem_in

Json = Any
Call = tuple[str, Mapping[str, Json]]

_NAME = (
    r"(?:<function=(?P<function>[^<>\n]{1,100})>|<invoke name=\"(?P<invoke>[^\"<>]{1,100})\">"
    r"|(?:function<\uff5ctool\u2581sep\uff5c>)?(?:functions\.)?(?P<name>[\w./-]{1,100}?))"
)
_BETWEEN = (
    r"(?:\[CALL_ID\]\w{0,40}(?=\[ARGS\]))?(?:\[ARGS\]|<\uff5ctool\u2581sep\uff5c>"
    r"|:\d{1,9}\s*<\|tool_call_argument_begin\|>)?\s*(?:```\w*\s*(?=\{))?"
)
_OPENING = re.compile(
    rf"{_NAME}{_BETWEEN}(?=[({{]|<parameter[= ]|<arg_key>|</(?:tool_call|function|invoke)>)"
)
_PARAMETER = re.compile(
    r"\s*(?:<parameter=(?P<key>[^<>\n]{1,100})>|<parameter name=\"(?P<named>[^\"]{1,100})\"[^<>]*>)"
    r"(?P<value>.*?)</parameter>"
    r"|\s*<arg_key>(?P<arg>[^<>]{1,100})</arg_key>\s*<arg_value>(?P<arg_value>.*?)</arg_value>",
    re.DOTALL,
)
_END = re.compile(r"\s*(?=</(?:tool_call|function|invoke)>)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = "\\'\"abfnrtv01234567xNuU\n"
INFINITY = float("inf")
_CONSTANTS = {"true": True, "false": False, "null": None}


def read_named_call(
    text: str, position: int, tools: Collection[str], schemas: Mapping[str, Schema]
) -> tuple[Call | Invalid, int] | None:
    """Return the call to one of the `tools` at a position, and its end; None if there is none.

    Values without a type in the text are read by the tool's schema: what may be a string stays one.
    """
    opening = _OPENING.match(text, position)
    name = next((name for name in opening.groups() if name), "") if opening else ""
    if opening is None or name not in tools:
        return None
    arguments, end = _arguments(text, opening.end(), schemas.get(name, {}))
    if isinstance(arguments, Invalid):
        return arguments, end
    if exceeds_depth(arguments):
        return Invalid(f"it is nested more than {MAX_JSON_DEPTH} levels deep"), end
    return (name, arguments), end


def _arguments(text: str, start: int, schema: Schema) -> tuple[Mapping[str, Json] | Invalid, int]:
    if text[start] == "{":
        value, end = decode_at(text, start)
        return (Invalid(problem_at(text, start)) if value is INVALID else value), end
    if text[start] == "(":
        end = _closing_parenthesis(text, start)
        return _python_arguments(text[start:end]), end
    found: dict[str, Json] = {}
    while parameter := _PARAMETER.match(text, start):
        key = (parameter["key"] or parameter["named"] or parameter["arg"]).strip()
        value = parameter["arg_value"] if parameter["arg"] else parameter["value"]
        if key in found:
            return Invalid(f"/{key} is written twice"), len(text)
        found[key] = _typed(value, schema, key)
        start = parameter.end()
    closed = _END.match(text, start)
    return (found, closed.end()) if closed else (Invalid("its end is missing"), len(text))


def _typed(text: str, schema: Schema, key: str) -> Json:
    """Return a value: JSON, unless it is not, or the schema allows a string."""
    text = text.removeprefix("\n").removesuffix("\n")
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and _allows_string(properties.get(key)):
        return text
    value = decode(text)
    return text if value is INVALID else value


def _allows_string(schema: Json) -> bool:
    if not isinstance(schema, Mapping):
        return False
    kinds = schema.get("type")
    either = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ())]
    return "string" in (kinds if isinstance(kinds, list) else [kinds]) or any(
        map(_allows_string, either)
    )


def _closing_parenthesis(text: str, start: int) -> int:
    """Return the position after the parenthesis that closes the one at `start`."""
    depth, quote, position = 0, "", start
    while position < len(text):
        char = text[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        else:
            depth += (char in "([{") - (char in ")]}")
        position += 1
        if not depth:
            return position
    return len(text)


def _python_arguments(text: str) -> Mapping[str, Json] | Invalid:
    """Return the keyword arguments of a Python call, of which `text` is the part in parentheses."""
    try:
        call = ast.parse(f"f{_ESCAPE.sub(_valid_escape, text)}", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or not all(one.arg for one in call.keywords):
            return Invalid("an argument has no name")
        found = _without_repetition((str(one.arg), one.value) for one in call.keywords)
    except _RepeatedKey as error:
        return Invalid(str(error))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return Invalid("its arguments are not JSON values")
    if not exceeds_depth(found) and (problem := problem_in(found)):
        return Invalid(problem)
    return found


class _RepeatedKey(ValueError):
    """A key is written twice."""


def _without_repetition(pairs: Iterable[tuple[str, ast.expr]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, node in pairs:
        if key in found:
            raise _RepeatedKey(f"{key[:MAX_KEY_CHARS]!r} is written twice")
        found[key] = _python_value(node)
    return found


def _valid_escape(escape: re.Match[str]) -> str:
    """Return an escape of a string, or a backslash and the character: others cause a warning."""
    return escape[0] if escape[1] in _ESCAPED else f"\\{escape[0]}"


def _python_value(node: ast.expr) -> Json:
    """Return a value as Python or JSON write it.

    Raises:
        ValueError: JSON has no such value.
    """
    match node:
        case ast.Name(id) if id in _CONSTANTS:
            return _CONSTANTS[id]
        case ast.List(items) | ast.Tuple(items):
            return [_python_value(item) for item in items]
        case ast.Dict(keys, values):
            pairs = zip(keys, values, strict=True)
            return _without_repetition((_key(key), value) for key, value in pairs)
        case _:
            value = ast.literal_eval(node)
            if not isinstance(value, str | int | float | None) or value in (INFINITY, -INFINITY):
                raise ValueError("not JSON")
            return value


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError("not JSON")
