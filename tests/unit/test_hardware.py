from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.fakes.root_files import write_root
from xlam_local import ggml_devices, hardware
from xlam_local.errors import UsageError
from xlam_local.ggml_devices import GgmlDevice
from xlam_local.hardware import GIB, Device, Machine

CPU = GgmlDevice("CPU", "a processor", "cpu", 8 * GIB, 8 * GIB)


def test_this_computer_has_memory_and_cores() -> None:
    machine = hardware.measure()
    assert machine.memory >= machine.available > 0
    assert machine.cores >= 1
    assert machine.devices == ()


def test_llama_cpp_lists_the_cpu() -> None:
    assert "cpu" in [device.kind for device in ggml_devices.list_devices()]
    assert ggml_devices.cpu_has_dotprod() in (True, False)


def test_a_container_has_the_memory_and_cores_of_its_limits(tmp_path: Path) -> None:
    limits = {
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": f"{GIB // 4}\n",
        "sys/fs/cgroup/cpu.max": "100000 100000\n",
    }
    machine = hardware.measure(root=write_root(tmp_path, limits))
    assert (machine.memory, machine.available, machine.cores) == (GIB, 3 * GIB // 4, 1)


def test_only_fast_physical_cores_are_counted(tmp_path: Path) -> None:
    siblings = {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{first}-{first + 1}\n"
        for cpu in range(4)
        for first in [cpu // 2 * 2]
    }
    root = write_root(tmp_path, {"sys/devices/cpu_core/cpus": "0-3\n", **siblings})
    assert hardware.compute_cores(root) <= 2


def test_gpus_become_devices() -> None:
    listed = [
        CPU,
        GgmlDevice("CUDA0", "NVIDIA RTX", "gpu", 6 * GIB, 5 * GIB),
        GgmlDevice("Metal", "Apple M2", "gpu", 5 * GIB, 5 * GIB),
        GgmlDevice("Vulkan0", "Intel Iris", "igpu", 4 * GIB, 4 * GIB),
    ]
    devices = hardware.measure(listed).devices
    assert [device.name for device in devices] == ["NVIDIA RTX", "Apple M2", "Intel Iris"]
    assert [device.shared for device in devices] == [False, True, True]


@pytest.mark.parametrize(
    ("files", "driver"),
    [
        ({}, None),
        ({"dev/nvidia0": ""}, 0),
        (
            {
                "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "
                "550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version:  gcc 12.2.0\n"
            },
            550,
        ),
    ],
)
def test_the_driver_of_an_nvidia_gpu_is_found(
    tmp_path: Path, files: dict[str, str], driver: int | None
) -> None:
    root = write_root(tmp_path, files)
    assert hardware.nvidia_driver(root) == driver
    assert hardware.has_nvidia_gpu(root) == (driver is not None)


def test_a_machine_is_read_as_it_was_written(tmp_path: Path) -> None:
    machine = Machine("x", 8 * GIB, 5 * GIB, 4, (Device("card", GIB, GIB),))
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"machine": asdict(machine), "findings": []}))
    assert hardware.load_machine(path) == machine


@pytest.mark.parametrize("text", ["3", "[]", "{}", '{"name": "x"}', '{"memory": "8 GB"}'])
def test_a_file_that_describes_no_machine_is_rejected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="does not describe a machine"):
        hardware.load_machine(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("memory", 10**400), ("memory", None), ("available", -1), ("speed", 1e300)),
        *(("cores", 10**400), ("cores", 0), ("cores", 1.5)),
        *(("devices", 5), ("devices", [{"name": "g"}])),
    ],
)
def test_impossible_numbers_of_a_machine_are_rejected(
    key: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    machine = {"name": "x", "memory": GIB, "available": GIB, "cores": 4}
    path.write_text(json.dumps({**machine, key: value}))
    with pytest.raises(UsageError, match="does not describe a machine"):
        hardware.load_machine(path)


def test_sizes_must_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"name": "x", "memory": "8", "available": 1, "cores": 4}')
    with pytest.raises(UsageError, match="must be non-negative numbers"):
        hardware.load_machine(path)
