"""What this computer has: memory, GPUs, cores."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .fit import Device, Machine

ROOT = Path("/")
PATIENCE = 60.0
"""Seconds that a driver may take to say what there is."""
KINDS = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}
SPEEDS = {"cuda": 250e9, "rocm": 250e9, "hip": 250e9, "metal": 70e9, "mtl": 70e9}
"""Bytes of weights a second, roughly, by the kind of GPU."""
OTHER_SPEED = 100e9
GPU_KINDS = ("cuda", "hip", "metal", "vulkan", "sycl", "opencl", "musa", "cann")

THROTTLED = {0: "its voltage is too low", 2: "it is slowed down", 3: "it is too hot"}
"""What the bits of a Raspberry Pi's firmware mean."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A device as llama.cpp names it."""

    name: str
    description: str
    kind: str
    memory: int
    free: int


def here() -> Machine:
    """This computer, with the GPUs that the installed llama.cpp can use."""
    return measure(backends() if offloads() else ())


def measure(backends: Sequence[Backend] = (), root: Path = ROOT) -> Machine:
    """This computer, with the devices that llama.cpp can use."""
    import psutil

    memory = psutil.virtual_memory()
    total, available = memory.total, memory.available
    if (limit := _container_limit(root)) is not None and limit[0] < total:
        total, available = limit[0], min(available, limit[1])
    devices = tuple(_device(one) for one in backends if one.kind in ("gpu", "igpu"))
    return Machine(name(root), total, available, cores(root), devices)


def name(root: Path = ROOT) -> str:
    """What to call this computer."""
    board = _text(root / "proc/device-tree/model").strip("\0")
    return board or f"{platform.system()} {platform.machine()}"


def cores(root: Path = ROOT) -> int:
    """Cores that compute: of the physical ones we may use, the fast ones."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = _fast_cores(root) or psutil.cpu_count(logical=False) or allowed or 1
    return max(1, min(found, allowed or found, _container_cores(root) or found))


def backends() -> list[Backend]:
    """The devices of the installed llama.cpp, as a process of its own finds them.

    A broken driver takes down the process that asks it.
    """
    # -P: no module of the working folder is imported.
    command = [sys.executable, "-P", "-m", __name__]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
        return [Backend(**one) for one in json.loads(asked.stdout.splitlines()[-1])]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError, TypeError):
        return []


def offloads() -> bool:
    """Whether the installed llama.cpp was built for more than the CPU."""
    folder = library()
    names = [path.name for path in folder.iterdir()] if folder else []
    return any(f"libggml-{kind}." in name for name in names for kind in GPU_KINDS)


def described(path: Path) -> Machine:
    """The machine that a JSON file describes, as `doctor --json` writes it."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        told = told.get("machine", told)
        devices = tuple(Device(**device) for device in told.pop("devices", ()))
        machine = Machine(**told, devices=devices)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} does not describe a machine: {error}.") from error
    numbers = [machine.memory, machine.available, machine.cores, machine.speed]
    numbers += [number for one in devices for number in (one.memory, one.free, one.speed)]
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        raise UsageError(f"{path} does not describe a machine: its numbers count bytes and cores.")
    return machine


def temperature(root: Path = ROOT) -> float | None:
    """The temperature of the hottest part in degrees Celsius, where the system tells."""
    told = [_text(zone).strip() for zone in root.glob("sys/class/thermal/thermal_zone*/temp")]
    return max((int(one) / 1000 for one in told if one.lstrip("-").isdigit()), default=None)


def throttled(root: Path = ROOT) -> int | None:
    """A Raspberry Pi's throttling bits: 0 to 3 now, 16 to 19 since it started."""
    for place in root.glob("sys/devices/platform/soc*/soc*:firmware/get_throttled"):
        try:
            return int(_text(place).strip(), 16)
        except ValueError:
            continue
    return None


def slowed(root: Path = ROOT) -> list[str]:
    """What slows a Raspberry Pi down now, as phrases."""
    bits = throttled(root) or 0
    return [why for bit, why in THROTTLED.items() if bits >> bit & 1]


def nvidia(root: Path = ROOT) -> bool:
    """Whether the system has an NVIDIA GPU with its driver."""
    return (root / "proc/driver/nvidia/version").is_file() or (root / "dev/nvidia0").exists()


def amd(root: Path = ROOT) -> bool:
    """Whether the system has an AMD GPU with its driver."""
    return (root / "dev/kfd").exists()


def library() -> Path | None:
    """The folder of the installed llama.cpp's shared libraries, without loading them."""
    spec = importlib.util.find_spec("llama_cpp")
    for place in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(place) / "lib").is_dir():
            return folder
    return None


def _device(backend: Backend) -> Device:
    speeds = [speed for kind, speed in SPEEDS.items() if kind in backend.name.casefold()]
    metal = backend.name.casefold().startswith(("metal", "mtl"))
    return Device(
        backend.description or backend.name,
        backend.memory,
        backend.free,
        shared=metal or backend.kind == "igpu",
        speed=speeds[0] if speeds else OTHER_SPEED,
    )


def _container_limit(root: Path) -> tuple[int, int] | None:
    """The memory that a container may use, and what of it is left."""
    for most, used in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, current = _text(root / most).strip(), _text(root / used).strip()
        if limit.isdigit() and current.isdigit():
            return int(limit), max(int(limit) - int(current), 0)
    return None


def _container_cores(root: Path) -> int | None:
    quota, _, period = _text(root / "sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        return max(1, round(int(quota) / int(period)))
    return None


def _fast_cores(root: Path) -> int | None:
    """How many fast cores there are beside slow ones."""
    if sys.platform == "darwin":
        return _sysctl("hw.perflevel0.physicalcpu")
    if not (text := _text(root / "sys/devices/cpu_core/cpus").strip()):
        return None
    siblings = {
        _text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        for cpu in _listed(text)
    }
    return len(siblings)


def _listed(text: str) -> Iterator[int]:
    """The numbers of a list such as 0-7,16."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            yield from range(int(first), int(last if last.isdigit() else first) + 1)


def _sysctl(key: str) -> int | None:
    try:
        asked = subprocess.run(["sysctl", "-n", key], capture_output=True, timeout=5, check=True)
        return int(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask_llama() -> Iterator[Backend]:
    """Each device of llama.cpp, through its own functions."""
    folder = library()
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    if folder is None:
        return
    base = ctypes.CDLL(str(folder / f"libggml-base{suffix}"), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(folder / f"libggml{suffix}"), mode=ctypes.RTLD_GLOBAL)
    ggml.ggml_backend_load_all()
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for number in range(ggml.ggml_backend_dev_count()):
        yield _backend(base, ggml.ggml_backend_dev_get(number))


def _backend(base: ctypes.CDLL, device: int) -> Backend:
    pointer = ctypes.c_void_p(device)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    texts = []
    for function in (base.ggml_backend_dev_name, base.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        texts.append((function(pointer) or b"").decode(errors="replace"))
    base.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
    kind = KINDS.get(base.ggml_backend_dev_type(pointer), "other")
    return Backend(texts[0], texts[1], kind, total.value, free.value)


def as_json(machine: Machine) -> Mapping[str, Any]:
    """A machine as `described` reads it."""
    return asdict(machine)


if __name__ == "__main__":
    print(json.dumps([asdict(backend) for backend in _ask_llama()]))
