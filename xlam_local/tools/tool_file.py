"""One tool file: read without running it, opened once it is trusted, and watched for changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import openai_format
from ..errors import ToolError, ToolFileError
from ..types import Tool
from . import entry_points, file_formats
from .declarative.loader import describe_tools, file_kind, load_tools
from .declarative.programs import program_hash, program_paths
from .python.source_scan import scan_source
from .python.worker import ToolCode, Worker
from .sandbox.config import SandboxConfig, program_environment
from .sources import Source
from .trust import content_hash

FileStamp = tuple[int, int, int, int]
"""Times of change of content and status in nanoseconds, size and inode.

They change if the file changes; a program can set back the first one only."""


@dataclass(slots=True)
class ToolFile:
    """A tool file as it was when `read` was called; later changes of the file have no effect."""

    path: Path
    name: str
    """The name of its source."""
    sandbox: SandboxConfig
    entry_point: str = ""
    """The entry point's value if the file belongs to an installed package: `module[:attribute]`."""
    log_folder: Path | None = None
    """The folder for the output of a Python file."""
    content: bytes = b""
    package_hash: str = ""
    programs: tuple[Path, ...] = ()
    """The programs in the working folder that its commands run."""
    programs_hash: str = ""
    """The hash of the programs as they were when `read` was called."""
    source: Source = field(init=False)
    _stamps: tuple[FileStamp | None, ...] = ()
    """Those of the file and of the programs."""
    _program_stamps: tuple[FileStamp | None, ...] = ()
    _worker: Worker | None = None

    def __post_init__(self) -> None:
        self.source = Source(self.name, "python", "off")

    def has_changed(self) -> bool:
        """Return whether the file or a program that it runs has changed since it was read."""
        return tuple(map(file_stamp, (self.path, *self.programs))) != self._stamps

    @property
    def content_hash(self) -> str:
        """The hash that the user trusts."""
        # It includes the suffix, which decides how the content is read.
        kind = f"{self.path.suffix}\n{self.entry_point}\n{self.package_hash}{self.programs_hash}"
        return content_hash(kind.encode() + self.content)

    @property
    def module(self) -> str:
        """The module of an installed package; empty for other files."""
        return self.entry_point.partition(":")[0]

    def read(self) -> None:
        """Read the file again, without running anything. A problem makes the source fail."""
        self.close()
        self.programs, self.programs_hash, self._program_stamps = (), "", ()
        stamp = file_stamp(self.path)
        try:
            self.content = file_formats.read_bytes(self.path)
            if self.module:
                self.package_hash = entry_points.package_hash(self.path, self.module)
            file_format = FILE_FORMATS.get(self.path.suffix)
            if file_format is None:
                raise ToolFileError(f"{self.path} must end in {', '.join(FILE_FORMATS)}.")
            self.source = file_format.read(self)
        except ToolFileError as error:
            self._fail(error)
        self._stamps = (stamp, *self._program_stamps)
        self.source = replace(self.source, path=str(self.path), content_hash=self.content_hash)

    def open(self) -> None:
        """Make the tools of a trusted file ready to run."""
        if self.source.state != "untrusted":
            return
        try:
            tools = self.with_source(FILE_FORMATS[self.path.suffix].open(self))
            left_out = tuple(self._worker.left_out) if self._worker else ()
            self.source = replace(
                self.source, state="ready", tools=tools, detail="", left_out=left_out
            )
        except ToolFileError as error:
            self._fail(error)

    def close(self) -> None:
        """Stop the file's process."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def with_source(self, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
        """Return the tools with this file as their source."""
        path, trusted = str(self.path.resolve()), self.content_hash
        return tuple(
            replace(tool, source=self.name, file=path, content_hash=trusted) for tool in tools
        )

    def read_programs(self, data: Mapping[str, Any]) -> None:
        """Find the programs that the commands in a parsed file run, and hash them."""
        self.programs = tuple(dict.fromkeys(program_paths(data, self.sandbox.cwd)))
        self._program_stamps = tuple(map(file_stamp, self.programs))
        self.programs_hash = program_hash(self.programs) if self.programs else ""

    def with_program_check(self, tool: Tool) -> Tool:
        """Return a tool that does not run a program which has changed since the file was read."""
        run = tool.run
        if not self.programs or run is None:
            return tool
        programs, trusted = self.programs, self.programs_hash

        def run_if_unchanged(**arguments: Any) -> object:
            if program_hash(programs) != trusted:
                raise ToolError(
                    f"A program that {self.path} runs has changed since you trusted it: "
                    f"{', '.join(map(str, programs))}. Review it and trust {self.name} again."
                )
            return run(**arguments)

        return replace(tool, run=run_if_unchanged)

    def start_worker(self, code: ToolCode, sandbox: SandboxConfig) -> tuple[Tool, ...]:
        """Run Python code in a process that `close` stops, and return its tools."""
        log = self.log_folder / f"{self.name}.log" if self.log_folder else None
        self._worker = Worker(code, sandbox, log)
        return self._worker.tools()

    def leave_out(self, reasons: Iterable[str]) -> None:
        """Note why functions of the running Python file are left out."""
        if self._worker is not None:
            self._worker.left_out.extend(reasons)

    def _fail(self, error: ToolFileError) -> None:
        detail = str(file_formats.with_path(self.path, error))
        self.source = replace(self.source, state="failed", tools=(), detail=detail)


def file_stamp(path: Path) -> FileStamp | None:
    """Return the stamp of a file, or of a link that leads nowhere; None if there is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- faster; runs before every turn for every file
    except OSError:
        if not path.is_symlink():
            return None
        status = path.lstat()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read_python(file: ToolFile) -> Source:
    scan = scan_source(file_formats.decode_text(file.path, file.content), file.path)
    lines = [f"{tool.name} ({tool.effect.value}): {tool.summary}" for tool in scan.functions]
    lines.append(f"It runs in the sandbox {scan.sandbox.value!r}.")
    if scan.env:
        lines.append(f"It can read the environment variables {', '.join(scan.env)}.")
    if file.module:
        lines.append(
            f"It is the module {file.module} of an installed package. You trust all Python files "
            "of that package, but not what they import from other packages."
        )
    return Source(file.name, "python", "untrusted", detail="\n".join(lines))


def _open_python(file: ToolFile) -> tuple[Tool, ...]:
    text = file_formats.decode_text(file.path, file.content)
    scan = scan_source(text, file.path)
    # A file cannot replace the variables that every program gets, such as PATH.
    standard = program_environment({})
    env = {
        name: os.environ[name] for name in scan.env if name in os.environ and name not in standard
    }
    sandbox = replace(
        file.sandbox,
        level=scan.sandbox,
        network=scan.network,
        env=env,
        limits=replace(file.sandbox.limits, memory_bytes=scan.memory_bytes),
    )
    attribute = file.entry_point.partition(":")[2]
    code = ToolCode(str(file.path), text, file.module, attribute, file.package_hash)
    tools = file.start_worker(code, sandbox)
    file.leave_out(
        f"Function {name!r} is defined again below; its first definition is left out."
        for name in scan.redefined()
    )
    return tools


def _read_data(file: ToolFile) -> Source:
    """Read a TOML or JSON file, which has tools to run or only schemas."""
    data = file_formats.parse(file.path, file.content)
    if not _declares_tools(data):
        tools = file.with_source(openai_format.tools(data))
        return Source(file.name, "schemas", "ready", tools)
    tools = tuple(replace(tool, run=None) for tool in load_tools(data, file.sandbox))
    file.read_programs(data)
    detail = describe_tools(data)
    if file.programs:
        programs = ", ".join(map(str, file.programs))
        detail += f"\nIt runs {programs}. You trust the content that is there now."
    return Source(file.name, file_kind(data), "untrusted", file.with_source(tools), detail)


def _open_data(file: ToolFile) -> tuple[Tool, ...]:
    tools = load_tools(file_formats.parse(file.path, file.content), file.sandbox)
    return tuple(map(file.with_program_check, tools))


def _declares_tools(data: object) -> bool:
    return isinstance(data, Mapping) and isinstance(data.get("tool"), list)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How files with one suffix are read, without running anything, and opened."""

    read: Callable[[ToolFile], Source]
    open: Callable[[ToolFile], tuple[Tool, ...]]


FILE_FORMATS: Mapping[str, FileFormat] = {
    ".py": FileFormat(_read_python, _open_python),
    ".toml": FileFormat(_read_data, _open_data),
    ".json": FileFormat(_read_data, _open_data),
}
"""By suffix."""


def tool_files(config: Path) -> list[Path]:
    """Return the tool files in the configuration folder, sorted by name."""
    try:
        return sorted(path for path in (config / "tools").iterdir() if path.suffix in FILE_FORMATS)
    except OSError:
        return []
