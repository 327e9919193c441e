"""One file of tools: read, agreed to, opened, and watched for changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import wire
from ..errors import ToolFileError
from ..types import Tool
from . import files, packages
from .agreements import digest
from .described import described, sourced, told_kind
from .outline import outline
from .sandbox import Box, clean_environment
from .types import Kind, Source, State
from .worker import Code, Worker

Stamp = tuple[int, int, int]


@dataclass(slots=True)
class ToolFile:
    """A file of tools, as it was when it was last read: a change to it changes nothing here."""

    path: Path
    name: str
    box: Box
    entry: str = ""
    """For a module of an installed package: its name, with a colon before the one tool wanted."""
    logs: Path | None = None
    """The folder where what a Python file prints goes."""
    content: bytes = b""
    package: str = ""
    """What all of the package that it belongs to is known by."""
    source: Source = field(init=False)
    _stamp: Stamp | None = None
    _worker: Worker | None = None

    def __post_init__(self) -> None:
        self.source = Source(self.name, "python", "off")

    def changed(self) -> bool:
        """Whether the file is not as it was when it was read."""
        return stamp(self.path) != self._stamp

    @property
    def digest(self) -> str:
        """What the content is known by, when it is agreed to."""
        # The same text in another suffix would be read as something else.
        kind = f"{self.path.suffix}\n{self.entry}\n{self.package}"
        return digest(kind.encode() + self.content)

    @property
    def module(self) -> str:
        """The module of an installed package that it is; nothing if it is none."""
        return self.entry.partition(":")[0]

    def read(self) -> None:
        """Read the file anew; nothing of it is run."""
        self._read()
        self.source = replace(self.source, place=str(self.path), version=self.digest)

    def _read(self) -> None:
        self.close()
        self._stamp = stamp(self.path)
        try:
            self.content = files.content(self.path)
            self.package = packages.known_by(self.path, self.module) if self.module else ""
            form = FORMS.get(self.path.suffix)
            if form is None:
                raise ToolFileError(f"{self.path} is none of {', '.join(FORMS)}.")
            self.source = form.read(self)
        except ToolFileError as error:
            self._failed(error)

    def open(self) -> None:
        """Make its tools ready, once its user has agreed to it."""
        if self.source.state != "not agreed":
            return
        try:
            tools = FORMS[self.path.suffix].open(self)
            self.source = replace(self.source, state="ready", tools=self.own(tools), detail="")
        except ToolFileError as error:
            self._failed(error)

    def close(self) -> None:
        """End what runs for it."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def told(self, kind: Kind, state: State, detail: str) -> Source:
        """What the file is, before its tools are ready."""
        return Source(self.name, kind, state, detail=detail)

    def own(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """The tools, as those of this file."""
        return sourced(tools, self.name, str(self.path.resolve()))

    def work(self, worker: Worker) -> Worker:
        """Keep the process that runs for it."""
        self._worker = worker
        return worker

    def _failed(self, error: ToolFileError) -> None:
        detail = str(files.named(self.path, error))
        self.source = replace(self.source, state="failed", tools=(), detail=detail)


def stamp(path: Path) -> Stamp | None:
    """What tells a file from what it was: its time, size and number; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- before every turn, for every file
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read_python(file: ToolFile) -> Source:
    """What a Python file says of itself."""
    told = outline(files.text(file.path, file.content), file.path)
    does = [f"{one.name} ({one.effect.value}): {one.summary}" for one in told.functions]
    does.append(f"It runs in the sandbox {told.sandbox.value!r}.")
    if told.environment:
        does.append(f"It sees the variables {', '.join(told.environment)}.")
    if file.module:
        does.append(
            f"It is {file.module} of an installed package: every Python file of that package is "
            "agreed to, and what they import from others is not looked at."
        )
    return file.told("python", "not agreed", "\n".join(does))


def _open_python(file: ToolFile) -> tuple[Tool, ...]:
    text = files.text(file.path, file.content)
    told = outline(text, file.path)
    own = {name: os.environ[name] for name in told.environment if name in os.environ}
    own = {name: value for name, value in own.items() if name not in clean_environment({})}
    limits = replace(file.box.limits, memory=told.memory)
    box = replace(
        file.box, level=told.sandbox, network=told.network, environment=own, limits=limits
    )
    attribute = file.entry.partition(":")[2]
    code = Code(str(file.path), text, file.module, attribute, file.package)
    log = file.logs / f"{file.name}.log" if file.logs else None
    return file.work(Worker(code, box, log)).tools()


def _read_data(file: ToolFile) -> Source:
    """What a TOML or JSON file has: tools that run something, or only schemas."""
    data = files.parsed(file.path, file.content)
    if not _runs(data):
        return Source(file.name, "schemas", "ready", file.own(wire.tools(data)))
    tools = tuple(replace(tool, run=None) for tool in described(data, file.box))
    kind, does = told_kind(data)
    return Source(file.name, kind, "not agreed", file.own(tools), does)


def _open_data(file: ToolFile) -> tuple[Tool, ...]:
    return described(files.parsed(file.path, file.content), file.box)


def _runs(data: object) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("tool"), list)


@dataclass(frozen=True, slots=True)
class Form:
    """How files with one suffix are read without being run, and opened."""

    read: Callable[[ToolFile], Source]
    open: Callable[[ToolFile], tuple[Tool, ...]]


FORMS: Mapping[str, Form] = {
    ".py": Form(_read_python, _open_python),
    ".toml": Form(_read_data, _open_data),
    ".json": Form(_read_data, _open_data),
}
