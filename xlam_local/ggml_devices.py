"""The compute devices that the installed llama.cpp can use.

`python -m xlam_local.ggml_devices` prints them as JSON. It calls the shared libraries of
llama-cpp-python directly, because importing `llama_cpp` takes ten times as long.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PROBE_TIMEOUT_S = 60.0
"""How long a GPU driver may take to answer."""
KINDS = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}
"""The names of `enum ggml_backend_dev_type`."""
GPU_BACKENDS = ("cuda", "hip", "metal", "vulkan", "sycl", "opencl", "musa", "cann")
"""The ggml backends that compute on a GPU, as their library files are called."""


@dataclass(frozen=True, slots=True)
class GgmlDevice:
    """A compute device, as ggml reports it."""

    name: str
    """For example `CUDA0`."""
    description: str
    """The name of the hardware."""
    kind: str
    """cpu, gpu, igpu, accel or other."""
    memory: int
    """Bytes."""
    free: int
    """Bytes."""


def list_devices() -> list[GgmlDevice]:
    """Return the devices of the installed llama.cpp, or none if they cannot be listed.

    A child process asks for them, because a broken GPU driver can crash the process that uses it.
    """
    # -P: a module in the working folder must not be imported instead of a library.
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=True)
        return [GgmlDevice(**item) for item in json.loads(done.stdout.splitlines()[-1])]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError, TypeError):
        return []


def supports_gpu_offload() -> bool:
    """Return whether the installed llama.cpp was built for any GPU."""
    folder = library_folder()
    files = [path.name for path in folder.iterdir()] if folder else []
    return any(f"libggml-{backend}." in file for file in files for backend in GPU_BACKENDS)


def library_folder() -> Path | None:
    """Return the folder of llama.cpp's shared libraries without importing `llama_cpp`."""
    spec = importlib.util.find_spec("llama_cpp")
    for package in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(package) / "lib").is_dir():
            return folder
    return None


def cpu_has_dotprod() -> bool | None:
    """Return whether llama.cpp was built with Arm's dot-product instructions; None if unknown."""
    folder = library_folder()
    if folder is None:
        return None
    try:
        library = ctypes.CDLL(str(folder / f"libggml-cpu{_library_suffix()}"))
        return bool(library.ggml_cpu_has_dotprod())
    except (OSError, AttributeError):
        return None


def _library_suffix() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"


def _probe() -> Iterator[GgmlDevice]:
    """Ask the shared libraries for each device."""
    folder = library_folder()
    if folder is None:
        return
    suffix = _library_suffix()
    base = ctypes.CDLL(str(folder / f"libggml-base{suffix}"), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(folder / f"libggml{suffix}"), mode=ctypes.RTLD_GLOBAL)
    ggml.ggml_backend_load_all()
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for index in range(ggml.ggml_backend_dev_count()):
        yield _device(base, ctypes.c_void_p(ggml.ggml_backend_dev_get(index)))


def _device(base: ctypes.CDLL, device: ctypes.c_void_p) -> GgmlDevice:
    texts = []
    for function in (base.ggml_backend_dev_name, base.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        texts.append((function(device) or b"").decode(errors="replace"))
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    kind = KINDS.get(base.ggml_backend_dev_type(device), "other")
    return GgmlDevice(texts[0], texts[1], kind, total.value, free.value)


if __name__ == "__main__":
    print(json.dumps([asdict(device) for device in _probe()]))
