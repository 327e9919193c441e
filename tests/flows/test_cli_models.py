"""`xlam-local models` with a Hub on this computer."""

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
from pathlib import Path

import pytest

from tests.fakes import fake_hub, gguf_files
from tests.fakes.fake_hub import FakeHub
from tests.fakes.hub_user import HubUser
from tests.fakes.model_store import XLAM_1B, XLAM_1B_REPO
from xlam_local.models import hf_cache

MEGABYTE = 1 << 20
FILE = XLAM_1B.file_name("Q4_K_M")
HUB_NAME = f"hf:{XLAM_1B_REPO}:{FILE}"
MACHINE = Path(__file__).parents[1] / "fakes" / "machines" / "laptop-8gb.json"


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[HubUser]:
    with fake_hub.running(FakeHub()) as hub:
        yield HubUser(tmp_path / "user", hub, monkeypatch, capsys)


@pytest.fixture
def origin(user: HubUser, tmp_path: Path) -> Path:
    path = gguf_files.write(tmp_path / "origin" / FILE, 20 * MEGABYTE, general__name="xLAM 2 1b")
    user.hub.add(XLAM_1B_REPO, path)
    return path


def test_a_license_is_shown_and_accepted_before_the_first_download(
    user: HubUser, origin: Path
) -> None:
    refused = user.run("models", "pull", "xlam-2-1b")
    assert refused.code == 1
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in refused.err
    assert "--accept-license" in refused.err
    assert not user.hub.api_paths
    assert user.run("models", "pull", "xlam-2-1b", "--accept-license").code == 0
    assert "creativecommons" not in user.run("models", "pull", "xlam-2-1b").err


@pytest.mark.slow
def test_a_killed_download_resumes(user: HubUser, origin: Path) -> None:
    user.hub.rate = 20 * MEGABYTE
    program = "from xlam_local.cli import main; main()"
    command = [sys.executable, "-c", program, "models", "pull", "xlam-2-1b", "--accept-license"]
    with subprocess.Popen(command, env=user.environment(), stderr=subprocess.PIPE) as process:
        while not user.hub.range_requests or user.hub.range_requests[0].sent < 5 * MEGABYTE:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    user.hub.rate = None
    pulled = user.run("models", "pull", "xlam-2-1b")
    assert pulled.code == 0, pulled.err
    assert Path(pulled.out.strip()).read_bytes() == origin.read_bytes()
    assert user.hub.range_requests[1].start >= 4 * MEGABYTE


def test_an_installed_model_is_listed_and_shown(user: HubUser, origin: Path) -> None:
    path = user.run("models", "pull", "xlam-2-1b", "--accept-license").out
    assert user.run("models", "path", "xlam-2-1B").out == path
    listed = json.loads(user.run("models", "list", "--json").out)
    assert [model["name"] for model in listed["installed"]] == ["xlam-2-1b:Q4_K_M"]
    assert "never used" in user.run("models", "list").out
    shown = json.loads(user.run("models", "show", "xlam-2-1b", "--json").out)
    assert shown["files_from"] == "the Hub"
    assert shown["licenses"] == {"cc-by-nc-4.0": True}
    assert shown["template"]["matches"] is False
    text = user.run("models", "show", "xlam-2-1b").out
    assert "architecture  qwen2" in text
    assert "license       cc-by-nc-4.0\n" in text


@pytest.mark.slow
def test_a_damaged_model_is_noticed_and_pulled_again(user: HubUser, origin: Path) -> None:
    name = f"hf:{XLAM_1B_REPO}:Q4_K_M"
    path = Path(user.run("models", "pull", name, "--accept-license").out.strip())
    assert user.run("models", "verify").code == 0
    with path.open("r+b") as file:
        file.seek(10 * MEGABYTE)
        file.write(b"damage")
    damaged = user.run("models", "verify", "xlam-2-1b")
    assert damaged.code == 9
    assert "the first wrong byte is in the range 8388608 to 16777215" in damaged.out
    assert user.run("models", "pull", "xlam-2-1b").code == 0
    assert path.read_bytes() == origin.read_bytes()


def test_a_removed_model_is_gone(user: HubUser, origin: Path) -> None:
    user.run("models", "pull", "xlam-2-1b", "--accept-license")
    assert "21 MB freed" in user.run("models", "remove", "xlam-2-1b", "--yes").err
    assert user.run("models", "path", "xlam-2-1b").code == 3


def test_a_partial_download_is_pruned(user: HubUser, origin: Path) -> None:
    path = Path(user.run("models", "pull", "xlam-2-1b", "--accept-license").out.strip())
    partial = path.resolve().with_name("a" * 64 + ".incomplete")
    partial.write_bytes(bytes(2000))
    dry = user.run("models", "prune", "--dry-run")
    assert dry.out == f"{partial} (2 kB): partial download\n"
    assert partial.exists()
    assert user.run("models", "prune").err == "2 kB freed\n"
    assert not partial.exists()


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("hf:nobody/nothing:Q4_K_M", 3, "There is no repository nobody/nothing"),
        (f"hf:{XLAM_1B_REPO}:Q9_Z.gguf", 3, f"has: {FILE}"),
        ("hf:../etc:passwd", 2, "write hf:owner/repo:file"),
        ("xlam-2-1c", 3, "did you mean xlam-2-1"),
        ("xlam-2-70b", 3, "Salesforce publishes no GGUF of it"),
        ("nothing.gguf", 3, "The name of a file on the Hub is hf:owner/repo:file"),
        (XLAM_1B_REPO, 3, "The name of a file on the Hub is hf:owner/repo:file"),
        (__file__, 2, "xlam-local models import"),
    ],
)
def test_a_name_that_cannot_be_pulled_is_an_error(
    name: str, code: int, message: str, user: HubUser, origin: Path
) -> None:
    done = user.run("models", "pull", name, "--accept-license")
    assert done.code == code, done.err
    assert message in done.err


def test_the_case_of_a_name_does_not_matter(user: HubUser, origin: Path) -> None:
    done = user.run("models", "pull", HUB_NAME.lower(), "--accept-license")
    assert done.code == 0, done.err
    path = hf_cache.snapshot_path(user.hub_cache, XLAM_1B_REPO, fake_hub.COMMIT, FILE)
    assert path.is_file()


def test_all_parts_of_a_split_model_are_pulled(user: HubUser, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        name = f"big-Q8_0-0000{number}-of-00003.gguf"
        user.hub.add("some/big-gguf", gguf_files.write(tmp_path / name, seed=number))
    done = user.run("models", "pull", "hf:some/big-gguf:Q8_0")
    assert done.code == 0, done.err
    assert done.out.strip().endswith("big-Q8_0-00001-of-00003.gguf")
    assert len(user.hub.range_requests) == 3


@pytest.mark.slow
def test_an_installed_model_is_used_offline(user: HubUser, origin: Path) -> None:
    user.run("models", "pull", "xlam-2-1b", "--accept-license")
    done = user.run("models", "pull", "xlam-2-1b", HF_HUB_OFFLINE="1")
    assert done.code == 0, done.err
    missing = user.run("models", "pull", "xlam-2-1b:Q8_0", HF_HUB_OFFLINE="1")
    assert missing.code == 1
    assert "HF_HUB_OFFLINE is set" in missing.err
    shown = user.run("models", "show", "xlam-2-3b", HF_HUB_OFFLINE="1")
    assert "the catalog (HF_HUB_OFFLINE is set; the Hub was not contacted)" in shown.out


def test_an_access_token_opens_a_private_repository(user: HubUser, origin: Path) -> None:
    user.hub.repos[XLAM_1B_REPO].token = "secret"
    assert user.run("models", "pull", "xlam-2-1b", "--accept-license").code == 3
    assert user.run("models", "pull", "xlam-2-1b", HF_TOKEN="wrong").code == 1
    assert user.run("models", "pull", "xlam-2-1b", HF_TOKEN="secret").code == 0


@pytest.mark.slow
def test_an_invalid_variable_is_an_error(user: HubUser) -> None:
    command = [sys.executable, "-c", "from xlam_local.cli import main; main()"]
    command += ["models", "show", "xlam-2-1b"]
    environment = {**user.environment(), "HF_HUB_DOWNLOAD_TIMEOUT": "soon"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: An environment variable that begins with HF_ is invalid: "
    )


def test_a_proxy_is_used_for_all_requests(user: HubUser, origin: Path) -> None:
    # The fake Hub is also the proxy: it answers requests with a whole URL in the same way.
    user.hub.storage = "http://bytes.invalid"
    proxy = {"http_proxy": user.hub.endpoint, "HF_ENDPOINT": "http://hub.invalid"}
    done = user.run("models", "pull", HUB_NAME, "--accept-license", **proxy)
    assert done.code == 0, done.err
    assert len(user.hub.range_requests) == 1


def test_the_certificate_of_a_private_authority_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    if shutil.which("openssl") is None:
        pytest.skip("This system has no openssl to create a certificate.")
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with fake_hub.running(FakeHub(), tls) as hub:
        hub.add(XLAM_1B_REPO, gguf_files.write(tmp_path / "origin" / FILE, MEGABYTE))
        user = HubUser(tmp_path / "user", hub, monkeypatch, capsys)
        unknown = user.run("models", "pull", HUB_NAME, "--accept-license")
        assert unknown.code == 1
        assert "set SSL_CERT_FILE" in unknown.err
        trusted = user.run("models", "pull", HUB_NAME, SSL_CERT_FILE=str(certificate))
        assert trusted.code == 0, trusted.err


def test_a_pick_for_another_machine(user: HubUser) -> None:
    picked = json.loads(user.run("models", "pick", "--machine", str(MACHINE), "--json").out)
    assert picked["model"] == "xlam-2-3b:Q4_K_M"
    assert picked["available"]["memory"] >= picked["memory"]
    explained = user.run("models", "pick", "--machine", str(MACHINE), "--explain").out
    assert explained.startswith("xlam-2-3b:Q4_K_M\n")
    assert "\navailable  " in explained
    assert "Skipped xlam-2-8b: Q4_0 needs" in explained


@pytest.mark.slow
def test_a_cache_without_permissions_is_an_error(user: HubUser, origin: Path) -> None:
    commands = [["list"], ["pull", HUB_NAME], ["verify"]]
    program = (
        "from xlam_local.cli import run_command\n"
        f"print([run_command(['models', *command]) for command in {commands!r}])"
    )
    command = [sys.executable, "-c", program]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("This system has no setpriv to drop the permissions of root.")
        rights = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
    user.run("models", "pull", HUB_NAME, "--accept-license")
    user.hub_cache.chmod(0)
    try:
        done = subprocess.run(
            command, env=user.environment(), capture_output=True, text=True, check=True
        )
    finally:
        user.hub_cache.chmod(0o755)
    assert done.stdout == "[1, 1, 1]\n"
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")] == (
        done.stderr.splitlines()
    )


def test_doctor_describes_a_machine_that_pick_accepts(
    user: HubUser, origin: Path, tmp_path: Path
) -> None:
    done = user.run("doctor", "--json")
    states = {finding["what"]: finding["state"] for finding in json.loads(done.out)["findings"]}
    assert states["Hub"] == states["llama.cpp"] == states["Folders"] == "fine"
    assert done.code == int("wrong" in states.values())
    path = tmp_path / "machine.json"
    path.write_text(done.out)
    assert user.run("models", "pick", "--machine", str(path)).code in (0, 4)


def test_the_list_starts_without_heavy_libraries(user: HubUser) -> None:
    heavy = "huggingface_hub", "httpx2", "numpy", "llama_cpp", "textual", "rich", "urllib.request"
    program = (
        "import sys\nfrom xlam_local.cli import run_command\n"
        "run_command(['models', 'list'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=user.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
