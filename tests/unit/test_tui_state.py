"""Background jobs, downloads, and the statistics of turns and of the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import fake_hub, gguf_files
from xlam_local.errors import HistoryError, XlamError
from xlam_local.history import Conversation
from xlam_local.models import Store, catalog, licenses, list_installed
from xlam_local.models.hub import HubClient
from xlam_local.tui.state import system_stats, tool_catalog
from xlam_local.tui.state.background import BackgroundJob
from xlam_local.tui.state.conversation import CurrentConversation
from xlam_local.tui.state.download import Download
from xlam_local.tui.state.turn_stats import TurnStats
from xlam_local.tui.widgets.status_bar import (
    StatusSnapshot,
    context_bar,
    panel_lines,
    status_line,
    status_parts,
)
from xlam_local.types import (
    AssistantMessage,
    ContextUsage,
    Done,
    PrefillProgress,
    TextDelta,
    Tool,
    Usage,
    UserMessage,
)

MIB = 1 << 20


def test_what_cannot_be_saved_when_the_history_is_closed_is_reported(tmp_path: Path) -> None:
    current = CurrentConversation(tmp_path / "history.db", tmp_path)
    assert current.open_history() == []
    assert current.history is not None
    database = current.history._database
    current._saved = Conversation(current.history)
    current._saved.append(UserMessage("Hello."))
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(HistoryError):
        current._saved.append(AssistantMessage("x" * 100_000))
    current.close()
    assert "no space left" in current.close_error
    assert current.close_error.endswith("The end of the conversation is not saved.")


def test_a_job_collects_its_items_and_keeps_its_value_or_its_error() -> None:
    def work() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "done"

    job = BackgroundJob(work)
    assert job.wait(5)
    assert (job.drain(), job.value, job.error) == ([1, 2], "done", None)

    def failing() -> Generator[int, None, None]:
        yield 1
        raise XlamError("No.")

    failed = BackgroundJob(failing)
    assert failed.wait(5)
    assert str(failed.error) == "No."


def test_another_exception_of_a_job_is_raised_when_it_is_drained() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1 // 0

    job = BackgroundJob(broken)
    assert job.wait(5)
    with pytest.raises(ZeroDivisionError):
        job.drain()


def test_a_cancelled_job_closes_its_generator() -> None:
    closed = threading.Event()

    def work() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
                time.sleep(0.001)
        finally:
            closed.set()

    job = BackgroundJob(work)
    job.cancel()
    assert job.wait(5)
    assert closed.is_set()


def test_turn_stats_follow_a_turn() -> None:
    now = [0.0]
    stats = TurnStats(lambda: now[0])
    stats.start()
    stats.handle_event(ContextUsage(20, 800, 180, 3000))
    stats.handle_event(PrefillProgress(0, 1000))
    assert stats.activity == "Reading prompt: 0 % of 1,000 tokens (800 of tools)"
    stats.handle_event(ContextUsage(20, 80, 900, 3000))
    stats.handle_event(PrefillProgress(0, 1000))
    now[0] = 2.0
    stats.handle_event(PrefillProgress(500, 1000))
    assert stats.activity == "Reading prompt: 50 % of 1,000 tokens, 2 s left"
    now[0] = 4.0
    stats.handle_event(TextDelta("a"))
    assert (stats.first_token_s, stats.activity) == (4.0, "Writing")
    for _ in range(20):
        now[0] += 0.1
        stats.handle_event(TextDelta("four"))
    assert 9 <= stats.tokens_per_s <= 11
    stats.handle_event(Done("stop", Usage(reply_tokens=40, decode_seconds=2.0)))
    assert (stats.tokens_per_s, stats.activity) == (20.0, "")
    stats.start()
    now[0] += 1
    stats.handle_event(TextDelta("four" * 5))
    assert 9 <= stats.tokens_per_s <= 11


def test_the_context_bar_has_ten_columns() -> None:
    assert context_bar(ContextUsage(10, 20, 30, 40)) == "▓▒▒███░░░░"
    assert len(context_bar(ContextUsage(1, 0, 0, 8000))) == 10


def test_the_status_shows_the_device_and_the_accepted_drafts() -> None:
    stats = TurnStats()
    status = StatusSnapshot(model="xlam", model_state="", stats=stats, device="all on a card")
    assert "Device          all on a card" in list(panel_lines(status))
    assert not any("draft" in line for line in panel_lines(status))
    stats.handle_event(Done("stop", Usage(reply_tokens=30, drafted_tokens=20, accepted_tokens=15)))
    assert "  drafted       20 tokens, 75 % accepted" in list(panel_lines(status))
    assert {"75 % of drafts accepted", "all on a card"} <= set(status_parts(status))


def test_the_activity_is_shown_whole_beside_a_long_name_of_a_model() -> None:
    stats = TurnStats()
    stats.activity = "Reading prompt: 25 % of 1,234 tokens (1,100 of tools), 30 s left"
    status = StatusSnapshot(
        model="a-very-long-name-of-a-model-in-a-file:Q4_K_M", model_state="", stats=stats
    )
    assert status_line(status, 78) == f"a-ver…4_K_M · {stats.activity}"
    assert status_line(status, 200).startswith("a-very-long-name-of-a-model-in-a-file:Q4_K_M · ")
    assert status_line(replace(status, model=""), 78) == stats.activity


def test_the_host_of_a_remote_model_is_named_before_the_activity() -> None:
    status = StatusSnapshot(
        model="m", model_state="Ready", stats=TurnStats(), remote_host="gpu.example.com"
    )
    assert status_line(status, 78) == "m · on gpu.example.com · Ready"
    assert status_line(status, 20).startswith("m · on gpu.example.com")


def test_the_throttling_of_a_raspberry_pi_is_measured(tmp_path: Path) -> None:
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("81250\n")
    found = system_stats.measure(tmp_path)
    assert found.temperature == 81.25
    assert found.throttling == "its voltage is too low and it is throttled"
    assert "81 °C" in list(found.status_parts())


def wait_until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not happen.")


def test_a_paused_download_resumes_where_it_stopped(tmp_path: Path) -> None:
    model = catalog.XLAM[0]
    origin = gguf_files.write(tmp_path / "origin" / model.file_name("Q4_K_M"), 20 * MIB)
    store = Store(tmp_path / "hub", tmp_path / "data", tmp_path / "config")
    licenses.accept(licenses.pending(model, store), store)
    with fake_hub.running(fake_hub.FakeHub()) as hub:
        hub.add(str(model.repo), origin)
        hub.rate = 10 * MIB
        download = Download("xlam-2-1b:Q4_K_M", store, HubClient(hub.endpoint, None, 5.0))
        wait_until(lambda: download.poll() and download.progress.done > 4 * MIB)
        download.pause()
        assert "paused" in download.status_text
        hub.rate = None
        download.resume()
        wait_until(lambda: download.poll() and download.done)
        assert download.error is None
        assert hub.range_requests[-1].start >= 4 * MIB
    (found,) = list_installed(store)
    assert found.path.read_bytes() == origin.read_bytes()


def test_tools_whose_schema_cannot_be_enforced_are_refused() -> None:
    bad = Tool("bad", "", {"properties": {"a": {"type": "file"}}})
    assert tool_catalog.refusals([Tool("good", "", {}), bad]) == {"bad"}
    lines = list(tool_catalog.schema_report(bad))
    assert lines[0][0] == "refused"
    assert "is not a type" in lines[0][1]
