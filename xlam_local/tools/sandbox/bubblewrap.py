"""The command line of bubblewrap, which isolates programs on Linux.

Only what is listed is visible to the program. SECURITY.md has the same list.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ...errors import ToolError
from .config import Isolation
from .seccomp import filter_bytes, memory_file
from .system_paths import (
    ETC_ENTRIES,
    KERNEL_FILES,
    NETWORK_ENTRIES,
    SYSTEM_FOLDERS,
    covered_paths,
    is_system_path,
    own_code,
    user_files,
)

BUBBLEWRAP = "bwrap"
SYSTEM_BIN_FOLDERS = ("/usr/bin", "/bin", "/usr/local/bin")
"""Where to look for the sandbox program. The user's PATH could lead to another program."""
NAMESPACES = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
    "--unshare-cgroup-try",
)
PROBE_TIMEOUT_S = 10
WRITABLE_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
"""Empty folders in memory, besides the home folder, that a program may write in."""
MAX_MOUNTS = 2500
"""bubblewrap accepts 9,000 arguments, three for each mount."""


def system_program(name: str) -> str:
    """Return the path of a program in the system's folders, or nothing if there is none."""
    for folder in SYSTEM_BIN_FOLDERS:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    return ""


def unavailable_reason() -> str:
    """Return a sentence that says why bubblewrap cannot be used, or nothing if it can."""
    return _probe()[0]


@lru_cache(maxsize=1)
def _probe() -> tuple[str, tuple[str, ...]]:
    """Return why bubblewrap cannot be used, and the namespaces that it can create."""
    program = system_program(BUBBLEWRAP)
    if not program:
        return "Isolation needs bubblewrap; install the package `bubblewrap`.", ()
    message = ""
    # Releases before 0.8 and those with setuid lack the option.
    for options in ((*NAMESPACES, "--disable-userns"), NAMESPACES):
        probe = [program, *options, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
        try:
            completed = subprocess.run(
                [*probe, "true"],
                capture_output=True,
                timeout=PROBE_TIMEOUT_S,
                check=False,
                text=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "bubblewrap does not run on this machine.", ()
        if completed.returncode == 0:
            return "", options
        message = " ".join(completed.stderr.split()).rstrip(".")
    return f"bubblewrap cannot isolate programs on this machine: {message}.", ()


def memory_files(network: bool) -> dict[str, int]:
    """Return descriptors of the files that exist only for a program, by their path.

    The seccomp filter has the path "". The caller closes the descriptors.
    """
    contents = {path: text.encode() for path, text in user_files(Path.home()).items()}
    if network:
        del contents["/etc/hosts"]
    if program := filter_bytes():
        contents[""] = program
    return {path: memory_file(path or "seccomp", content) for path, content in contents.items()}


def arguments(isolation: Isolation, cwd: Path, files: dict[str, int]) -> Iterator[str]:
    """Yield bubblewrap's command line. Later mounts cover earlier ones, so their order matters.

    Raises:
        ToolError: too many files of the working folder must be protected.
    """
    yield from (system_program(BUBBLEWRAP), *_probe()[1])
    yield from (
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--hostname",
        "localhost",
    )
    if "" in files:
        yield from ("--seccomp", str(files[""]))
    yield from _system(isolation.network, files)
    yield from _writable_folders(isolation.memory_bytes)
    readable = [path for path in isolation.readable if not is_system_path(path)]
    for path in readable:
        yield from ("--ro-bind", str(path), str(path))
    yield from ("--bind", str(cwd), str(cwd))
    own = [path for path in own_code() if path != cwd and path.is_relative_to(cwd)]
    if len(isolation.read_only) > MAX_MOUNTS:
        raise ToolError(
            f"The folder {cwd} has more than {MAX_MOUNTS:,} files that other programs execute, so "
            "they cannot be protected. Use a smaller working folder."
        )
    for path in (*isolation.read_only, *own):
        yield from ("--ro-bind-try", str(path), str(path))
    hidden = filter(None, map(_resolved, isolation.hidden))
    inside = [path for path in hidden if any(map(path.is_relative_to, (cwd, *readable)))]
    yield from _cover([*covered_paths([cwd, *readable]), *inside])
    yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(cwd))


def _system(network: bool, files: dict[str, int]) -> Iterator[str]:
    """Yield the mounts of the system: programs, settings, devices and processes."""
    for path in map(Path, SYSTEM_FOLDERS):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    entries = (*ETC_ENTRIES, *NETWORK_ENTRIES) if network else ETC_ENTRIES
    if network:
        yield "--share-net"
    for path in filter(Path.exists, (Path("/etc", name) for name in entries)):
        yield from ("--ro-bind-try", str(path), str(path))
    for name, descriptor in files.items():
        if name:
            yield from ("--ro-bind-data", str(descriptor), name)
    yield from ("--dev", "/dev", "--proc", "/proc", "--dir", "/run", "--dir", "/var")
    yield from ("--ro-bind", "/proc/sys", "/proc/sys")
    in_system = covered_paths(map(Path, SYSTEM_FOLDERS), system=True)
    yield from _cover([*map(Path, KERNEL_FILES), *in_system])


def _writable_folders(memory_bytes: int) -> Iterator[str]:
    """Yield empty folders in memory; together they hold at most the program's memory."""
    folders = sorted({*WRITABLE_FOLDERS, *_home()})
    for folder in folders:
        yield from ("--size", str(memory_bytes // len(folders)), "--tmpfs", folder)


def _home() -> Iterator[str]:
    home = Path.home()
    if home != Path("/") and not is_system_path(home):
        yield str(home)


def _cover(paths: Iterable[Path]) -> Iterator[str]:
    """Yield mounts that hide files and folders; there is nothing to hide if one is missing."""
    covered: list[Path] = []
    for place in sorted({path for path in map(_resolved, paths) if path is not None}):
        if any(place.is_relative_to(folder) for folder in covered):
            continue
        covered.append(place)
        if place.is_dir():
            yield from ("--tmpfs", str(place), "--remount-ro", str(place))
        else:
            yield from ("--ro-bind", "/dev/null", str(place))


def _resolved(path: Path) -> Path | None:
    """Return where a path leads; None if nothing is there, or if this user cannot reach it."""
    with suppress(OSError):
        return path.resolve(strict=True)
    return None
