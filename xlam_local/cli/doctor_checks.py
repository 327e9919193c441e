"""The checks of the `doctor` command. Each one yields findings about one subject."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from .. import config, ggml_devices, hardware
from ..errors import UsageError, XlamError
from ..ggml_devices import GgmlDevice
from ..hardware import GIB, MIB, ROOT, Machine
from ..memory_plan import format_gib
from ..models import Store, format_bytes, list_installed, prune
from ..models.user_catalog import load_catalog
from ..models.verify import read_complete
from ..permissions.approver import load as load_policy
from ..tools.sandbox.config import SandboxConfig
from ..tools.tool_file import ToolFile, tool_files
from .llama_cpp_build import (
    MIN_CUDA_DRIVER,
    PACKAGE,
    GpuVendor,
    Host,
    best_build,
    is_pi_5,
)

Status = Literal["fine", "note", "wrong"]

MIN_MODEL_MEMORY = 1.5 * GIB
"""Less usable memory than this holds no model of the catalog."""
MIN_FREE_DISK = 2e9
"""Bytes."""
PI_HOT_CELSIUS = 80.0
"""The temperature from which a Raspberry Pi reduces its clock."""
MAC_RESERVE = 4 * GIB
"""Memory to leave to macOS when Metal's limit is raised."""
HUB_TIMEOUT_S = 5.0
HUB_TEST_REPO = "Salesforce/xLAM-2-1b-fc-r-gguf"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    subject: str
    status: Status
    message: str
    fix: str = ""
    """A command or an advice that fixes the problem."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The machine and the user's folders that the checks look at."""

    machine: Machine
    devices: Sequence[GgmlDevice]
    """The devices of llama.cpp; none if its libraries cannot be loaded."""
    store: Store
    folders: config.Folders
    root: Path = ROOT
    system: str = sys.platform
    architecture: str = platform.machine()
    has_dotprod: bool | None = None
    """Whether llama.cpp uses Arm's dot-product instructions; None if that is unknown."""

    @property
    def gpu(self) -> GpuVendor | None:
        """The vendor of the machine's GPU, whether llama.cpp can use it or not."""
        if hardware.nvidia_driver(self.root) is not None:
            return "nvidia"
        if hardware.has_amd_gpu(self.root):
            return "amd"
        is_apple = self.system == "darwin" and self.architecture == "arm64"
        return "apple" if is_apple else None

    @property
    def host(self) -> Host:
        """What the right build of llama.cpp depends on."""
        return Host(self.machine.name, self.architecture, self.gpu)


def current_context() -> CheckContext:
    """Return this machine and this user."""
    folders = config.folders()
    devices = ggml_devices.list_devices()
    return CheckContext(
        hardware.measure(devices),
        devices,
        Store.from_folders(folders.config, folders.data),
        folders,
        has_dotprod=ggml_devices.cpu_has_dotprod(),
    )


def check_python(context: CheckContext) -> Iterator[Finding]:
    """Check that Python is built for this processor."""
    message = f"{platform.python_version()} on {platform.system()} {context.architecture}"
    if context.system == "darwin" and context.architecture == "x86_64" and context.machine.devices:
        fix = "Install a Python for arm64; this one is for Intel processors and runs in Rosetta."
        yield Finding("Python", "wrong", message, fix)
    else:
        yield Finding("Python", "fine", message)


def check_llama_cpp(context: CheckContext) -> Iterator[Finding]:
    """Check that llama.cpp is installed and built for this machine's processor and GPU."""
    build = best_build(context.host)
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        fix = build.command("", replace=False)
        yield Finding("llama.cpp", "wrong", f"{PACKAGE} is not installed", fix)
        return
    if not context.devices:
        message = f"{PACKAGE} {version} is installed, but its libraries cannot be loaded"
        yield Finding("llama.cpp", "wrong", message, build.command(version))
        return
    devices = ", ".join(f"{device.name} ({device.description})" for device in context.devices)
    yield Finding("llama.cpp", "fine", f"{PACKAGE} {version}, computes on {devices}")
    if not context.machine.devices:
        yield from _check_unused_gpu(context, build.command(version))
    if is_pi_5(context.machine.name) and context.has_dotprod is False:
        message = (
            "llama.cpp is not built for this board's dot-product instructions. Compiling it on "
            "the board makes prompt processing faster (docs/raspberry-pi.md)"
        )
        yield Finding("llama.cpp build", "note", message, build.command(version))


def _check_unused_gpu(context: CheckContext, fix: str) -> Iterator[Finding]:
    """Report a GPU that llama.cpp was built without."""
    if context.gpu is None:
        yield Finding("GPU", "note", "none that llama.cpp can use; models run on the CPU")
        return
    name = {"nvidia": "NVIDIA GPU", "amd": "AMD GPU", "apple": "Apple GPU"}[context.gpu]
    driver = hardware.nvidia_driver(context.root)
    if driver and driver < MIN_CUDA_DRIVER:
        message = f"its driver {driver} is too old for CUDA 12; update it to {MIN_CUDA_DRIVER}"
        yield Finding(name, "wrong", f"{message} or later, and then reinstall llama.cpp", fix)
        return
    yield Finding(name, "wrong", "not used, because llama.cpp was built without it", fix)


def check_memory(context: CheckContext) -> Iterator[Finding]:
    """Check that a model fits into memory."""
    machine = context.machine
    message = (
        f"{format_gib(machine.memory)}, {format_gib(machine.available)} available; "
        f"{machine.cores} cores"
    )
    if machine.usable_memory < MIN_MODEL_MEMORY:
        fix = "Close other programs; no model fits into the available memory."
        yield Finding("Memory", "wrong", message, fix)
    else:
        yield Finding("Memory", "fine", message)
    for device in machine.devices:
        message = f"{device.name}, {format_gib(device.memory)}, {format_gib(device.free)} free"
        yield Finding("GPU", "fine", message)


def check_metal_limit(context: CheckContext) -> Iterator[Finding]:
    """Check how much of a Mac's memory its GPU may use."""
    if context.system != "darwin" or not context.machine.devices:
        return
    total, limit = context.machine.memory, context.machine.devices[0].memory
    message = f"the GPU may use {format_gib(limit)} of {format_gib(total)}"
    if total >= 16 * GIB and limit < 0.7 * total:
        raised = round((total - max(MAC_RESERVE, total // 8)) / MIB)
        fix = f"sudo sysctl iogpu.wired_limit_mb={raised}"
        message += "; the limit can be raised until the next restart"
        yield Finding("GPU memory", "note", message, fix)
    else:
        yield Finding("GPU memory", "fine", message)


def check_raspberry_pi(context: CheckContext) -> Iterator[Finding]:
    """Check whether a Raspberry Pi is throttled or hot."""
    name = context.machine.name
    if hardware.throttling_bits(context.root) is None and "Raspberry" not in name:
        return
    celsius = hardware.temperature(context.root)
    message = name if celsius is None else f"{name}, {celsius:.0f} °C"
    if reasons := hardware.throttling_reasons(context.root):
        fix = "Use a power supply made for this board, and a fan."
        yield Finding("Raspberry Pi", "wrong", f"{message}: {' and '.join(reasons)}", fix)
    elif celsius is not None and celsius >= PI_HOT_CELSIUS:
        yield Finding("Raspberry Pi", "wrong", f"{message}: it will be throttled", "Use a fan.")
    else:
        yield Finding("Raspberry Pi", "fine", message)


def check_disk(context: CheckContext) -> Iterator[Finding]:
    """Check that there is space for a model."""
    folder = context.store.hub_cache
    free = shutil.disk_usage(_existing_parent(folder)).free
    message = f"{format_bytes(free)} free for models in {folder}"
    if free < MIN_FREE_DISK:
        yield Finding("Disk", "wrong", message, "xlam-local models prune")
    else:
        yield Finding("Disk", "fine", message)


def check_folders(context: CheckContext) -> Iterator[Finding]:
    """Check that the program's folders can be written to."""
    folders = context.folders
    own = (folders.config, folders.data, folders.cache, folders.state)
    variables = {**dict.fromkeys(own, "XLAM_LOCAL_HOME"), context.store.hub_cache: "HF_HOME"}
    faults: dict[Path, Finding] = {}
    for folder, variable in variables.items():
        existing = _existing_parent(folder)
        if (error := _write_error(existing)) is not None:
            message = f"{existing} cannot be written: {error.strerror}"
            fix = folder_fix(existing, error.errno, variable)
            faults.setdefault(existing, Finding("Folder", "wrong", message, fix))
    yield from faults.values()
    if not faults:
        yield Finding("Folders", "fine", ", ".join(map(str, own)))


def _write_error(folder: Path) -> OSError | None:
    """Return why no file can be created in a folder, or None if one can."""
    try:
        TemporaryFile(dir=folder).close()
    except OSError as error:
        return error
    return None


def folder_fix(folder: Path, number: int | None, variable: str) -> str:
    """Return what makes a folder writable after the error of a number."""
    name = shlex.quote(str(folder))
    match number:
        case errno.EACCES | errno.EPERM if folder.stat().st_uid == os.getuid():
            return f"chmod u+rwx {name}"
        case errno.EACCES | errno.EPERM:
            return f"sudo chown -R {os.getuid()} {name}"
        case errno.ENOTDIR:
            return f"mv {name} {shlex.quote(f'{folder}.old')}"
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some disk space, for example with `xlam-local models prune`."
        case _:
            return f"Set {variable} to a folder that can be written."


def check_settings(context: CheckContext) -> Iterator[Finding]:
    """Check that the user's files of settings are valid."""
    found = []
    for name, read in SETTINGS_READERS.items():
        path = context.folders.config / name
        if not path.exists() and not path.is_symlink():
            continue
        try:
            read(path)
        except XlamError as error:
            fix = f"Correct {path}, or move it away."
            yield Finding("Settings", "wrong", str(error).rstrip("."), fix)
        else:
            found.append(name)
    if found:
        yield Finding("Settings", "fine", ", ".join(found))


def _read_servers(path: Path) -> object:
    from ..tools.mcp.config import load_servers  # loads the MCP library

    servers = load_servers(path)
    if faults := [f"{one.name}: {one.fault}" for one in servers if one.fault]:
        raise UsageError(f"{path}: {' '.join(faults)}")
    return servers


SETTINGS_READERS: Mapping[str, Callable[[Path], object]] = {
    "config.toml": config.load,
    "policy.toml": load_policy,
    "models.toml": lambda path: load_catalog(path.parent),
    "mcp.json": _read_servers,
}


def check_tool_files(context: CheckContext) -> Iterator[Finding]:
    """Check that the user's tool files can be read; nothing is run."""
    paths = tool_files(context.folders.config)
    good = []
    for path in paths:
        file = ToolFile(path, path.stem, SandboxConfig(context.folders.config))
        file.read()
        if file.source.state == "failed":
            message = file.source.detail.rstrip(".")
            yield Finding("Tools", "wrong", message, f"Correct {path}, or move it away.")
        else:
            good.append(path.name)
    if good:
        yield Finding("Tools", "fine", ", ".join(good))


def _existing_parent(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def check_models(context: CheckContext) -> Iterator[Finding]:
    """Check the installed models, and look for files of interrupted downloads."""
    try:
        installed = list_installed(context.store)
    except UsageError as error:
        message = f"they cannot be listed: {str(error).rstrip('.')}"
        yield Finding("Models", "wrong", message, "Correct the file, or move it away.")
        return
    for model in installed:
        if not model.complete:
            fix = f"xlam-local models pull {model.name}"
            yield Finding("Model", "wrong", f"{model.name} is incomplete", fix)
            continue
        try:
            read_complete(model.files)
        except XlamError as error:
            fix = f"xlam-local models remove {model.name}"
            yield Finding("Model", "wrong", f"{model.name}: {str(error).rstrip('.')}", fix)
    if not installed:
        yield Finding("Models", "note", "none installed", "xlam-local models pick")
    else:
        size = sum(model.size for model in installed)
        yield Finding("Models", "fine", f"{len(installed)} installed, {format_bytes(size)}")
    if unused := prune.unused_files(context.store):
        size = sum(file.size for file in unused)
        message = f"{format_bytes(size)} in unfinished downloads"
        yield Finding("Leftovers", "note", message, "xlam-local models prune")


def check_hub(context: CheckContext) -> Iterator[Finding]:
    """Check that models can be downloaded."""
    from ..models.hub import HubClient

    client = HubClient.from_environment(timeout_s=HUB_TIMEOUT_S)
    try:
        client.list_files(HUB_TEST_REPO)
    except XlamError as error:
        message = f"{str(error).rstrip('.')}. Installed models still work"
        yield Finding("Hub", "note", message, "xlam-local models import FILE.gguf")
    else:
        token = "with a token" if client.token else "without a token; xLAM models need none"
        yield Finding("Hub", "fine", f"{client.endpoint} is reachable, {token}")


CHECKS: tuple[Callable[[CheckContext], Iterator[Finding]], ...] = (
    check_python,
    check_llama_cpp,
    check_memory,
    check_metal_limit,
    check_raspberry_pi,
    check_disk,
    check_folders,
    check_settings,
    check_tool_files,
    check_models,
    check_hub,
)
