"""Which build of llama-cpp-python fits a machine, and the command that installs it.

docs/install.md lists the prebuilt wheels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WHEEL_INDEX = "https://abetlen.github.io/llama-cpp-python/whl"
"""The index of llama-cpp-python's author, with a folder for each variant."""
PACKAGE = "llama-cpp-python"
CUDA_VARIANT = "cu124"
MIN_CUDA_DRIVER = 525
"""The first driver branch that runs programs built with any CUDA 12.x.

https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
"""
REPLACE = "--force-reinstall --no-deps"

GpuVendor = Literal["nvidia", "amd", "apple"]


@dataclass(frozen=True, slots=True)
class Host:
    """The properties of a machine that its build depends on."""

    name: str
    """For example `Raspberry Pi 5 Model B Rev 1.0`."""
    architecture: str
    """As `platform.machine()` returns it."""
    gpu: GpuVendor | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """A build of llama-cpp-python: a prebuilt wheel, or one that is compiled on the machine."""

    wheel: str = ""
    """The variant of the wheel, such as `cpu`; "" to compile."""
    cmake_args: str = ""
    """Arguments for compiling."""

    def command(self, version: str, replace: bool = True) -> str:
        """Return the command that installs the build; `replace` an installed one of `version`."""
        reinstall = [REPLACE] if replace else []
        requirement = f"{PACKAGE}=={version}" if version else PACKAGE
        if self.wheel:
            source = f"--only-binary {PACKAGE} --extra-index-url {WHEEL_INDEX}/{self.wheel}"
            return " ".join(["pip install", requirement, *reinstall, source])
        # pip would otherwise install the wheel that it compiled before.
        no_cache = ["--no-cache-dir"] if replace else []
        source = f"--no-binary {PACKAGE}"
        command = " ".join(["pip install", requirement, *reinstall, *no_cache, source])
        return f'CMAKE_ARGS="{self.cmake_args}" {command}' if self.cmake_args else command


def best_build(host: Host) -> Build:
    """Return the build that uses a machine's GPU, or else its CPU, best."""
    match host.gpu:
        case "apple":
            return Build("metal")
        case "nvidia" if host.architecture == "x86_64":
            return Build(CUDA_VARIANT)
        case "nvidia":
            return Build(cmake_args="-DGGML_CUDA=on")
        case "amd":
            return Build(cmake_args="-DGGML_VULKAN=on")
    # The prebuilt wheel for arm64 does not use the dot-product instructions of the Pi 5.
    return Build() if is_pi_5(host.name) else Build("cpu")


def is_pi_5(machine_name: str) -> bool:
    """Return whether a machine has the processor of the Raspberry Pi 5."""
    return any(board in machine_name for board in ("Raspberry Pi 5", "Compute Module 5"))
