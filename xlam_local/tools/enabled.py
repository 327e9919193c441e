"""Which tools and sources are enabled, and under which names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import user_file
from ..errors import ToolFileError, UsageError
from ..permissions.targets import BUILT_IN
from ..types import Tool
from . import file_formats
from .sources import Source


@dataclass(slots=True)
class EnabledTools:
    """The user's choices, stored in a file, and the defaults."""

    path: Path
    disabled_by_default: Collection[str]
    overrides: dict[str, bool] = field(default_factory=dict)
    """The user's choices by the name of the tool or source."""

    @classmethod
    def load(cls, path: Path, disabled_by_default: Collection[str]) -> EnabledTools:
        """Load the user's choices.

        Raises:
            ToolFileError: the file cannot be read or is invalid.
        """
        return cls(path, disabled_by_default, _read(path))

    def is_enabled(self, name: str) -> bool:
        """Return whether a tool or source is enabled."""
        return self.overrides.get(name, name not in self.disabled_by_default)

    def set(self, name: str, enabled: bool) -> None:
        """Enable or disable a tool or source, and save the choice."""
        if self.is_enabled(name) == enabled:
            return
        with file_formats.exclusive(self.path) as replace:
            self.overrides = {**_read(self.path), name: enabled}
            replace(json.dumps(self.overrides, indent=1))


def _read(path: Path) -> dict[str, bool]:
    """Return the choices in a file; none if there is no file."""
    try:
        overrides = user_file.read_json(path)
    except user_file.FileMissing:
        return {}
    except UsageError as error:
        raise ToolFileError(str(error)) from error
    is_object = isinstance(overrides, Mapping)
    if not is_object or not all(isinstance(enabled, bool) for enabled in overrides.values()):
        raise ToolFileError(f"{path} must be a JSON object of names, each true or false.")
    return dict(overrides)


def enabled_tools(
    sources: Sequence[Source], named_files: frozenset[str], enabled: EnabledTools
) -> Iterator[Tool]:
    """Yield the enabled tools of sources that are ready, each with a unique name.

    A tool of a file that the user named replaces a built-in tool of the same name. Other tools
    whose names clash get the name of their source as a prefix.
    """
    ready = _ready_tools(sources, enabled)
    for _, tool, name in _with_names(ready, named_files):
        yield tool if name == tool.name else replace(tool, name=name, original_name=tool.name)


def name_clashes(
    sources: Sequence[Source], named_files: frozenset[str], enabled: EnabledTools
) -> Iterator[str]:
    """Yield a sentence for each tool that is replaced, or offered under another name."""
    ready = _ready_tools(sources, enabled)
    replacing = _names_of(ready, named_files)
    for source, tool in ready:
        if source.name == BUILT_IN and tool.name in replacing:
            other = replacing[tool.name]
            yield f"The built-in tool {tool.name!r} is replaced by that of {other.name}."
    for source, tool, name in _with_names(ready, named_files):
        if name != tool.name:
            yield (
                f"The tool {tool.name!r} of {source.name} is offered as {name!r}, because another "
                "tool has this name."
            )


def _ready_tools(sources: Sequence[Source], enabled: EnabledTools) -> Sequence[tuple[Source, Tool]]:
    return [
        (source, tool)
        for source in sources
        if source.state == "ready"
        for tool in source.tools
        if enabled.is_enabled(tool.name)
    ]


def _names_of(
    ready: Sequence[tuple[Source, Tool]], named_files: frozenset[str]
) -> Mapping[str, Source]:
    """Return the sources of the tools of named files, by the tools' names; the first of each."""
    return {tool.name: source for source, tool in reversed(ready) if source.name in named_files}


def _with_names(
    ready: Sequence[tuple[Source, Tool]], named_files: frozenset[str]
) -> Iterator[tuple[Source, Tool, str]]:
    """Yield the tools that are offered, each with its source and a unique name."""
    replaced = _names_of(ready, named_files)
    offered = [(s, tool) for s, tool in ready if s.name != BUILT_IN or tool.name not in replaced]
    count = Counter(tool.name for _, tool in offered)
    taken: set[str] = set()
    for source, tool in offered:
        keeps_name = source.name == BUILT_IN or source.name in named_files
        unique = count[tool.name] == 1 or keeps_name
        name = tool.name if unique else f"{source.name}_{tool.name}"
        while name in taken:
            name += "_"
        taken.add(name)
        yield source, tool, name
