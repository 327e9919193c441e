"""Everything that a session offers: built-in tools, files and packages of tools, MCP servers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..types import Tool
from .agreements import Agreements
from .builtin import OFF, everything
from .packages import entries
from .sandbox import Box
from .switches import Switches
from .toolfile import FORMS, Stamp, ToolFile, stamp
from .types import BUILT_IN, Places, Source

if TYPE_CHECKING:
    from .mcp import Servers


@dataclass(slots=True)
class Toolbox:
    """The tools of a session, and the places that they come from.

    `refresh` notices files that are new, changed or gone; it is cheap enough for every turn.
    """

    places: Places
    named: tuple[Path, ...] = ()
    """The files named by the user; a tool of theirs stands in the place of a built-in one."""
    alone: bool = False
    """Whether there is nothing else than the files named."""
    agreements: Agreements = field(init=False)
    switches: Switches = field(init=False)
    _own_tools: tuple[Tool, ...] = ()
    _files: dict[tuple[Path, str], ToolFile] = field(default_factory=dict)
    _sources: tuple[Source, ...] = ()
    _servers: Servers | None = None
    _servers_stamp: Stamp | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(
        cls,
        places: Places,
        named: Sequence[Path] = (),
        trusted: bool = False,
        alone: bool = False,
    ) -> Toolbox:
        """The toolbox of a working folder; where it is `trusted`, the files named are agreed to.

        A file that cannot be used does not keep the others from it: its source says why. MCP
        servers start when their tools are called, or looked at to be agreed to.
        """
        box = cls(places, tuple(named), alone)
        box.refresh()
        if trusted:
            for path in named:
                box._agreed(box._files[path, ""], box.agreements.add_for_now)
        return box

    def __post_init__(self) -> None:
        self.agreements = Agreements(self.places.data / "agreed.json")
        self.switches = Switches.load(self.places.config / "tools.json", OFF)
        self._own_tools = () if self.alone else everything(self.places)
        for place in (self.places.config, self.places.data, self.places.state):
            # A program that is isolated could make what is not there, and cannot be hidden from it.
            with suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every place that tools come from, also where none can be had of it now."""
        servers = self._servers.sources if self._servers else ()
        return tuple(self._switched((*self._sources, *servers)))

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that are offered now, each under a name of its own."""
        return tuple(offered(self.sources, self._own(), self.switches))

    def own(self) -> tuple[Source, ...]:
        """The sources that are the files named by the user."""
        names = self._own()
        return tuple(source for source in self.sources if source.name in names)

    def look(self, name: str, seconds: float = 60.0) -> None:
        """Start the MCP server called `name`, if it is one, so that its source tells its tools."""
        if (servers := self._servers) is not None and name in servers.servers:
            servers.start([name])
            servers.wait(seconds)

    def refresh(self) -> None:
        """Notice files that are new, changed or gone, and packages that offer tools."""
        with self._lock:
            if not self.alone:
                self._serve()
            wanted = {(path, entry): name for path, name, entry in self._wanted()}
            for key in [key for key, file in self._files.items() if wanted.get(key) != file.name]:
                self._files.pop(key).close()
            changed = [key for key, file in self._files.items() if file.changed()]
            new = wanted.keys() - self._files.keys()
            logs = self.places.state / "tools"
            for key in new:
                path, entry = key
                self._files[key] = ToolFile(path, wanted[key], self._box(), entry, logs)
            fresh = [self._files[key] for key in (*changed, *new)]
            for file in fresh:
                file.read()
            self._opened([file for file in fresh if file.digest in self.agreements])
            self._files = {key: self._files[key] for key in wanted}
            self._told()

    def agree(self, name: str, version: str = "") -> None:
        """Agree, for good, to what is in the file, or of the server, called `name`.

        With a `version`, only where that is what is there.

        Raises:
            UsageError: there is neither, it has changed, or nobody can have seen its tools yet.
        """
        if (servers := self._servers) is not None and name in servers.servers:
            if servers.servers[name].listed is None:
                self.look(name)
                raise UsageError(f"{name} has been started; look at its tools, then agree.")
            servers.agree(name, version)
            return
        with self._lock:
            file = self._named(name)
            if version not in ("", file.digest):
                raise UsageError(f"{file.path} has changed since it was shown; look again.")
            self._agreed(file, lambda digest: self.agreements.add(digest, str(file.path)))

    def switch(self, name: str, on: bool) -> None:
        """Offer the source or the tool called `name` from now on, or no longer.

        Raises:
            UsageError: there is neither.
        """
        with self._lock:
            known = {source.name for source in self.sources}
            known |= {tool.name for source in self.sources for tool in source.tools}
            known |= {tool.name for tool in self.tools}
            if name not in known:
                raise UsageError(f"There is no tool or source {name!r}.")
            self.switches.set(name, on)

    def close(self) -> None:
        """End what runs for the tools."""
        with self._lock:
            for file in self._files.values():
                file.close()
            if self._servers is not None:
                self._servers.close()
                self._servers = None

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _wanted(self) -> Iterator[tuple[Path, str, str]]:
        """The files that there are: each with a name for its source, and its entry point if any."""
        taken: set[str] = {BUILT_IN, *(self._servers.servers if self._servers else ())}
        seen: set[Path] = set()
        found = () if self.alone else _in(self.places.config)
        files = [(path, path.stem, "") for path in (*self.named, *found)]
        for path, stem, entry in (*files, *(() if self.alone else entries())):
            if path in seen and not entry:
                continue
            seen.add(path)
            # What begins with "mcp:" is a server, and only one.
            name = stem.replace(":", "_")
            while name in taken:
                name += "_"
            taken.add(name)
            yield path, name, entry

    def _box(self) -> Box:
        return Box(self.places.folder.resolve(), hidden=self.places.closed)

    def _agreed(self, file: ToolFile, keep: Callable[[str], None]) -> None:
        if file.source.state == "not agreed":
            keep(file.digest)
            file.open()
        self._told()

    def _opened(self, files: Sequence[ToolFile]) -> None:
        """Open files at the same time: each Python file takes a process that has to start."""
        if files:
            with ThreadPoolExecutor(len(files)) as pool:
                list(pool.map(ToolFile.open, files))

    def _named(self, name: str) -> ToolFile:
        for file in self._files.values():
            if file.name == name:
                return file
        raise UsageError(f"There is no file of tools {name!r}.")

    def _own(self) -> frozenset[str]:
        return frozenset(file.name for file in self._files.values() if file.path in self.named)

    def _told(self) -> None:
        """Gather what there is, as it is now."""
        own = () if self.alone else (Source(BUILT_IN, "built-in", "ready", self._own_tools),)
        self._sources = (*own, *(file.source for file in self._files.values()))

    def _switched(self, sources: Sequence[Source]) -> Iterator[Source]:
        for source in sources:
            yield source if self.switches.offers(source.name) else replace(source, state="off")

    def _serve(self) -> None:
        """Take up the MCP servers in mcp.json, anew when the file has changed."""
        path = self.places.config / "mcp.json"
        now = stamp(path)
        if now == self._servers_stamp:
            return
        self._servers_stamp = now
        if self._servers is not None:
            self._servers.close()
            self._servers = None
        if now is not None:
            from .mcp import Servers

            self._servers = Servers.open(path, self.places.state, self.places.data)


def offered(sources: Sequence[Source], own: frozenset[str], switches: Switches) -> Iterator[Tool]:
    """The tools that are on, of sources that are ready, each under a name of its own.

    A tool of the user's `own` files takes the place of a built-in one; all others whose names
    clash are called by their source as well.
    """
    ready = [
        (source, tool)
        for source in sources
        if source.state == "ready"
        for tool in source.tools
        if switches.offers(tool.name)
    ]
    named = {tool.name for source, tool in ready if source.name in own}
    left = [(s, tool) for s, tool in ready if s.name != BUILT_IN or tool.name not in named]
    count = Counter(tool.name for _, tool in left)
    taken: set[str] = set()
    for source, tool in left:
        first = source.name == BUILT_IN or source.name in own
        name = tool.name if count[tool.name] == 1 or first else f"{source.name}_{tool.name}"
        while name in taken:
            name += "_"
        taken.add(name)
        yield tool if name == tool.name else replace(tool, name=name)


def _in(config: Path) -> list[Path]:
    """The files of tools in the user's own folder, in the order of their names."""
    folder = config / "tools"
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in FORMS)
    except OSError:
        return []
