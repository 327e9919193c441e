from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from xlam_local import machine
from xlam_local.cli import doctor
from xlam_local.config import Folders
from xlam_local.errors import UsageError
from xlam_local.fit import GIB, Device, Machine
from xlam_local.machine import Backend
from xlam_local.models import Store

CPU = Backend("CPU", "a processor", "cpu", 8 * GIB, 8 * GIB)


def tree(root: Path, **files: str) -> Path:
    """A file system with these files, `__` for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def case(tmp_path: Path, here: Machine, *backends: Backend, system: str = "linux") -> doctor.Case:
    kept = Folders(*(tmp_path / name for name in ("config", "data", "cache", "state")))
    store = Store(tmp_path / "hub", kept.data, kept.config)
    return doctor.Case(here, backends or (CPU,), store, kept, tmp_path / "root", system)


def test_this_computer_has_memory_and_cores() -> None:
    here = machine.measure()
    assert here.memory >= here.available > 0
    assert here.cores >= 1
    assert here.devices == ()


def test_llama_cpp_says_what_it_computes_with() -> None:
    assert "cpu" in [backend.kind for backend in machine.backends()]


def test_a_container_has_the_memory_it_is_given(tmp_path: Path) -> None:
    limits = {
        "sys__fs__cgroup__memory.max": f"{GIB}\n",
        "sys__fs__cgroup__memory.current": f"{GIB // 4}\n",
        "sys__fs__cgroup__cpu.max": "100000 100000\n",
    }
    here = machine.measure(root=tree(tmp_path, **limits))
    assert (here.memory, here.available, here.cores) == (GIB, 3 * GIB // 4, 1)


def test_only_fast_cores_count(tmp_path: Path) -> None:
    root = tree(tmp_path, sys__devices__cpu_core__cpus="0-3\n")
    for cpu in range(4):
        pair = f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}\n"
        name = f"sys__devices__system__cpu__cpu{cpu}__topology__thread_siblings_list"
        tree(tmp_path, **{name: pair})
    assert machine.cores(root) <= 2


def test_gpus_become_devices() -> None:
    backends = [
        CPU,
        Backend("CUDA0", "NVIDIA RTX", "gpu", 6 * GIB, 5 * GIB),
        Backend("Metal", "Apple M2", "gpu", 5 * GIB, 5 * GIB),
        Backend("Vulkan0", "Intel Iris", "igpu", 4 * GIB, 4 * GIB),
    ]
    devices = machine.measure(backends).devices
    assert [device.name for device in devices] == ["NVIDIA RTX", "Apple M2", "Intel Iris"]
    assert [device.shared for device in devices] == [False, True, True]


def test_a_described_machine_is_read_as_it_was_written(tmp_path: Path) -> None:
    here = Machine("x", 8 * GIB, 5 * GIB, 4, (Device("card", GIB, GIB),))
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"machine": asdict(here), "findings": []}))
    assert machine.described(path) == here


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', '{"memory": "8 GB"}'])
def test_a_description_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="does not describe a machine"):
        machine.described(path)


def test_numbers_have_to_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"name": "x", "memory": "8", "available": 1, "cores": 4}')
    with pytest.raises(UsageError, match="its numbers count bytes and cores"):
        machine.described(path)


def test_a_pi_says_that_it_is_throttled(tmp_path: Path) -> None:
    place = "sys__devices__platform__soc__soc:firmware__get_throttled"
    thermal = "sys__class__thermal__thermal_zone0__temp"
    root = tmp_path / "root"
    tree(root, **{place: "50005\n", thermal: "81234\n"})
    pi = Machine("Raspberry Pi 4 Model B", 4 * GIB, 3 * GIB, 4)
    (finding,) = doctor.pi(case(tmp_path, pi))
    assert finding.state == "wrong"
    assert "81 °C: its voltage is too low and it is slowed down" in finding.said
    tree(root, **{place: "0\n", thermal: "45000\n"})
    (finding,) = doctor.pi(case(tmp_path, pi))
    assert finding.state == "fine"


def test_other_computers_are_no_pi(tmp_path: Path) -> None:
    assert not list(doctor.pi(case(tmp_path, Machine("PC", GIB, GIB, 4))))


def test_a_gpu_that_llama_cpp_was_built_without_is_told(tmp_path: Path) -> None:
    tree(tmp_path / "root", proc__driver__nvidia__version="NVRM")
    *_, finding = doctor.llama(case(tmp_path, Machine("PC", GIB, GIB, 4)))
    assert (finding.what, finding.state) == ("NVIDIA GPU", "wrong")
    assert finding.mend.startswith("pip install --force-reinstall --no-deps llama-cpp-python==")
    assert finding.mend.endswith("/cu124")


def test_libraries_that_do_not_load_are_wrong(tmp_path: Path) -> None:
    broken = doctor.Case(
        Machine("PC", GIB, GIB, 4),
        (),
        Store(tmp_path, tmp_path, tmp_path),
        Folders(tmp_path, tmp_path, tmp_path, tmp_path),
    )
    (finding,) = doctor.llama(broken)
    assert finding.state == "wrong"


def test_too_little_memory_is_wrong(tmp_path: Path) -> None:
    (finding,) = doctor.memory(case(tmp_path, Machine("PC", 2 * GIB, GIB, 4)))
    assert finding.state == "wrong"


def test_a_mac_says_what_its_gpu_may_take(tmp_path: Path) -> None:
    mac = Machine("Mac", 64 * GIB, 50 * GIB, 8, (Device("M3", 40 * GIB, 40 * GIB, True),))
    (finding,) = doctor.apple(case(tmp_path, mac, system="darwin"))
    assert finding.mend == "sudo sysctl iogpu.wired_limit_mb=57344"


def test_a_folder_that_cannot_be_written_says_what_mends_it(tmp_path: Path) -> None:
    fine = case(tmp_path, Machine("PC", GIB, GIB, 4))
    assert [finding.state for finding in doctor.folders(fine)] == ["fine"]


def test_the_models_that_are_here_are_counted(tmp_path: Path) -> None:
    (finding,) = doctor.models(case(tmp_path, Machine("PC", GIB, GIB, 4)))
    assert finding.mend == "xlam-local models pick"
