"""The commands, each in a process of its own, against a Hub on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import gguf_files
from tests import hub as local
from xlam_local.models import cache, catalog

MEGABYTE = 1 << 20
XLAM = catalog.XLAM[0]
REPO, FILE = str(XLAM.repo), XLAM.file("Q4_K_M")
MAIN = "from xlam_local.cli import main; main()"


@dataclass
class Shell:
    """A user's home, and the Hub they can reach."""

    home: Path
    hub: local.Hub

    def environment(self, **more: str) -> dict[str, str]:
        mine = {"HF_HOME": str(self.home / "hf"), "XLAM_LOCAL_HOME": str(self.home / "xlam")}
        return {**os.environ, **mine, "HF_ENDPOINT": self.hub.endpoint, **more}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MAIN, "models", *words]
        return subprocess.Popen(
            command,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", MAIN, "models", *words]
        environment = self.environment(**more)
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def cache(self) -> Path:
        return self.home / "hf" / "hub"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with local.running(local.Hub()) as hub:
        yield Shell(tmp_path / "home", hub)


@pytest.fixture
def origin(shell: Shell, tmp_path: Path) -> Path:
    path = gguf_files.write(tmp_path / "origin" / FILE, 20 * MEGABYTE, general__name="xLAM 2 1b")
    shell.hub.add(REPO, path)
    return path


def test_a_model_is_pulled_killed_resumed_and_used(shell: Shell, origin: Path) -> None:
    refused = shell.run("pull", "xlam-2-1b")
    assert refused.returncode == 1
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in refused.stderr
    assert "--accept-license" in refused.stderr
    assert not shell.hub.asked

    shell.hub.rate = 10 * MEGABYTE
    process = shell.start("pull", "xlam-2-1b", "--accept-license")
    while not shell.hub.served or shell.hub.served[0].sent < 5 * MEGABYTE:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shell.hub.rate = None

    pulled = shell.run("pull", "xlam-2-1b")
    assert pulled.returncode == 0, pulled.stderr
    path = Path(pulled.stdout.strip())
    assert path.read_bytes() == origin.read_bytes()
    assert shell.hub.served[1].start >= 4 * MEGABYTE

    assert shell.run("path", "xlam-2-1B").stdout.strip() == str(path)
    listed = json.loads(shell.run("list", "--json").stdout)
    assert [model["name"] for model in listed["installed"]] == ["xlam-2-1b:Q4_K_M"]
    shown = json.loads(shell.run("show", "xlam-2-1b", "--json").stdout)
    assert shown["files_from"] == "the Hub"
    assert shown["licences"] == {"cc-by-nc-4.0": True}
    assert shown["template"]["same"] is False


def test_a_damaged_model_is_found_and_pulled_again(shell: Shell, origin: Path) -> None:
    path = Path(shell.run("pull", f"hf:{REPO}:Q4_K_M", "--accept-license").stdout.strip())
    assert shell.run("verify").returncode == 0
    with path.open("r+b") as file:
        file.seek(10 * MEGABYTE)
        file.write(b"damage")
    wrong = shell.run("verify", "xlam-2-1b")
    assert wrong.returncode == 9
    assert "the first wrong byte is among 8388608 to 16777215" in wrong.stdout
    assert shell.run("pull", "xlam-2-1b").returncode == 0
    assert path.read_bytes() == origin.read_bytes()
    removed = shell.run("remove", "xlam-2-1b", "--yes")
    assert "freed" in removed.stderr
    assert shell.run("path", "xlam-2-1b").returncode == 3


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("hf:nobody/nothing:Q4_K_M", 3, "The Hub has no repository nobody/nothing"),
        (f"hf:{REPO}:Q9_Z.gguf", 3, f"which has: {FILE}"),
        ("hf:../etc:passwd", 2, "does not name a repository"),
        ("xlam-2-1c", 3, "the nearest name is xlam-2-1"),
        ("xlam-2-70b", 3, "Salesforce publishes no GGUF of it"),
        ("nothing.gguf", 3, "a file on the Hub is named as hf:owner/repo:file"),
        (REPO, 3, "a file on the Hub is named as hf:owner/repo:file"),
        (__file__, 2, "xlam-local models import"),
    ],
)
def test_a_name_that_cannot_be_pulled_is_a_sentence(
    name: str, code: int, message: str, shell: Shell, origin: Path
) -> None:
    done = shell.run("pull", name, "--accept-license")
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_case_that_differs_is_forgiven(shell: Shell, origin: Path) -> None:
    done = shell.run("pull", f"hf:{REPO.lower()}:{FILE.lower()}", "--accept-license")
    assert done.returncode == 0, done.stderr
    assert cache.snapshot(shell.cache, REPO, local.COMMIT, FILE).is_file()


def test_a_split_model_comes_whole(shell: Shell, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        name = f"big-Q8_0-0000{number}-of-00003.gguf"
        shell.hub.add("some/big-gguf", gguf_files.write(tmp_path / name, seed=number))
    done = shell.run("pull", "hf:some/big-gguf:Q8_0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("big-Q8_0-00001-of-00003.gguf")
    assert len(shell.hub.served) == 3


def test_without_the_hub_what_is_here_is_used(shell: Shell, origin: Path) -> None:
    shell.run("pull", "xlam-2-1b", "--accept-license")
    done = shell.run("pull", "xlam-2-1b", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    missing = shell.run("pull", "xlam-2-1b:Q8_0", HF_HUB_OFFLINE="1")
    assert missing.returncode == 1
    assert "HF_HUB_OFFLINE is set" in missing.stderr
    shown = shell.run("show", "xlam-2-3b", HF_HUB_OFFLINE="1")
    assert "the catalog (HF_HUB_OFFLINE is set, so the Hub is not asked)" in shown.stdout


def test_a_token_from_the_environment_opens_a_private_repository(
    shell: Shell, origin: Path
) -> None:
    shell.hub.repos[REPO].token = "secret"
    assert shell.run("pull", "xlam-2-1b", "--accept-license").returncode == 3
    assert shell.run("pull", "xlam-2-1b", HF_TOKEN="wrong").returncode == 1
    assert shell.run("pull", "xlam-2-1b", HF_TOKEN="secret").returncode == 0


def test_a_proxy_is_asked_for_everything(shell: Shell, origin: Path) -> None:
    # The Hub itself stands in for the proxy: it is sent whole addresses, and answers them.
    shell.hub.store = "http://bytes.invalid"
    nowhere = {"http_proxy": shell.hub.endpoint, "HF_ENDPOINT": "http://hub.invalid"}
    done = shell.run("pull", f"hf:{REPO}:{FILE}", "--accept-license", **nowhere)
    assert done.returncode == 0, done.stderr
    assert len(shell.hub.served) == 1


def test_a_certificate_of_ones_own_is_honoured(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    if shutil.which("openssl") is None:
        pytest.skip("There is no openssl to make a certificate with.")
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with local.running(local.Hub(), tls) as hub:
        hub.add(REPO, gguf_files.write(tmp_path / "origin" / FILE, MEGABYTE))
        shell = Shell(tmp_path / "home", hub)
        strange = shell.run("pull", f"hf:{REPO}:{FILE}", "--accept-license")
        assert strange.returncode == 1
        assert "let SSL_CERT_FILE point to it" in strange.stderr
        trusted = shell.run("pull", f"hf:{REPO}:{FILE}", SSL_CERT_FILE=str(certificate))
        assert trusted.returncode == 0, trusted.stderr


def test_a_pick_for_a_described_machine(shell: Shell) -> None:
    file = Path(__file__).parent / "machines" / "laptop-8gb.json"
    picked = json.loads(shell.run("pick", "--machine", str(file), "--json").stdout)
    assert picked["model"] == "xlam-2-3b:Q4_K_M"
    explained = shell.run("pick", "--machine", str(file), "--explain")
    assert explained.stdout.startswith("xlam-2-3b:Q4_K_M\n")
    assert "Not xlam-2-8b: xlam-2-8b:Q4_0 needs" in explained.stdout


@pytest.mark.parametrize("words", [("list",), ("pull", f"hf:{REPO}:{FILE}"), ("verify",)])
def test_a_folder_without_rights_is_a_sentence(
    words: tuple[str, ...], shell: Shell, origin: Path
) -> None:
    command = [sys.executable, "-c", MAIN, "models"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("There is no setpriv to take root's rights away with.")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    shell.run("pull", f"hf:{REPO}:{FILE}", "--accept-license")
    shell.cache.chmod(0)
    try:
        done = subprocess.run(
            [*command, *words],
            env=shell.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shell.cache.chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


DOCTOR = (
    "import sys; from xlam_local.cli.doctor import doctor; sys.exit(doctor(standalone_mode=False))"
)


def test_the_doctor_looks_at_everything(shell: Shell, origin: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DOCTOR, "--json"]
    done = subprocess.run(
        command, env=shell.environment(), capture_output=True, text=True, check=False
    )
    told = json.loads(done.stdout)
    states = {finding["what"]: finding["state"] for finding in told["findings"]}
    assert states["Hub"] == states["llama.cpp"] == states["Folders"] == "fine"
    assert done.returncode == int("wrong" in states.values())
    path = tmp_path / "machine.json"
    path.write_text(done.stdout)
    assert shell.run("pick", "--machine", str(path)).returncode in (0, 4)


def test_the_list_starts_without_heavy_libraries(shell: Shell) -> None:
    heavy = "huggingface_hub", "httpx2", "numpy", "llama_cpp", "textual", "rich", "urllib.request"
    script = (
        "import sys\nfrom xlam_local.cli import run_command\n"
        "run_command(['models', 'list'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=shell.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
