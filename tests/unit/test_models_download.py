"""Downloads from a fake Hub that fails in every way that a real one can."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from tests.fakes import fake_hub, gguf_files
from tests.fakes.fake_hub import FakeHub, Fault
from tests.fakes.model_store import XLAM_1B_REPO as REPO
from tests.fakes.model_store import new_store
from xlam_local.errors import IntegrityError, XlamError
from xlam_local.models import hf_cache
from xlam_local.models.download import download
from xlam_local.models.hub import HubClient
from xlam_local.models.hub_errors import HubUnreachable
from xlam_local.models.model_names import HubFile
from xlam_local.models.retry import RetryPolicy
from xlam_local.models.types import Progress, Store

FILE = "xLAM-2-1B-fc-r-Q4_K_M.gguf"
HUB_FILE = HubFile(REPO, FILE)
QUICK = RetryPolicy(max_attempts=4, initial_backoff_s=0.01, stall_window_s=0.3)
TIMEOUT_S = 0.4
MEGABYTE = 1 << 20


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub.running(FakeHub()) as hub:
        yield hub


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def origin(hub: FakeHub, tmp_path: Path) -> Path:
    path = gguf_files.write(tmp_path / "origin" / FILE, 5 * MEGABYTE)
    hub.add(REPO, path)
    return path


def download_all(hub: FakeHub, store: Store, token: str | None = None) -> list[Progress]:
    client = HubClient(hub.endpoint, token, TIMEOUT_S)
    return list(download(client, HUB_FILE, store, QUICK))


def interrupt_at(size: int, hub: FakeHub, store: Store) -> None:
    """Download at least `size` bytes, then stop."""
    for progress in (steps := download(HubClient(hub.endpoint), HUB_FILE, store, QUICK)):
        if progress.done >= size:
            break
    steps.close()  # type: ignore[attr-defined]


def is_installed(store: Store, origin: Path) -> bool:
    """Whether the store has the file, byte for byte, and no partial file."""
    path = hf_cache.snapshot_path(store.hub_cache, REPO, fake_hub.COMMIT, origin.name)
    return path.read_bytes() == origin.read_bytes() and not partial_files(store)


def partial_files(store: Store) -> list[Path]:
    return list(store.hub_cache.rglob("*incomplete*"))


def has_no_model(store: Store) -> bool:
    blobs = set(store.hub_cache.glob("*/blobs/*")) - set(partial_files(store))
    return not blobs and not list(store.hub_cache.rglob("*.gguf"))


def test_a_downloaded_file_is_in_the_cache(hub: FakeHub, origin: Path, store: Store) -> None:
    steps = download_all(hub, store)
    path = steps[-1].path
    assert path is not None
    assert is_installed(store, origin)
    assert path.resolve().name == hub.sha256(origin)
    assert hf_cache.commit_of(store.hub_cache, REPO, "main") == fake_hub.COMMIT
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_huggingface_hub_finds_the_file(hub: FakeHub, origin: Path, store: Store) -> None:
    path = download_all(hub, store)[-1].path
    assert try_to_load_from_cache(REPO, FILE, cache_dir=store.hub_cache) == str(path)
    info = scan_cache_dir(store.hub_cache)
    assert not info.warnings
    assert [repo.repo_id for repo in info.repos] == [REPO]


def test_an_interrupted_download_resumes(hub: FakeHub, origin: Path, store: Store) -> None:
    interrupt_at(2 * MEGABYTE, hub, store)
    kept = partial_files(store)[0].stat().st_size
    assert kept >= 2 * MEGABYTE
    download_all(hub, store)
    assert hub.range_requests[-1].start == kept
    assert is_installed(store, origin)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([fake_hub.cut_after(MEGABYTE)] * 2, id="closed twice"),
        pytest.param([fake_hub.cut_after(0)] * 3, id="closed three times without a byte"),
        pytest.param([fake_hub.stall_after(MEGABYTE, 5)], id="stalled"),
        pytest.param([fake_hub.drip(60)], id="100 bytes per second"),
        pytest.param([fake_hub.cut_after(MEGABYTE), fake_hub.ignore_range()], id="no ranges"),
        pytest.param([fake_hub.respond(500), fake_hub.respond(503)], id="500"),
        pytest.param([fake_hub.respond(429, Retry_After="0")], id="429"),
        pytest.param([fake_hub.cut_after(MEGABYTE), fake_hub.respond(416)], id="416"),
        pytest.param([fake_hub.respond(403)], id="expired signature"),
        pytest.param(
            [fake_hub.cut_after(MEGABYTE), fake_hub.wrong_length(MEGABYTE, total=77)],
            id="wrong total",
        ),
        pytest.param([fake_hub.wrong_length(MEGABYTE)], id="too short a length"),
        pytest.param([fake_hub.wrong_length(9 * MEGABYTE)], id="too long a length"),
    ],
)
def test_a_retry_completes_the_file_after(
    faults: list[Fault], hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.faults.extend(faults)
    download_all(hub, store)
    assert is_installed(store, origin)


@pytest.mark.slow
def test_a_retry_waits_as_long_as_the_server_asks(hub: FakeHub, origin: Path, store: Store) -> None:
    hub.faults.append(fake_hub.respond(429, Retry_After="1"))
    start = time.monotonic()
    steps = download_all(hub, store)
    assert time.monotonic() - start >= 1
    assert any("retry in" in step.status for step in steps)


def test_a_request_for_metadata_is_retried(hub: FakeHub, origin: Path, store: Store) -> None:
    hub.answers.extend([web.Response(status=503), web.Response(status=429)])
    download_all(hub, store)
    assert is_installed(store, origin)


def test_a_file_that_is_replaced_during_the_download_is_downloaded_again(
    hub: FakeHub, origin: Path, store: Store, tmp_path: Path
) -> None:
    steps = download(HubClient(hub.endpoint, timeout_s=TIMEOUT_S), HUB_FILE, store, QUICK)
    hub.faults.append(fake_hub.cut_after(2 * MEGABYTE))
    next(step for step in steps if step.done >= MEGABYTE)
    new = gguf_files.write(tmp_path / "new" / FILE, 4 * MEGABYTE, seed=1)
    hub.repos[REPO].files[FILE] = new
    list(steps)
    assert is_installed(store, new)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(fake_hub.respond(500), "4 times in a row", id="500"),
        pytest.param(fake_hub.cut_after(0), "4 times in a row", id="closed"),
        pytest.param(fake_hub.stall_after(0, 5), "4 times in a row", id="stalled"),
        pytest.param(fake_hub.wrong_length(10), "bytes of", id="too short a length"),
        pytest.param(fake_hub.wrong_length(9 * MEGABYTE), "bytes of", id="too long a length"),
        pytest.param(fake_hub.respond(416), "does not have the requested range", id="416"),
        pytest.param(
            fake_hub.respond(302, Location="file:///etc/passwd"), "in a row", id="a local file"
        ),
        pytest.param(
            fake_hub.respond(302, Location="http://127.0.0.1:9/x"), "in a row", id="a closed port"
        ),
        pytest.param(fake_hub.redirect_to_self(), "4 times in a row", id="endless redirects"),
    ],
)
def test_the_download_fails_if_the_server_always_answers_with(
    fault: Fault, message: str, hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.always = fault
    with pytest.raises(XlamError, match=message):
        download_all(hub, store)
    assert has_no_model(store)


def test_the_error_says_how_much_is_downloaded(hub: FakeHub, origin: Path, store: Store) -> None:
    hub.faults.append(fake_hub.cut_after(2 * MEGABYTE))
    hub.always = fake_hub.respond(500)
    with pytest.raises(HubUnreachable, match=r"MB are downloaded; run the same command again"):
        download_all(hub, store)


@pytest.mark.parametrize("resumed", [False, True])
def test_other_content_is_not_installed(
    resumed: bool, hub: FakeHub, origin: Path, store: Store, tmp_path: Path
) -> None:
    other = gguf_files.write(tmp_path / "other" / FILE, 5 * MEGABYTE, seed=1)
    assert other.stat().st_size == origin.stat().st_size
    hub.always = fake_hub.send_other(other)
    if resumed:
        hub.faults.append(fake_hub.cut_after(MEGABYTE))
    with pytest.raises(IntegrityError, match="does not have the SHA-256"):
        download_all(hub, store)
    assert has_no_model(store)
    assert not partial_files(store)


def test_a_damaged_partial_file_is_downloaded_again(
    hub: FakeHub, origin: Path, store: Store
) -> None:
    interrupt_at(2 * MEGABYTE, hub, store)
    partial = partial_files(store)[0]
    partial.write_bytes(b"x" + partial.read_bytes()[1:] + b"y" * 9 * MEGABYTE)
    download_all(hub, store)
    assert is_installed(store, origin)


def test_an_installed_file_is_verified_and_used(hub: FakeHub, origin: Path, store: Store) -> None:
    download_all(hub, store)
    download_all(hub, store)
    assert len(hub.range_requests) == 1
    blob = hf_cache.blob_path(store.hub_cache, REPO, hub.sha256(origin))
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    download_all(hub, store)
    assert is_installed(store, origin)


def test_a_file_that_is_not_gguf_is_not_installed(
    hub: FakeHub, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"<!doctype html>" * 1000)
    hub.add(REPO, path)
    with pytest.raises(
        IntegrityError, match=r"xLAM-2-1B-fc-r-Q4_K_M\.gguf is not a GGUF file but a web page"
    ):
        download_all(hub, store)
    assert has_no_model(store)
    assert not partial_files(store)


@pytest.mark.parametrize("sha256", ["../../../evil", "abc", "0" * 40])
def test_metadata_without_a_checksum_is_rejected(
    sha256: str, hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.repos[REPO].hashes[FILE] = sha256
    with pytest.raises(IntegrityError, match="no SHA-256"):
        download_all(hub, store)


def test_a_commit_with_a_path_is_rejected(hub: FakeHub, origin: Path, store: Store) -> None:
    hub.repos[REPO].commit = "../../../../etc"
    with pytest.raises(IntegrityError, match="no commit"):
        download_all(hub, store)


@pytest.mark.parametrize("size", [4 * MEGABYTE, 6 * MEGABYTE])
def test_a_file_of_another_size_is_not_installed(
    size: int, hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.repos[REPO].sizes[FILE] = size
    with pytest.raises(IntegrityError, match="not"):
        download_all(hub, store)
    assert has_no_model(store)


def test_the_token_is_not_sent_to_the_storage_host(
    hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.repos[REPO].token = "secret"
    download_all(hub, store, "secret")
    assert hub.range_requests[0].authorization is None
    assert is_installed(store, origin)


@pytest.mark.parametrize(
    ("gated", "token", "message"),
    [
        pytest.param(False, None, "private", id="private, no token"),
        pytest.param(False, "wrong", "rejected the access token", id="private, wrong token"),
        pytest.param(True, None, "gated repository", id="gated, no token"),
    ],
)
def test_a_repository_without_access_says_what_to_do(
    gated: bool, token: str | None, message: str, hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.repos[REPO].token, hub.repos[REPO].gated = "secret", gated
    with pytest.raises(XlamError, match=f"{message}.*HF_TOKEN"):
        download_all(hub, store, token)


def test_a_hub_that_does_not_answer_is_an_error(store: Store) -> None:
    client = HubClient("http://127.0.0.1:9", timeout_s=TIMEOUT_S)
    with pytest.raises(HubUnreachable, match=r"127\.0\.0\.1:9 cannot be reached"):
        list(download(client, HUB_FILE, store, QUICK))
    assert not store.hub_cache.exists()


def test_a_second_download_waits_for_the_first(hub: FakeHub, origin: Path, store: Store) -> None:
    hub.rate = 20 * MEGABYTE
    downloads: list[list[Progress]] = []
    threads = [
        threading.Thread(target=lambda: downloads.append(download_all(hub, store)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hub.range_requests) == 1
    assert len(downloads) == 3
    assert any(step.status == "another process is downloading" for step in downloads[-1])
    assert is_installed(store, origin)


def test_a_disk_without_enough_space_is_noticed_before_the_download(
    hub: FakeHub, origin: Path, store: Store
) -> None:
    hub.repos[REPO].sizes[FILE] = 1 << 50
    with pytest.raises(XlamError, match="Not enough disk space"):
        download_all(hub, store)
    assert not hub.range_requests
    assert not partial_files(store)
