"""All tools of a session: built-in tools, tool files, installed packages and MCP servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic_file import make_folder
from ..errors import UsageError
from ..permissions.targets import BUILT_IN
from ..types import Tool
from .builtin.catalog import DISABLED_BY_DEFAULT, all_builtin_tools
from .enabled import EnabledTools, enabled_tools, name_clashes
from .entry_points import installed_entry_points
from .sandbox.config import SandboxConfig
from .sources import MCP_CONFIG_FILE, Source, ToolPaths
from .tool_file import FileStamp, ToolFile, file_stamp, tool_files
from .trust import TrustStore

if TYPE_CHECKING:
    from .mcp import McpClients

SERVER_START_TIMEOUT_S = 60.0


@dataclass(slots=True)
class Toolbox:
    """The tools of a session and their sources.

    `refresh` notices files that are new, changed or gone; it is cheap enough for every turn.
    """

    paths: ToolPaths
    files: tuple[Path, ...] = ()
    """Tool files that the user named; their tools replace built-in tools of the same name."""
    only_files: bool = False
    """Whether those files are the only sources."""
    trust_store: TrustStore = field(init=False)
    enabled: EnabledTools = field(init=False)
    _builtin_tools: tuple[Tool, ...] = ()
    _tool_files: dict[tuple[Path, str], ToolFile] = field(default_factory=dict)
    """By path and entry point."""
    _sources: tuple[Source, ...] = ()
    """All sources except MCP servers."""
    _servers: McpClients | None = None
    _servers_stamp: FileStamp | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(
        cls,
        paths: ToolPaths,
        files: Sequence[Path] = (),
        trusted: bool = False,
        only_files: bool = False,
    ) -> Toolbox:
        """Open a toolbox; if `trusted`, the user trusts `files` for this session.

        A file that is invalid does not prevent the use of others: its source has the state
        `failed`. MCP servers start when a tool of theirs is called or the user trusts them.

        Raises:
            ToolFileError: a file with the user's choices is damaged.
        """
        toolbox = cls(paths, tuple(files), only_files)
        toolbox.refresh()
        if trusted:
            for path in files:
                toolbox._trust_file(
                    toolbox._tool_files[path, ""], toolbox.trust_store.trust_for_session
                )
        return toolbox

    def __post_init__(self) -> None:
        self.trust_store = TrustStore(self.paths.data / "trust.json")
        self.enabled = EnabledTools.load(self.paths.config / "tools.json", DISABLED_BY_DEFAULT)
        self._builtin_tools = () if self.only_files else all_builtin_tools(self.paths)
        for folder in (self.paths.config, self.paths.data, self.paths.state):
            # A folder that does not exist cannot be hidden from an isolated program, which could
            # then create it.
            with suppress(OSError):
                make_folder(folder)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All sources, whatever their state."""
        servers = self._servers.sources if self._servers else ()
        return tuple(
            source if self.enabled.is_enabled(source.name) else replace(source, state="off")
            for source in (*self._sources, *servers)
        )

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The enabled tools of sources that are ready, each with a unique name."""
        return tuple(enabled_tools(self.sources, self._named_files(), self.enabled))

    def name_clashes(self) -> tuple[str, ...]:
        """Return a sentence for each tool that is replaced, or offered under another name."""
        return tuple(name_clashes(self.sources, self._named_files(), self.enabled))

    def named_sources(self) -> tuple[Source, ...]:
        """Return the sources of the files that the user named."""
        names = self._named_files()
        return tuple(source for source in self.sources if source.name in names)

    def start_server(self, name: str, timeout: float = SERVER_START_TIMEOUT_S) -> None:
        """Start an MCP server, if there is one called `name`, and wait until it lists its tools."""
        if (servers := self._servers) is not None and name in servers.clients:
            servers.start([name])
            servers.wait(timeout)

    def refresh(self) -> None:
        """Read the files that are new or changed, and forget those that are gone."""
        with self._lock:
            if not self.only_files:
                self._refresh_servers()
            wanted = {(path, entry_point): name for path, name, entry_point in self._find_files()}
            known = self._tool_files
            for key in [key for key, file in known.items() if wanted.get(key) != file.name]:
                known.pop(key).close()
            changed = [file for file in known.values() if file.has_changed()]
            for key in wanted.keys() - known.keys():
                known[key] = self._tool_file(*key, wanted[key])
                changed.append(known[key])
            for file in changed:
                file.read()
            _open_all([file for file in changed if file.content_hash in self.trust_store])
            self._tool_files = {key: known[key] for key in wanted}
            self._collect_sources()

    def trust(self, name: str, content_hash: str = "") -> None:
        """Trust a tool file or the tools of an MCP server permanently.

        With a `content_hash`, it must be that of the source, which proves that the user saw this
        content.

        Raises:
            UsageError: there is no such source, it has changed, or the server's tools were not
                known yet, so that the user cannot have seen them.
        """
        if (servers := self._servers) is not None and name in servers.clients:
            if servers.clients[name].listed is None:
                self.start_server(name)
                raise UsageError(f"{name} has been started; review its tools, then trust it.")
            servers.trust(name, content_hash)
            return
        with self._lock:
            file = self._file_named(name)
            if content_hash not in ("", file.content_hash):
                raise UsageError(f"{file.path} has changed since it was shown; review it again.")
            self._trust_file(file, lambda key: self.trust_store.trust(key, str(file.path)))

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Enable or disable a source or a tool, and save the choice.

        Raises:
            UsageError: there is no source or tool called `name`.
        """
        with self._lock:
            names = {source.name for source in self.sources}
            names |= {tool.name for source in self.sources for tool in source.tools}
            names |= {tool.name for tool in self.tools}
            if name not in names:
                raise UsageError(f"There is no tool or source {name!r}.")
            self.enabled.set(name, enabled)

    def close(self) -> None:
        """Stop all processes of the tools."""
        with self._lock:
            for file in self._tool_files.values():
                file.close()
            if self._servers is not None:
                self._servers.close()
                self._servers = None

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _find_files(self) -> Iterator[tuple[Path, str, str]]:
        """Yield the path, the source name and the entry point of each tool file that exists."""
        taken: set[str] = {BUILT_IN, *(self._servers.clients if self._servers else ())}
        seen: set[Path] = set()
        installed = () if self.only_files else tool_files(self.paths.config)
        files = [(path, path.stem, "") for path in (*self.files, *installed)]
        packages = () if self.only_files else installed_entry_points()
        for path, stem, entry_point in (*files, *packages):
            if path in seen and not entry_point:
                continue
            seen.add(path)
            # Permission rules name servers as "mcp: NAME", so no file may have such a name.
            name = stem.replace(":", "_")
            while name in taken:
                name += "_"
            taken.add(name)
            yield path, name, entry_point

    def _tool_file(self, path: Path, entry_point: str, name: str) -> ToolFile:
        sandbox = SandboxConfig(self.paths.cwd.resolve(), hidden=self.paths.hidden)
        return ToolFile(path, name, sandbox, entry_point, self.paths.logs / "tools")

    def _trust_file(self, file: ToolFile, save: Callable[[str], None]) -> None:
        if file.source.state == "untrusted":
            save(file.content_hash)
            file.open()
        self._collect_sources()

    def _file_named(self, name: str) -> ToolFile:
        for file in self._tool_files.values():
            if file.name == name:
                return file
        raise UsageError(f"There is no tool file {name!r}.")

    def _named_files(self) -> frozenset[str]:
        """Return the source names of the files that the user named."""
        files = self._tool_files.values()
        return frozenset(file.name for file in files if file.path in self.files)

    def _collect_sources(self) -> None:
        builtin = Source(BUILT_IN, "built-in", "ready", self._builtin_tools)
        files = (file.source for file in self._tool_files.values())
        self._sources = (*(() if self.only_files else (builtin,)), *files)

    def _refresh_servers(self) -> None:
        """Read mcp.json if it has changed; the servers of the old file are stopped."""
        path = self.paths.config / MCP_CONFIG_FILE
        stamp = file_stamp(path)
        if stamp == self._servers_stamp:
            return
        self._servers_stamp = stamp
        if self._servers is not None:
            self._servers.close()
            self._servers = None
        if stamp is not None:
            from .mcp import McpClients  # loads asyncio, and most users have no servers

            self._servers = McpClients.open(path, self.paths.logs, self.paths.data, self.paths.cwd)


def _open_all(files: Sequence[ToolFile]) -> None:
    """Open files in parallel: each Python file starts a process."""
    if files:
        with ThreadPoolExecutor(len(files)) as pool:
            list(pool.map(ToolFile.open, files))
