from __future__ import annotations

import errno
import os
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from tests.fakes.root_files import write_root
from xlam_local.cli import doctor_checks
from xlam_local.cli.doctor_checks import CheckContext
from xlam_local.cli.llama_cpp_build import Host, best_build
from xlam_local.config import Folders
from xlam_local.ggml_devices import GgmlDevice
from xlam_local.hardware import GIB, Device, Machine, load_machine
from xlam_local.models import Store

MACHINES = Path(__file__).parents[1] / "fakes" / "machines"
CPU = GgmlDevice("CPU", "a processor", "cpu", 8 * GIB, 8 * GIB)
PC = Machine("PC", GIB, GIB, 4)
VERSION = metadata.version("llama-cpp-python")
INSTALL_PAGE = Path(__file__).parents[2] / "docs" / "install.md"


def make_context(tmp_path: Path, machine: Machine, system: str = "linux") -> CheckContext:
    """Return a context of a machine whose llama.cpp computes on the CPU only."""
    folders = Folders(*(tmp_path / name for name in ("config", "data", "cache", "state")))
    store = Store(tmp_path / "hub", folders.data, folders.config)
    root = tmp_path / "root"
    return CheckContext(machine, (CPU,), store, folders, root, system, "x86_64")


def nvidia_driver(version: str) -> dict[str, str]:
    line = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build\n"
    return {"proc/driver/nvidia/version": line}


WHEEL = (
    f"pip install llama-cpp-python=={VERSION} --force-reinstall --no-deps --only-binary "
    "llama-cpp-python --extra-index-url https://abetlen.github.io/llama-cpp-python/whl/"
)
COMPILE = (
    f"pip install llama-cpp-python=={VERSION} --force-reinstall --no-deps --no-cache-dir "
    "--no-binary llama-cpp-python"
)


@pytest.mark.parametrize(
    ("machine", "files", "system", "architecture", "subject", "fix"),
    [
        (
            "laptop-16gb-cuda-6gb",
            nvidia_driver("550.54.14"),
            "linux",
            "x86_64",
            "NVIDIA GPU",
            f"{WHEEL}cu124",
        ),
        (
            "desktop-32gb-cuda-24gb",
            {"dev/nvidia0": ""},
            "linux",
            "x86_64",
            "NVIDIA GPU",
            f"{WHEEL}cu124",
        ),
        (
            "server-256gb",
            nvidia_driver("570.86.10"),
            "linux",
            "aarch64",
            "NVIDIA GPU",
            f'CMAKE_ARGS="-DGGML_CUDA=on" {COMPILE}',
        ),
        (
            "laptop-8gb",
            {"dev/kfd": ""},
            "linux",
            "x86_64",
            "AMD GPU",
            f'CMAKE_ARGS="-DGGML_VULKAN=on" {COMPILE}',
        ),
        ("mac-16gb", {}, "darwin", "arm64", "Apple GPU", f"{WHEEL}metal"),
        ("mac-64gb", {}, "darwin", "arm64", "Apple GPU", f"{WHEEL}metal"),
        ("laptop-8gb", {}, "linux", "x86_64", "GPU", ""),
        ("pi4-4gb", {}, "linux", "aarch64", "GPU", ""),
        ("pi5-8gb", {}, "linux", "aarch64", "llama.cpp build", COMPILE),
    ],
)
def test_the_right_build_is_named_for_an_unused_gpu(
    tmp_path: Path,
    machine: str,
    files: dict[str, str],
    system: str,
    architecture: str,
    subject: str,
    fix: str,
) -> None:
    described = load_machine(MACHINES / f"{machine}.json")
    context = replace(
        make_context(tmp_path, replace(described, devices=()), system),
        root=write_root(tmp_path / "root", files),
        architecture=architecture,
        has_dotprod=False,
    )
    *_, finding = doctor_checks.check_llama_cpp(context)
    assert (finding.subject, finding.fix) == (subject, fix)
    assert finding.status == ("note" if subject in ("GPU", "llama.cpp build") else "wrong")


def test_a_pi_5_with_a_llama_cpp_of_its_own_is_fine(tmp_path: Path) -> None:
    context = make_context(tmp_path, load_machine(MACHINES / "pi5-8gb.json"))
    for has_dotprod in (True, None):
        findings = doctor_checks.check_llama_cpp(replace(context, has_dotprod=has_dotprod))
        assert "llama.cpp build" not in [finding.subject for finding in findings]


def test_an_nvidia_driver_that_is_too_old_is_named(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    write_root(context.root, nvidia_driver("470.256.02"))
    *_, finding = doctor_checks.check_llama_cpp(context)
    assert "its driver 470 is too old for CUDA 12" in finding.message
    assert finding.fix.endswith("/cu124")


def test_libraries_that_do_not_load_are_wrong(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    (finding,) = doctor_checks.check_llama_cpp(replace(context, devices=()))
    assert finding.status == "wrong"
    assert finding.fix == f"{WHEEL}cpu"
    pi = replace(context, devices=(), machine=load_machine(MACHINES / "pi5-8gb.json"))
    (finding,) = doctor_checks.check_llama_cpp(pi)
    assert finding.fix == COMPILE


def test_the_command_for_a_wheel_is_that_of_the_install_page() -> None:
    words = " ".join(INSTALL_PAGE.read_text(encoding="utf-8").replace("\\\n", " ").split())
    for variant in ("cpu", "metal", "cu124"):
        assert f"| `{variant}` |" in words
    build = best_build(Host("PC", "x86_64"))
    assert build.command(VERSION, replace=False) in words


def test_a_throttled_raspberry_pi_is_wrong(tmp_path: Path) -> None:
    throttling = "sys/devices/platform/soc/soc:firmware/get_throttled"
    thermal = "sys/class/thermal/thermal_zone0/temp"
    context = make_context(tmp_path, Machine("Raspberry Pi 4 Model B", 4 * GIB, 3 * GIB, 4))
    write_root(context.root, {throttling: "50005\n", thermal: "81234\n"})
    (finding,) = doctor_checks.check_raspberry_pi(context)
    assert finding.status == "wrong"
    assert "81 °C: its voltage is too low and it is throttled" in finding.message
    write_root(context.root, {throttling: "0\n"})
    (finding,) = doctor_checks.check_raspberry_pi(context)
    assert "81 °C: it will be throttled" in finding.message
    write_root(context.root, {thermal: "45000\n"})
    (finding,) = doctor_checks.check_raspberry_pi(context)
    assert finding.status == "fine"


def test_other_computers_are_not_checked_as_a_raspberry_pi(tmp_path: Path) -> None:
    assert not list(doctor_checks.check_raspberry_pi(make_context(tmp_path, PC)))


def test_too_little_memory_is_wrong(tmp_path: Path) -> None:
    context = make_context(tmp_path, Machine("PC", 2 * GIB, GIB, 4))
    (finding,) = doctor_checks.check_memory(context)
    assert finding.status == "wrong"


def test_the_memory_limit_of_a_macs_gpu_is_checked(tmp_path: Path) -> None:
    mac = Machine("Mac", 64 * GIB, 50 * GIB, 8, (Device("M3", 40 * GIB, 40 * GIB, True),))
    (finding,) = doctor_checks.check_metal_limit(make_context(tmp_path, mac, "darwin"))
    assert finding.fix == "sudo sysctl iogpu.wired_limit_mb=57344"


def test_a_python_for_intel_processors_on_apple_silicon_is_wrong(tmp_path: Path) -> None:
    mac = load_machine(MACHINES / "mac-16gb.json")
    (finding,) = doctor_checks.check_python(make_context(tmp_path, mac, "darwin"))
    assert finding.status == "wrong"
    (finding,) = doctor_checks.check_python(make_context(tmp_path, PC))
    assert finding.status == "fine"


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EROFS, "Set XLAM_LOCAL_HOME to a folder that can be written."),
        (errno.EIO, "Set XLAM_LOCAL_HOME to a folder that can be written."),
        (errno.EACCES, "chmod u+rwx '{folder}'"),
        (errno.EPERM, "chmod u+rwx '{folder}'"),
        (errno.ENOTDIR, "mv '{folder}' '{folder}.old'"),
        (errno.ENOSPC, "Free some disk space, for example with `xlam-local models prune`."),
        (errno.EDQUOT, "Free some disk space, for example with `xlam-local models prune`."),
    ],
)
def test_a_folder_that_cannot_be_written_has_its_own_fix(
    number: int, fix: str, tmp_path: Path
) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    found = doctor_checks.folder_fix(folder, number, "XLAM_LOCAL_HOME")
    assert found == fix.format(folder=folder)


def test_the_folder_of_another_user_is_given_back(tmp_path: Path) -> None:
    if os.getuid():
        folder = Path("/")
    else:
        folder = tmp_path
        os.chown(folder, 12345, -1)
    fix = doctor_checks.folder_fix(folder, errno.EACCES, "HF_HOME")
    assert fix == f"sudo chown -R {os.getuid()} {folder}"


def test_every_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    (tmp_path / "data").write_text("a file")
    (tmp_path / "hub").write_text("a file")
    data, hub = doctor_checks.check_folders(context)
    assert (data.status, hub.status) == ("wrong", "wrong")
    assert data.message == f"{tmp_path / 'data'} cannot be written: Not a directory"
    assert hub.fix == f"mv {tmp_path / 'hub'} {tmp_path / 'hub'}.old"


@pytest.mark.parametrize("name", ["config.toml", "policy.toml", "models.toml", "mcp.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xef\xbb\xbf[[", b"a = 1\na = 2"])
def test_a_fault_in_a_file_of_settings_is_a_finding(
    name: str, content: bytes, tmp_path: Path
) -> None:
    context = make_context(tmp_path, PC)
    context.folders.config.mkdir()
    (context.folders.config / name).write_bytes(content)
    (finding,) = doctor_checks.check_settings(context)
    assert (finding.subject, finding.status) == ("Settings", "wrong")
    assert name in finding.message
    statuses = [one.status for one in doctor_checks.check_models(context)]
    assert ("wrong" in statuses) is (name == "models.toml")


def test_a_fault_in_the_entry_of_a_server_is_a_finding(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    context.folders.config.mkdir()
    path = context.folders.config / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": "x"}, "b": 5, "c": {}}}')
    (finding,) = doctor_checks.check_settings(context)
    assert finding.status == "wrong"
    assert finding.message.startswith(f"{path}: b: The entry is not a JSON object. c: ")


def test_installed_files_that_are_no_models_are_findings(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    folder = context.store.hub_cache / "models--a--b" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "bad.gguf").write_bytes(b"GGUFxx")
    (folder / "empty.gguf").touch()
    bad, empty, count = doctor_checks.check_models(context)
    assert (bad.status, empty.status, count.status) == ("wrong", "wrong", "fine")
    assert bad.message.startswith("hf:a/b:bad.gguf: bad.gguf")
    assert empty.message.startswith("hf:a/b:empty.gguf: empty.gguf is not a GGUF file")
    assert bad.fix == "xlam-local models remove hf:a/b:bad.gguf"


def test_tool_files_that_cannot_be_read_are_findings(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    assert list(doctor_checks.check_tool_files(context)) == []
    folder = context.folders.config / "tools"
    folder.mkdir(parents=True)
    (folder / "good.json").write_text('[{"name": "f"}]')
    (folder / "runs.py").write_text("1 / 0")
    (folder / "broken.toml").write_text("[[")
    (folder / "broken.py").write_text("def")
    (folder / "folder.py").mkdir()
    *wrong, fine = doctor_checks.check_tool_files(context)
    assert {finding.status for finding in wrong} == {"wrong"}
    for finding, name in zip(wrong, ("broken.py", "broken.toml", "folder.py"), strict=True):
        assert str(folder / name) in finding.message
        assert str(folder / name) in finding.fix
    assert (fine.status, fine.message) == ("fine", "good.json, runs.py")


def test_valid_files_of_settings_are_fine(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    assert list(doctor_checks.check_settings(context)) == []
    context.folders.config.mkdir()
    (context.folders.config / "config.toml").write_bytes(b"\xef\xbb\xbftheme = 'nord'\n")
    (context.folders.config / "mcp.json").write_text('{"mcpServers": {}}')
    (finding,) = doctor_checks.check_settings(context)
    assert (finding.status, finding.message) == ("fine", "config.toml, mcp.json")


def test_writable_folders_are_fine(tmp_path: Path) -> None:
    context = make_context(tmp_path, PC)
    assert [finding.status for finding in doctor_checks.check_folders(context)] == ["fine"]


def test_without_models_a_command_that_recommends_one_is_named(tmp_path: Path) -> None:
    (finding,) = doctor_checks.check_models(make_context(tmp_path, PC))
    assert finding.fix == "xlam-local models pick"
