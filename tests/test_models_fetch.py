from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests import gguf_files
from tests import hub as local
from xlam_local.errors import IntegrityError, XlamError
from xlam_local.models import cache, names
from xlam_local.models.fetch import Patience, fetch
from xlam_local.models.hub import Hub
from xlam_local.models.names import OnHub
from xlam_local.models.refusals import Unreachable
from xlam_local.models.types import Progress, Store

REPO, FILE = "Salesforce/xLAM-2-1b-fc-r-gguf", "xLAM-2-1B-fc-r-Q4_K_M.gguf"
WANTED = OnHub(REPO, FILE)
QUICK = Patience(tries=4, pause=0.01, window=0.3)
MEGABYTE = 1 << 20


@pytest.fixture
def hub() -> Iterator[local.Hub]:
    with local.running(local.Hub()) as served:
        yield served


@pytest.fixture
def file(hub: local.Hub, tmp_path: Path) -> Path:
    path = gguf_files.write(tmp_path / "origin" / FILE, 5 * MEGABYTE)
    hub.add(REPO, path)
    return path


def in_(folder: Path) -> Store:
    return Store(folder, folder.parent / "data", folder.parent / "config")


def bring(hub: local.Hub, folder: Path, patience: Patience = QUICK) -> list[Progress]:
    client = Hub(hub.endpoint, timeout=0.4)
    return list(fetch(client, WANTED, in_(folder), patience))


def begin(hub: local.Hub, folder: Path, size: int) -> None:
    """Fetch until `size` bytes are there, and stop."""
    steps = fetch(Hub(hub.endpoint), WANTED, in_(folder), QUICK)
    for step in steps:
        if step.done >= size:
            break
    steps.close()  # type: ignore[attr-defined]


def right(folder: Path, origin: Path) -> bool:
    """Whether the file is in the cache, byte for byte, and nothing is left over."""
    path = cache.snapshot(folder, REPO, local.COMMIT, origin.name)
    return path.read_bytes() == origin.read_bytes() and not left_over(folder)


def left_over(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "incomplete" in path.name]


def nothing_installed(folder: Path) -> bool:
    return not list(folder.rglob("*.gguf")) and not [
        blob for blob in folder.glob("*/blobs/*") if "incomplete" not in blob.name
    ]


def test_a_file_arrives_where_other_programs_look_for_it(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    steps = bring(hub, tmp_path / "hub")
    path = steps[-1].path
    assert path is not None
    assert right(tmp_path / "hub", file)
    assert path.resolve().name == hub.sha256(file)
    assert cache.current(tmp_path / "hub", REPO, "main") == local.COMMIT
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_huggingface_hub_finds_the_file(hub: local.Hub, file: Path, tmp_path: Path) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    path = bring(hub, tmp_path / "hub")[-1].path
    assert try_to_load_from_cache(REPO, FILE, cache_dir=tmp_path / "hub") == str(path)
    info = scan_cache_dir(tmp_path / "hub")
    assert not info.warnings
    assert [repo.repo_id for repo in info.repos] == [REPO]


def test_a_broken_fetch_goes_on_where_it_stopped(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    begin(hub, tmp_path / "hub", 2 * MEGABYTE)
    kept = left_over(tmp_path / "hub")[0].stat().st_size
    assert kept >= 2 * MEGABYTE
    bring(hub, tmp_path / "hub")
    assert hub.served[-1].start == kept
    assert right(tmp_path / "hub", file)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([local.cut(MEGABYTE), local.cut(MEGABYTE)], id="cut twice"),
        pytest.param([local.cut(0)] * 3, id="nothing at all three times"),
        pytest.param([local.stalled(MEGABYTE, 5)], id="stalled"),
        pytest.param([local.dripping(60)], id="dripping"),
        pytest.param([local.cut(MEGABYTE), local.from_zero()], id="no ranges"),
        pytest.param([local.answering(500), local.answering(503)], id="500"),
        pytest.param([local.answering(429, Retry_After="0")], id="429"),
        pytest.param([local.cut(MEGABYTE), local.answering(416)], id="416"),
        pytest.param([local.answering(403)], id="signature ran out"),
        pytest.param([local.cut(MEGABYTE), local.lying(MEGABYTE, total=77)], id="wrong total"),
        pytest.param([local.lying(MEGABYTE)], id="too short a length"),
        pytest.param([local.lying(9 * MEGABYTE)], id="too long a length"),
    ],
)
def test_the_right_file_comes_in_spite_of(
    faults: list[local.Fault], hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.faults.extend(faults)
    bring(hub, tmp_path / "hub")
    assert right(tmp_path / "hub", file)


def test_the_server_is_left_alone_as_long_as_it_asks(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.faults.append(local.answering(429, Retry_After="1"))
    began = time.monotonic()
    steps = bring(hub, tmp_path / "hub")
    assert time.monotonic() - began >= 1
    assert any("again in" in step.what for step in steps)


def test_a_busy_hub_is_asked_again(hub: local.Hub, file: Path, tmp_path: Path) -> None:
    hub.answers.extend([web.Response(status=503), web.Response(status=429)])
    bring(hub, tmp_path / "hub")
    assert right(tmp_path / "hub", file)


def test_a_file_replaced_midway_comes_in_its_new_form(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    steps = fetch(Hub(hub.endpoint, timeout=0.4), WANTED, in_(tmp_path / "hub"), QUICK)
    hub.faults.append(local.cut(2 * MEGABYTE))
    next(step for step in steps if step.done >= MEGABYTE)
    new = gguf_files.write(tmp_path / "new" / FILE, 4 * MEGABYTE, seed=1)
    hub.repos[REPO].files[FILE] = new
    list(steps)
    assert right(tmp_path / "hub", new)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(local.answering(500), "4 times in a row", id="always 500"),
        pytest.param(local.cut(0), "4 times in a row", id="always cut"),
        pytest.param(local.stalled(0, 5), "4 times in a row", id="always stalled"),
        pytest.param(local.lying(10), "bytes of", id="always too short"),
        pytest.param(local.lying(9 * MEGABYTE), "bytes of", id="always too long"),
        pytest.param(local.answering(416), "no such bytes", id="always 416"),
        pytest.param(
            local.answering(302, Location="file:///etc/passwd"), "in a row", id="to a file"
        ),
        pytest.param(
            local.answering(302, Location="http://127.0.0.1:9/x"), "in a row", id="to nowhere"
        ),
    ],
)
def test_a_server_that_never_sends_the_file_is_an_error(
    fault: local.Fault, message: str, hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.always = fault
    with pytest.raises(XlamError, match=message):
        bring(hub, tmp_path / "hub")
    assert nothing_installed(tmp_path / "hub")


def test_an_endless_redirect_is_an_error(hub: local.Hub, file: Path, tmp_path: Path) -> None:
    async def round_and_round(
        hub: local.Hub, request: web.Request, path: Path, start: int
    ) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": str(request.url)})

    hub.always = round_and_round
    with pytest.raises(XlamError, match="4 times in a row"):
        bring(hub, tmp_path / "hub")


@pytest.mark.parametrize("cut_first", [False, True])
def test_bytes_of_another_file_are_never_installed(
    cut_first: bool, hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    wrong = gguf_files.write(tmp_path / "wrong" / FILE, 5 * MEGABYTE, seed=1)
    assert wrong.stat().st_size == file.stat().st_size
    hub.always = local.other(wrong)
    if cut_first:
        hub.faults.append(local.cut(MEGABYTE))
    with pytest.raises(IntegrityError, match="another SHA-256"):
        bring(hub, tmp_path / "hub")
    assert nothing_installed(tmp_path / "hub")
    assert not left_over(tmp_path / "hub")


def test_a_partial_file_that_was_damaged_is_fetched_anew(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    begin(hub, tmp_path / "hub", 2 * MEGABYTE)
    partial = left_over(tmp_path / "hub")[0]
    partial.write_bytes(b"x" + partial.read_bytes()[1:] + b"y" * 9 * MEGABYTE)
    bring(hub, tmp_path / "hub")
    assert right(tmp_path / "hub", file)


def test_a_file_that_is_here_is_checked_and_used(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    bring(hub, tmp_path / "hub")
    bring(hub, tmp_path / "hub")
    assert len(hub.served) == 1
    blob = cache.blob(tmp_path / "hub", REPO, hub.sha256(file))
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    bring(hub, tmp_path / "hub")
    assert right(tmp_path / "hub", file)


def test_a_file_that_is_not_gguf_is_not_installed(hub: local.Hub, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"<!doctype html>" * 1000)
    hub.add(REPO, path)
    with pytest.raises(IntegrityError, match=r"xLAM-2-1B-fc-r-Q4_K_M\.gguf: magic"):
        bring(hub, tmp_path / "hub")
    assert nothing_installed(tmp_path / "hub")
    assert not left_over(tmp_path / "hub")


@pytest.mark.parametrize("claim", ["../../../evil", "abc", "0" * 40])
def test_metadata_without_a_real_hash_is_refused(
    claim: str, hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.repos[REPO].hashes[FILE] = claim
    with pytest.raises(IntegrityError, match="no SHA-256"):
        bring(hub, tmp_path / "hub")


def test_a_commit_that_leads_elsewhere_is_refused(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.repos[REPO].commit = "../../../../etc"
    with pytest.raises(IntegrityError, match="no commit"):
        bring(hub, tmp_path / "hub")


@pytest.mark.parametrize("claim", [4 * MEGABYTE, 6 * MEGABYTE])
def test_a_size_that_is_a_lie_installs_nothing(
    claim: int, hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.repos[REPO].sizes[FILE] = claim
    with pytest.raises(IntegrityError, match="not"):
        bring(hub, tmp_path / "hub")
    assert nothing_installed(tmp_path / "hub")


def test_the_token_goes_to_the_hub_and_not_to_the_store_of_bytes(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.repos[REPO].token = "secret"
    list(fetch(Hub(hub.endpoint, "secret"), WANTED, in_(tmp_path / "hub"), QUICK))
    assert hub.served[0].authorization is None
    assert right(tmp_path / "hub", file)


@pytest.mark.parametrize(
    ("token", "gated", "given", "message"),
    [
        pytest.param("secret", False, None, "private", id="private without a token"),
        pytest.param("secret", False, "wrong", "refuses this token", id="a wrong token"),
        pytest.param("secret", True, None, "accept its terms", id="gated without a token"),
    ],
)
def test_a_closed_repository_says_what_to_do(  # noqa: PLR0917
    token: str,
    gated: bool,
    given: str | None,
    message: str,
    hub: local.Hub,
    file: Path,
    tmp_path: Path,
) -> None:
    hub.repos[REPO].token, hub.repos[REPO].gated = token, gated
    with pytest.raises(XlamError, match=message):
        list(fetch(Hub(hub.endpoint, given), WANTED, in_(tmp_path / "hub"), QUICK))


def test_no_network_is_a_sentence(tmp_path: Path) -> None:
    client = Hub("http://127.0.0.1:9", timeout=0.4)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 cannot be reached"):
        list(fetch(client, WANTED, in_(tmp_path / "hub"), QUICK))
    assert not (tmp_path / "hub").exists()


def test_a_second_fetch_waits_and_shares_the_file(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.rate = 20 * MEGABYTE
    seen: list[list[Progress]] = []
    threads = [
        threading.Thread(target=lambda: seen.append(bring(hub, tmp_path / "hub"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hub.served) == 1
    assert len(seen) == 3
    assert any(step.what == "another process is fetching" for step in seen[-1])
    assert right(tmp_path / "hub", file)


def test_a_disk_that_is_too_small_is_seen_before_anything_comes(
    hub: local.Hub, file: Path, tmp_path: Path
) -> None:
    hub.repos[REPO].sizes[FILE] = 1 << 50
    with pytest.raises(XlamError, match="free some"):
        bring(hub, tmp_path / "hub")
    assert not hub.served
    assert not left_over(tmp_path / "hub")


@pytest.mark.parametrize("name", ["hf:a/b", "hf:a/b:Q4_0", "hf:a/b@dev:x.gguf"])
def test_a_name_on_the_hub_is_told_as_it_is_typed(name: str) -> None:
    assert str(names.parse(name, ())) == name
