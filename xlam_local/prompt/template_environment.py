"""The Jinja environment of chat templates: what Transformers offers to them, in a sandbox.

https://huggingface.co/docs/transformers/chat_templating_writing lists what templates may use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import ext, nodes, parser, sandbox, utils

from .special_tokens import MARK

NOT_ASCII = re.compile(f"[^ -~{MARK}]")


def render(source: str, variables: Mapping[str, Any]) -> str:
    """Return what a template writes. A template is a program: it can raise any exception."""
    rendered: str = _compiled(source).render(variables)
    return rendered


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    """Compile a template in a sandbox that cannot modify or reach anything but its variables."""
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": strftime_now,
        "dict": TemplateDict(),
        "namespace": TemplateNamespace,
    }
    return environment.from_string(source)


class GenerationTag(ext.Extension):
    """The tag `{% generation %}`, which marks an assistant's text for training."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: parser.Parser) -> nodes.Node:
        """Return the content of the tag, in a scope of its own as in Transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("content"), [], [], body).set_lineno(line)

    def content(self, caller: Callable[[], str]) -> str:
        """Return the content."""
        return caller()


class TemplateDict:
    """The function `dict` without the attributes of the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Return a new dictionary."""
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        """Return a dictionary with the given keys."""
        return dict.fromkeys(*args)


class TemplateNamespace(utils.Namespace):
    """Jinja's `namespace`, without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # `self` can be a keyword
        self, *rest = args
        for name in dict(*rest, **kwargs):
            _check_name(name)
        utils.Namespace.__init__(self, *rest, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot have the attribute {name!r}")


def raise_exception(message: object) -> None:
    """End the template with an error."""
    raise jinja2.TemplateError(str(message))


def strftime_now(format: str) -> str:
    """Return the local time in a format."""
    return datetime.now().strftime(format)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON. Unlike in Jinja's own filter, HTML characters are not escaped."""
    text = json.dumps(
        value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys
    )
    if not ensure_ascii:
        return text
    # `json.dumps` would escape the marker of special tokens too, so that it stayed in the prompt.
    return NOT_ASCII.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\r\t" else json.dumps(found[0])[1:-1]
