"""Tools that are command lines: a list of arguments with blanks, which no shell ever reads."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import ToolError, ToolFileError
from ..types import Sandbox, Tool
from . import sandbox
from .blanks import blanks, check, filled, values, with_variables, words
from .paths import Folder
from .sandbox import Box, Finished, Running, gibibytes

SHOWN = 4_000
"""How many characters a failed program's words are told with."""
OUTPUTS = ("text", "json")

Part = str | tuple[str, ...]
"""One argument, or some that stand and fall together."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line with blanks, and where it runs."""

    parts: tuple[Part, ...]
    properties: Mapping[str, Any]
    box: Box
    stdin: str = ""
    output: Literal["text", "json"] = "text"
    environment: Mapping[str, str] | None = None
    going: set[Running] = field(default_factory=set)
    """The calls that run now."""

    def words(self, arguments: Mapping[str, Any]) -> list[str]:
        """The command line for a call.

        Raises:
            ToolError: an argument would be read as something else than it is.
        """
        given = values(arguments, self.properties, self._written)
        line: list[str] = []
        for part in self.parts:
            group = (part,) if isinstance(part, str) else part
            if all(name in given for text in group for name in blanks(text)):
                for text in group:
                    line.extend(_arguments(text, given, options_end="--" in line))
        return line

    def preview(self, **arguments: Any) -> str:
        """The command line, as one would type it, and its folder."""
        return f"{shlex.join(self.words(arguments))}\nin {self.box.folder}"

    def run(self, **arguments: Any) -> object:
        """Run it, and tell what it says."""
        line = self.words(arguments)
        own = {name: with_variables(text) for name, text in (self.environment or {}).items()}
        given = values(arguments, self.properties, lambda _, value: words(value))
        # A parameter that was left out fills its blank in the input with nothing.
        stdin = filled(self.stdin, {name: given.get(name, "") for name in blanks(self.stdin)})
        box = replace(self.box, environment={**self.box.environment, **own})
        said = told(line[0], sandbox.run(line, box, stdin.encode(), self.going), box)
        return _json(said) if self.output == "json" else said

    def _written(self, name: str, value: Any) -> Any:
        """A value as it fills a blank; a path is the file that it leads to."""
        return self._led(self.properties.get(name), value)

    def _led(self, schema: Any, value: Any) -> Any:
        if not isinstance(schema, Mapping):
            return value
        if isinstance(value, list):
            return [self._led(schema.get("items"), item) for item in value]
        if schema.get("format") == "path":
            return str(Folder.at(self.box.folder, self.box.hidden).inside(words(value)))
        return value


def command(item: Mapping[str, Any], tool: Tool, box: Box) -> Tool:
    """The tool that a table with `command` describes.

    Raises:
        ToolFileError: says what is wrong with it.
    """
    properties = tool.parameters.get("properties", {})
    parts = tuple(_parts(item["command"], properties))
    if _paths(tool.parameters) != sum(map(_held_paths, properties.values())):
        raise ToolFileError(
            "'format = \"path\"' holds for a parameter and for the items of a list, "
            "and stands elsewhere in its parameters."
        )
    stdin = _text(item, "stdin")
    check(stdin, properties, "'stdin'")
    output = item.get("output", "text")
    if output not in OUTPUTS:
        raise ToolFileError(f"the output is {output!r}, not 'text' or 'json'.")
    own = _box(item, tool, box)
    made = Command(parts, properties, own, stdin, output, _environment(item, properties))
    stop = sandbox.stopper(made.going)
    return replace(tool, run=made.run, preview=made.preview, sandbox=own.level, stop=stop)


def template(item: Mapping[str, Any]) -> str:
    """A command line with its blanks, for people."""
    parts = item["command"]
    flat = [w for part in parts for w in (part if isinstance(part, list) else [part])]
    return " ".join(word if list(blanks(word)) else shlex.quote(word) for word in flat)


def told(program: str, finished: Finished, box: Box) -> str | bytes:
    """What a program said.

    Raises:
        ToolError: it failed, or was stopped.
    """
    out, err = text(finished.out), text(finished.err)
    # What it says of its failure comes last.
    said = (
        f"\n{(err.strip() or str(out).strip())[-SHOWN:]}".rstrip() if isinstance(err, str) else ""
    )
    if finished.stopped == "time":
        raise ToolError(f"{program} did not end within {box.limits.seconds:g} seconds.{said}")
    if finished.stopped == "output":
        began = str(out)[:SHOWN] if isinstance(out, str) else "(binary)"
        raise ToolError(
            f"{program} said more than {box.limits.output:,} bytes and was stopped. "
            f"It began:\n{began}"
        )
    if finished.code:
        raise ToolError(f"{program} {_failure(finished.code)}.{said}")
    return out or err


def text(data: bytes) -> str | bytes:
    """What a program wrote, as text if it is; old encodings come with marks in them."""
    return data if b"\0" in data else data.decode("utf-8", "replace")


def _failure(code: int) -> str:
    return SIGNALS.get(code, f"ended with {f'exit code {code}' if code > 0 else f'signal {-code}'}")


SIGNALS = {
    -9: "was killed",
    -11: "crashed",
    -24: "used more CPU time than it may and was stopped",
    -25: "wrote a larger file than it may and was stopped",
}


def _arguments(part: str, given: Mapping[str, Any], options_end: bool) -> Iterator[str]:
    """The arguments that one part becomes: one, or one for each item of a list that is its all."""
    names = list(blanks(part))
    whole = part == f"{{{names[0]}}}" if names else False
    value = given[names[0]] if whole else None
    for one in value if isinstance(value, list) else [None]:
        chosen = {names[0]: words(one)} if one is not None else {}
        argument = filled(part, {name: words(given[name]) for name in names} | chosen)
        if "\0" in argument:
            raise ToolError("An argument of a command cannot hold a zero byte.")
        if argument.startswith("-") and part.startswith("{") and not options_end:
            raise ToolError(f"{argument!r} would be read as an option, and was not let through.")
        yield argument


def _parts(said: Any, known: Mapping[str, Any]) -> Iterator[Part]:
    if not isinstance(said, list) or not said:
        raise ToolFileError("'command' is not a list of arguments.")
    for number, part in enumerate(said):
        group = [part] if isinstance(part, str) else part
        if not isinstance(group, list) or not all(isinstance(one, str) for one in group):
            raise ToolFileError(f"the argument at /command/{number} is not text.")
        for one in group:
            check(one, known, f"/command/{number}")
        if number == 0 and (not isinstance(part, str) or not part or list(blanks(part))):
            raise ToolFileError("the program, which comes first, is a name without blanks.")
        yield part if isinstance(part, str) else tuple(group)


def _paths(schema: Any) -> int:
    """How many schemas within a schema are for paths."""
    if isinstance(schema, list):
        return sum(map(_paths, schema))
    if not isinstance(schema, Mapping):
        return 0
    return (schema.get("format") == "path") + sum(map(_paths, schema.values()))


def _held_paths(schema: Any) -> int:
    """How many of them are where a path is held to the folder."""
    if not isinstance(schema, Mapping):
        return 0
    return (schema.get("format") == "path") + _held_paths(schema.get("items"))


def _box(item: Mapping[str, Any], tool: Tool, box: Box) -> Box:
    try:
        level = Sandbox(item.get("sandbox", box.level.value))
    except ValueError as error:
        names = ", ".join(level.value for level in Sandbox)
        raise ToolFileError(f"the sandbox {item['sandbox']!r} is none of {names}.") from error
    network = item.get("network", False)
    if not isinstance(network, bool):
        raise ToolFileError("'network' is true or false.")
    try:
        folder = (box.folder / Path(_text(item, "folder") or ".").expanduser()).resolve()
    except (ValueError, RuntimeError, OSError) as error:
        raise ToolFileError(f"the folder {item['folder']!r} is not a path.") from error
    limits = replace(box.limits, seconds=tool.seconds, cpu_seconds=int(tool.seconds) + 1)
    if "memory" in item:
        try:
            limits = replace(limits, memory=gibibytes(item["memory"]))
        except TypeError as error:
            raise ToolFileError("'memory' is a number of GiB.") from error
    return replace(box, level=level, network=network, folder=folder, limits=limits)


def _environment(item: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, str]:
    said = item.get("environment", {})
    if not isinstance(said, Mapping) or not all(isinstance(one, str) for one in said.values()):
        raise ToolFileError("'environment' is not a table of texts.")
    if found := [name for one in said.values() for name in blanks(one) if name in known]:
        raise ToolFileError(
            f"'environment' has the blank {{{found[0]}}}, but only arguments and the input are "
            "filled: what a model writes is no setting of a program."
        )
    return dict(said)


def _text(item: Mapping[str, Any], key: str) -> str:
    said = item.get(key, "")
    if not isinstance(said, str):
        raise ToolFileError(f"{key!r} is not text.")
    return said


def _json(said: str | bytes) -> object:
    try:
        value: object = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"It did not write JSON: {error}.") from error
    return value
