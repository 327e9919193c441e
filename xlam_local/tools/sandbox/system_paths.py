"""What an isolated program sees of the system on Linux, and what covers the rest."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from ...permissions.credential_files import SYSTEM_PATHS

SYSTEM_FOLDERS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    # Nix and Guix install all programs here; no private file belongs here.
    *("/nix/store", "/gnu/store", "/run/current-system", "/etc/static"),
)
"""Programs and libraries of the system, read-only."""
ETC_ENTRIES = (
    # The dynamic linker, alternatives, and the settings of languages.
    *("ld.so.cache", "alternatives", "python3", "perl", "java", "java-17-openjdk"),
    *("java-21-openjdk", "fonts", "ImageMagick-6", "ImageMagick-7"),
    # Names, locale, time and types of files.
    *("nsswitch.conf", "os-release", "localtime", "timezone", "locale.alias", "locale.conf"),
    "mime.types",
    # Certificates; the folders of private keys are covered.
    *("ssl", "pki", "ca-certificates", "crypto-policies"),
)
"""Entries of /etc, read-only. The list of users has only this user."""
NETWORK_ENTRIES = ("hosts", "resolv.conf", "host.conf", "gai.conf", "services", "protocols")
"""Entries of /etc for programs that may use the network."""
KERNEL_FILES = (
    *("/proc/keys", "/proc/key-users", "/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger"),
    *("/proc/pressure", "/proc/mtrr", "/proc/acpi", "/proc/scsi", "/proc/timer_list"),
)
"""Entries of /proc that are covered. /proc/sys is read-only: root could change the kernel by it."""
KEPT_MOUNT_POINTS = {"/usr", "/usr/local", "/usr/share", "/usr/lib", "/nix", "/nix/store"}
"""System folders that are often file systems of their own."""
OCTAL = re.compile(r"\\([0-7]{3})")


def mount_points() -> list[Path]:
    """Return the mount points of this process, outer ones first."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    paths = {OCTAL.sub(lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines}
    return [Path(path) for path in sorted(paths)]


def bound_sockets() -> list[Path]:
    """Return the paths of the Unix sockets that programs of this network namespace listen on."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    paths = {line[line.index("/") :] for line in lines if " /" in line}
    return [Path(path) for path in sorted(paths)]


def is_system_path(path: Path) -> bool:
    """Return whether a path is in a folder of the system that isolated programs see."""
    return any(path.is_relative_to(folder) for folder in SYSTEM_FOLDERS)


def covered_paths(visible: Iterable[Path], system: bool = False) -> Iterator[Path]:
    """Yield what must be covered in visible folders: other file systems, sockets, and keys.

    Containers mount single files into the folders of the system, such as libraries; these stay.
    """
    folders = [path for path in visible if path.is_dir()]
    mounted = [path for path in mount_points() if str(path) not in KEPT_MOUNT_POINTS]
    if system:
        mounted = [path for path in mounted if not path.is_file()]
        folders += [Path("/etc/ssl"), Path("/etc/pki")]
    for path in (*mounted, *bound_sockets(), *map(Path, SYSTEM_PATHS)):
        if any(folder != path and path.is_relative_to(folder) for folder in folders):
            yield path


@lru_cache(maxsize=1)
def own_code() -> tuple[Path, ...]:
    """Return the files of this program: its package, and its interpreter's environment."""
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)}
    entries = ("bin", "lib", "lib64", "libexec", "include", "pyvenv.cfg", "conda-meta", "etc")
    package = Path(__file__).parents[2]
    paths = [package, *(prefix / name for prefix in sorted(prefixes) for name in entries)]
    return tuple(path.resolve() for path in paths if path.exists())


def user_files(home: Path) -> dict[str, str]:
    """Return the content of the lists of users, groups and hosts: only this user and this host."""
    uid, gid = os.getuid(), os.getgid()
    user = "root" if uid == 0 else "user"
    passwd = [f"{user}:x:{uid}:{gid}::{home}:/bin/sh", "nobody:x:65534:65534::/:/bin/false"]
    groups = [f"{user}:x:{gid}:", "nogroup:x:65534:"]
    return {
        "/etc/passwd": "\n".join([*passwd, ""]),
        "/etc/group": "\n".join([*groups, ""]),
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    }
