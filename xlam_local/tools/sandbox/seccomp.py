"""The system calls that an isolated program must not use, as a seccomp filter in BPF.

bubblewrap loads the filter from a file descriptor. The kernel's documentation describes it:
https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Iterator
from dataclasses import dataclass

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions: load a word of the call; jump if equal, not less, a bit is set; return."""
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24
"""Where the words are in `struct seccomp_data`; both machines are little-endian."""
ALLOW = 0x7FFF0000
DENY = 0x00050000 | errno.EPERM
MISSING = 0x00050000 | errno.ENOSYS
X32_CALLS = 0x40000000
"""The lowest number of a call in the x32 ABI."""
NEW_NAMESPACES = 0x7E020080
"""The flags of `clone` that create namespaces."""
TERMINAL_INPUT = (0x5412, 0x541C)
"""The requests TIOCSTI and TIOCLINUX of `ioctl`, which type into a terminal."""
SOCKET_FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink. Others, such as VSOCK, lie outside of network namespaces."""


@dataclass(frozen=True, slots=True)
class CallNumbers:
    """The numbers of system calls on a machine."""

    architecture: int
    clone: int
    ioctl: int
    socket: int
    denied: dict[str, int]
    has_x32: bool = False


COMMON = {
    **{"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428},
    **{"move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433},
    **{"pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443},
}
CLONE3 = 435
"""It is missing, so that programs use `clone`, whose flags a filter can read."""
NUMBERS = {
    "x86_64": CallNumbers(
        architecture=0xC000003E,
        clone=56,
        ioctl=16,
        socket=41,
        has_x32=True,
        denied={
            **{"ptrace": 101, "syslog": 103, "pivot_root": 155, "chroot": 161, "acct": 163},
            **{"settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168},
            **{"reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172},
            **{"ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179},
            **{"clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249},
            **{"keyctl": 250, "unshare": 272, "perf_event_open": 298, "fanotify_init": 300},
            **{"name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305},
            **{"setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312},
            **{"finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323},
            **COMMON,
        },
    ),
    "aarch64": CallNumbers(
        architecture=0xC00000B7,
        clone=220,
        ioctl=29,
        socket=198,
        denied={
            **{"umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60},
            **{"acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105},
            **{"delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117},
            **{"reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170},
            **{"add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225},
            **{"perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264},
            **{"open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268},
            **{"process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272},
            **{"finit_module": 273, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294},
            **COMMON,
        },
    ),
}


def filter_bytes(machine: str = platform.machine()) -> bytes:
    """Return the filter for a machine, or nothing if its system calls are not known here."""
    numbers = NUMBERS.get(machine)
    return b"".join(_instructions(numbers)) if numbers is not None else b""


def memory_file(name: str, content: bytes) -> int:
    """Return a descriptor of a file in memory, to read from its start."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _instructions(numbers: CallNumbers) -> Iterator[bytes]:
    """Yield the instructions; each jump skips at most the rules of one system call."""
    yield _instruction(LOAD, ARCHITECTURE)
    yield from _unless(EQUAL, numbers.architecture, MISSING)
    yield _instruction(LOAD, NUMBER)
    if numbers.has_x32:
        yield from _if(AT_LEAST, X32_CALLS, MISSING)
    yield from _if(EQUAL, CLONE3, MISSING)
    for number in numbers.denied.values():
        yield from _if(EQUAL, number, DENY)
    yield from _rules(numbers.clone, FIRST_ARGUMENT, [*_if(ANY_BIT, NEW_NAMESPACES, DENY)])
    requests = [step for value in TERMINAL_INPUT for step in _if(EQUAL, value, DENY)]
    yield from _rules(numbers.ioctl, SECOND_ARGUMENT, requests)
    known = [step for value in SOCKET_FAMILIES for step in _if(EQUAL, value, ALLOW)]
    yield from _rules(numbers.socket, FIRST_ARGUMENT, [*known, _instruction(RETURN, DENY)])
    yield _instruction(RETURN, ALLOW)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _if(test: int, value: int, result: int) -> Iterator[bytes]:
    yield _instruction(test, value, 0, 1)
    yield _instruction(RETURN, result)


def _unless(test: int, value: int, result: int) -> Iterator[bytes]:
    yield _instruction(test, value, 1, 0)
    yield _instruction(RETURN, result)


def _rules(number: int, argument: int, rules: list[bytes]) -> Iterator[bytes]:
    """Yield rules about an argument of one system call; what they do not decide is allowed."""
    yield _instruction(EQUAL, number, 0, len(rules) + 2)
    yield _instruction(LOAD, argument)
    yield from rules
    yield _instruction(RETURN, ALLOW)
