"""The memory, GPUs and CPU cores of a computer."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from . import ggml_devices, user_file
from .errors import UsageError
from .ggml_devices import GgmlDevice

MIB, GIB = 1 << 20, 1 << 30
ROOT = Path("/")
"""The file system's root; tests pass another one."""

GPU_BYTES_PER_S = {"cuda": 250e9, "rocm": 250e9, "hip": 250e9, "metal": 70e9, "mtl": 70e9}
"""Estimated bytes of weights that a GPU reads in a second, by its ggml backend."""
OTHER_GPU_BYTES_PER_S = 100e9
CPU_BYTES_PER_S_PER_CORE = 10e9
MAX_CPU_BYTES_PER_S = 35e9
MAX_MACHINE_NUMBER = 10**18
"""The largest number that describes a machine in a file."""

THROTTLING_REASONS = {0: "its voltage is too low", 2: "it is throttled", 3: "it is too hot"}
"""What the low bits of a Raspberry Pi's `get_throttled` mean."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that llama.cpp can use."""

    name: str
    memory: int
    """Bytes."""
    free: int
    """Bytes."""
    shared: bool = False
    """Whether it uses the computer's main memory."""
    speed: float = 200e9
    """Bytes of weights that it reads in a second."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The properties of a computer that decide how a model runs."""

    name: str
    memory: int
    """Bytes."""
    available: int
    """Bytes that no other program uses."""
    cores: int
    """Physical cores; only the fast ones, if there are two kinds."""
    devices: tuple[Device, ...] = ()
    speed: float = 0.0
    """Bytes of weights that the CPU reads in a second; 0 estimates it from the cores."""

    @property
    def cpu_speed(self) -> float:
        """Bytes of weights that the CPU reads in a second."""
        return self.speed or min(self.cores * CPU_BYTES_PER_S_PER_CORE, MAX_CPU_BYTES_PER_S)

    @property
    def reserve(self) -> int:
        """Bytes of available memory to leave to other programs."""
        return max(512 * MIB, self.available // 10)

    @property
    def usable_memory(self) -> int:
        """Bytes of memory that a model may use."""
        return max(self.available - self.reserve, 0)

    @property
    def usable_gpu_memory(self) -> int:
        """Bytes of GPU memory that a model may use."""
        return sum(
            max(device.free - max(512 * MIB, device.memory // 20), 0) for device in self.devices
        )

    @property
    def shares_memory(self) -> bool:
        """Whether a GPU uses the computer's main memory."""
        return any(device.shared for device in self.devices)


def detect() -> Machine:
    """Return this computer, with the GPUs that the installed llama.cpp can use."""
    return measure(ggml_devices.list_devices() if ggml_devices.supports_gpu_offload() else ())


def measure(devices: Sequence[GgmlDevice] = (), root: Path = ROOT) -> Machine:
    """Return this computer, with the GPUs among `devices`."""
    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    if (limit := _container_memory(root)) is not None and limit[0] < total:
        total, available = limit[0], min(available, limit[1])
    gpus = tuple(_gpu(device) for device in devices if device.kind in ("gpu", "igpu"))
    return Machine(machine_name(root), total, available, compute_cores(root), gpus)


def machine_name(root: Path = ROOT) -> str:
    """Return the board's name if the firmware knows it, or the system and architecture."""
    board = _read_text(root / "proc/device-tree/model").strip("\0")
    return board or f"{platform.system()} {platform.machine()}"


def compute_cores(root: Path = ROOT) -> int:
    """Return how many threads to compute with: the fast physical cores that we may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = _fast_cores(root) or psutil.cpu_count(logical=False) or allowed or 1
    return max(1, min(cores, allowed or cores, _container_cores(root) or cores))


def load_machine(path: Path) -> Machine:
    """Return the machine that a JSON file describes, in the format of `doctor --json`.

    Raises:
        UsageError: the file cannot be read, or does not describe a machine.
    """
    fields = user_file.read_json(path)
    try:
        fields = fields.get("machine", fields)
        devices = tuple(Device(**device) for device in fields.pop("devices", ()))
        machine = Machine(**fields, devices=devices)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{path} does not describe a machine: {error}.") from error
    numbers = [machine.memory, machine.available, machine.cores, machine.speed]
    numbers += [number for gpu in devices for number in (gpu.memory, gpu.free, gpu.speed)]
    if not all(isinstance(n, int | float) and 0 <= n <= MAX_MACHINE_NUMBER for n in numbers):
        raise UsageError(
            f"{path} does not describe a machine: sizes, cores and speeds must be "
            "non-negative numbers of at most 10^18."
        )
    if not isinstance(machine.cores, int) or machine.cores < 1:
        raise UsageError(f"{path} does not describe a machine: cores must be an integer from 1.")
    return machine


def machine_to_json(machine: Machine) -> Mapping[str, Any]:
    """Return a machine as the JSON object that `load_machine` reads."""
    return asdict(machine)


def temperature(root: Path = ROOT) -> float | None:
    """Return the highest temperature in degrees Celsius, or None if the system reports none."""
    texts = [_read_text(zone).strip() for zone in root.glob("sys/class/thermal/thermal_zone*/temp")]
    return max((int(text) / 1000 for text in texts if text.lstrip("-").isdigit()), default=None)


def throttling_bits(root: Path = ROOT) -> int | None:
    """Return a Raspberry Pi's throttling bits: 0 to 3 now, 16 to 19 since it was started.

    https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
    """
    for path in root.glob("sys/devices/platform/soc*/soc*:firmware/get_throttled"):
        try:
            return int(_read_text(path).strip(), 16)
        except ValueError:
            continue
    return None


def throttling_reasons(root: Path = ROOT) -> list[str]:
    """Return why a Raspberry Pi is slowed down now, as phrases."""
    bits = throttling_bits(root) or 0
    return [reason for bit, reason in THROTTLING_REASONS.items() if bits >> bit & 1]


def has_nvidia_gpu(root: Path = ROOT) -> bool:
    """Return whether there is an NVIDIA GPU with its driver."""
    return nvidia_driver(root) is not None


def nvidia_driver(root: Path = ROOT) -> int | None:
    """Return the major version of NVIDIA's driver: 0 if it is unknown, None without a GPU."""
    version = root / "proc/driver/nvidia/version"
    if not version.is_file() and not (root / "dev/nvidia0").exists():
        return None
    match = re.search(r"^NVRM version:.*?\b(\d{3,})\.\d+", _read_text(version))
    return int(match[1]) if match else 0


def has_amd_gpu(root: Path = ROOT) -> bool:
    """Return whether there is an AMD GPU with its driver."""
    return (root / "dev/kfd").exists()


def _gpu(device: GgmlDevice) -> Device:
    backend = device.name.casefold()
    speeds = [speed for kind, speed in GPU_BYTES_PER_S.items() if kind in backend]
    return Device(
        device.description or device.name,
        device.memory,
        device.free,
        shared=backend.startswith(("metal", "mtl")) or device.kind == "igpu",
        speed=speeds[0] if speeds else OTHER_GPU_BYTES_PER_S,
    )


def _container_memory(root: Path) -> tuple[int, int] | None:
    """Return a container's memory limit and how much of it is left, or None without a limit."""
    for limit_file, used_file in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, used = _read_text(root / limit_file).strip(), _read_text(root / used_file).strip()
        if limit.isdigit() and used.isdigit():
            return int(limit), max(int(limit) - int(used), 0)
    return None


def _container_cores(root: Path) -> int | None:
    quota, _, period = _read_text(root / "sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        return max(1, round(int(quota) / int(period)))
    return None


def _fast_cores(root: Path) -> int | None:
    """Return the number of performance cores, or None if all cores are alike."""
    if sys.platform == "darwin":
        return _sysctl("hw.perflevel0.physicalcpu")
    if not (cpus := _read_text(root / "sys/devices/cpu_core/cpus").strip()):
        return None
    siblings = {
        _read_text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        for cpu in _parse_cpu_list(cpus)
    }
    return len(siblings)


def _parse_cpu_list(text: str) -> Iterator[int]:
    """Yield the numbers of a list such as 0-7,16."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def _sysctl(key: str) -> int | None:
    try:
        done = subprocess.run(["sysctl", "-n", key], capture_output=True, timeout=5, check=True)
        return int(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
