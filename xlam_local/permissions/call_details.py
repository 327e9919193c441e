"""A tool call with everything that the conditions of a rule look at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any, Literal

from ..types import Tool, ToolCall
from .context import NO_PATH, PolicyContext, pattern_path, runs_code
from .executed_files import words
from .patterns import MAX_PATH_CHARACTERS
from .targets import (
    ArgumentKind,
    PathTarget,
    Targets,
    argument_kind,
    find_targets,
    path_target,
    strings_in,
    with_defaults,
)

Match = Literal["no", "maybe", "yes"]
"""Whether a call meets the conditions of a rule."""


@dataclass(frozen=True, slots=True)
class CallDetails:
    """A call with its tool, its targets and the context of the decision."""

    tool: Tool
    call: ToolCall
    context: PolicyContext
    arguments: Mapping[str, Any]
    """The arguments, with the schema's default for each one left out."""
    targets: Targets

    @classmethod
    def collect(cls, tool: Tool, call: ToolCall, context: PolicyContext) -> CallDetails:
        """Return the details of a call; the links of its paths are resolved now."""
        targets = find_targets(tool, call.arguments, context.cwd, context.resolve)
        return cls(tool, call, context, with_defaults(tool, call.arguments), targets)

    def kind(self, name: str) -> ArgumentKind:
        """Return whether an argument is a path, a URL or other text."""
        return argument_kind(name, self.tool)

    def path_target(self, text: str) -> PathTarget:
        """Return a path as the tool finds it."""
        return path_target(text, self.tool, self.context.cwd, self.context.resolve)

    def named_paths(self) -> Iterator[tuple[str, Path | None]]:
        """Yield every text in the arguments that could be a path, as patterns see the path.

        For a program these are all words of its arguments, options' values included; for another
        tool, its paths and each text of one line.
        """
        for target in self.targets.paths:
            yield target.text, self._relative(target.text)
        for text in strings_in(self.arguments):
            if runs_code(self.tool):
                yield from ((word, self._relative(word)) for word in words(text))
            if "\n" not in text and len(text) <= MAX_PATH_CHARACTERS:
                yield text, self._relative(text)

    def _relative(self, text: str) -> Path | None:
        """Return a path with its links resolved, relative to the working folder if below it."""
        resolved = self.path_target(text).resolved
        return None if resolved is None else Path(pattern_path(resolved, self.context))

    def comparable_texts(self, name: str) -> Iterator[tuple[ArgumentKind, str]]:
        """Yield the texts of an argument that patterns are compared with.

        Paths are resolved, a list of strings is joined to one command line, and every other value
        is written as JSON.
        """
        yield from self._texts(self.kind(name), self.arguments[name])

    def _texts(self, kind: ArgumentKind, value: Any) -> Iterator[tuple[ArgumentKind, str]]:
        match value:
            case str() if kind == "path":
                path = self.path_target(value)
                yield kind, pattern_path(path.resolved, self.context) if path.certain else NO_PATH
            case str():
                yield kind, value
            case [*items] if items and all(isinstance(item, str) for item in items):
                if kind == "text":
                    yield kind, join(items)
                else:
                    for item in items:
                        yield from self._texts(kind, item)
            case _:
                yield "text", json.dumps(value, ensure_ascii=False, sort_keys=True)
