"""Templates with placeholders such as `{city}`, which the arguments of a call fill."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import ToolFileError
from ..variables import expand_variables

# `{{` and `}}` are braces, and `${NAME}` is a variable.
PLACEHOLDER = re.compile(r"\{\{|\}\}|(?<!\$)\{(\w+)\}")
ESCAPED_BRACES = {"{{": "{", "}}": "}"}


def placeholder_names(template: str) -> Iterator[str]:
    """Yield the names of the placeholders in a template, in order."""
    return (match[1] for match in PLACEHOLDER.finditer(template) if match[1])


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace all placeholders in one pass: braces in a value are not a placeholder."""
    return PLACEHOLDER.sub(
        lambda match: values[match[1]] if match[1] else ESCAPED_BRACES[match[0]], template
    )


def fill_values(template: str, values: Mapping[str, Any]) -> str:
    """Replace all placeholders in one pass; within JSON in the template, values are JSON.

    In `{{"text": "{text}", "n": {n}}}` quotes in the value of `text` are escaped, and the value of
    `n` is written as JSON. In a JSON text within a string of another, both are escaped once more.
    """
    pieces = list(_pieces(template))
    # The text with 0 for each placeholder is JSON wherever the filled text has to be.
    sketch = "".join(SKETCHED if is_name else piece for piece, is_name in pieces)
    filled, position = [], 0
    for piece, is_name in pieces:
        filled.append(_written(values[piece], sketch, position) if is_name else piece)
        position += len(SKETCHED if is_name else piece)
    return "".join(filled)


def _written(value: Any, sketch: str, position: int, within: bool = False) -> str:
    """Return a value as it is written at a position; `within` is for a text within JSON."""
    spans = _json_spans(sketch, may_be_list=not within or '"' in sketch)
    start = next((first for first, after in spans if first <= position < after), None)
    if start is None:
        return to_text(value)
    quotes = [match.end() for match in QUOTE.finditer(sketch[start:position])]
    if len(quotes) % 2 == 0:
        return json.dumps(value, ensure_ascii=False)
    opened = start + quotes[-1]
    inner, _ = json.JSONDecoder().raw_decode(sketch, opened - 1)
    before = json.loads(f'"{sketch[opened:position]}"')
    written = _written(value, inner, len(before), within=True)
    return json.dumps(written, ensure_ascii=False)[1:-1]


SKETCHED = "0"
"""Stands for a value: it is valid JSON within a string and outside of it."""


def _pieces(template: str) -> Iterator[tuple[str, bool]]:
    """Yield the texts and the names of the placeholders of a template, in order."""
    end = 0
    for match in PLACEHOLDER.finditer(template):
        yield template[end : match.start()], False
        yield (match[1], True) if match[1] else (ESCAPED_BRACES[match[0]], False)
        end = match.end()
    yield template[end:], False


def _json_spans(text: str, may_be_list: bool) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each JSON object in a text, and of a list that is all of it."""
    decoder, start = json.JSONDecoder(), 0
    if may_be_list and text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            json.loads(text)
            yield 0, len(text)
            return
    while (start := text.find("{", start)) >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield start, end
        start = end


QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')


def fill_with_variables(template: str, values: Mapping[str, str]) -> str:
    """Replace placeholders and `${NAME}` in one pass: no value can contain either.

    Raises:
        ToolError: a variable is not set.
    """
    return expand_variables(template, expand_rest=partial(fill, values=values))


def check_placeholders(template: str, parameters: Collection[str], where: str) -> None:
    """Check that each placeholder of a template is a parameter of the tool.

    Raises:
        ToolFileError: one is not; the message begins with `where`.
    """
    for name in placeholder_names(template):
        if name not in parameters:
            raise ToolFileError(
                f"{where}: The placeholder {{{name}}} is not a parameter; the parameters are "
                f"{', '.join(parameters) or 'none'}. Write {{{{ and }}}} for literal braces."
            )


def to_text(value: Any) -> str:
    """Return a string as it is and any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def argument_values(
    arguments: Mapping[str, Any],
    properties: Mapping[str, Any],
    convert: Callable[[str, Any], Any] = lambda _name, value: value,
) -> dict[str, Any]:
    """Return the value of each parameter that has one: its argument or its schema's default.

    `convert` is called with the name and the value of each. Arguments that are null are left out.
    """
    defaults = {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, Mapping) and "default" in schema
    }
    values = {**defaults, **arguments}
    return {name: convert(name, value) for name, value in values.items() if value is not None}
