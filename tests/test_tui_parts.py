"""The parts of the app that need no screen."""

from __future__ import annotations

import codecs
import json
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xlam_local.errors import UsageError, XlamError
from xlam_local.models import Store, catalog, installed, licences
from xlam_local.models.hub import Hub
from xlam_local.tui import clipboard, partial, utf8, vitals
from xlam_local.tui.blocks import chunks
from xlam_local.tui.completions import with_files
from xlam_local.tui.download import Download
from xlam_local.tui.figures import Figures
from xlam_local.tui.job import Job
from xlam_local.tui.keys import keymap
from xlam_local.tui.pieces import FENCE_LINES, Pieces
from xlam_local.tui.status import Told, lines, meter, parts
from xlam_local.types import Delta, Done, Meter, Prefill, Usage

from . import gguf_files
from . import hub as local

MARKDOWN = st.lists(
    st.sampled_from(
        ["word ", "\n", "\n\n", "```\n", "```python\n", "~~~\n", "- one\n", "| a |\n", "|---|\n"]
    ),
    max_size=60,
).map("".join)


@given(MARKDOWN, st.integers(1, 9))
def test_pieces_are_the_same_however_they_come(text: str, size: int) -> None:
    whole, bits = Pieces(), Pieces()
    once = [*whole.feed(text), *whole.rest()]
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    often = [piece for part in parts for piece in bits.feed(part)]
    assert [*often, *bits.rest()] == once


@given(MARKDOWN)
def test_pieces_lose_no_word(text: str) -> None:
    pieces = Pieces()
    found = "".join(piece.text for piece in [*pieces.feed(text), *pieces.rest()])
    assert found.count("word") == text.count("word")


def test_long_code_comes_in_pieces_that_are_code() -> None:
    pieces = Pieces()
    text = "```python\n" + "x = 1\n" * (2 * FENCE_LINES) + "```\n"
    found = [*pieces.feed(text), *pieces.rest()]
    assert all(piece.text.startswith("```python\n") for piece in found if piece.text)
    assert [piece.goes_on for piece in found] == [True, True, False]


@given(st.text(st.sampled_from("ab\n"), max_size=500))
def test_chunks_are_the_whole_text(text: str) -> None:
    assert "\n".join(chunks(text)).rstrip("\n") == text.rstrip("\n")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), VALUES, max_size=3), st.integers(0, 400))
def test_calls_are_read_wherever_they_break_off(arguments: dict[str, object], end: int) -> None:
    text = json.dumps([{"name": "f", "arguments": arguments}] * 2)
    found = partial.read(text[:end])
    assert len(found) <= 2
    assert {call.name for call in found} <= {"f"}
    assert [dict(call.arguments) for call in partial.read(text)] == [arguments] * 2


def test_a_job_gives_what_came_its_value_and_its_error() -> None:
    def work() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "done"

    job = Job(work)
    assert job.wait(5)
    assert (job.take(), job.value, job.error) == ([1, 2], "done", None)

    def failing() -> Generator[int, None, None]:
        yield 1
        raise XlamError("No.")

    failed = Job(failing)
    assert failed.wait(5)
    assert str(failed.error) == "No."


def test_a_bug_in_a_job_keeps_its_traceback() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1 // 0

    job = Job(broken)
    assert job.wait(5)
    with pytest.raises(ZeroDivisionError):
        job.take()


def test_a_cancelled_job_closes_its_work() -> None:
    closed = threading.Event()

    def work() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
                time.sleep(0.001)
        finally:
            closed.set()

    job = Job(work)
    job.cancel()
    assert job.wait(5)
    assert closed.is_set()


def test_figures_tell_of_reading_writing_and_the_end() -> None:
    now = [0.0]
    figures = Figures(lambda: now[0])
    figures.begin()
    figures.take(Prefill(0, 1000))
    now[0] = 2.0
    figures.take(Prefill(500, 1000))
    assert figures.doing == "Reading 50 % of 1,000 tokens, 2 s left"
    now[0] = 4.0
    figures.take(Delta("a"))
    assert (figures.first, figures.doing) == (4.0, "Writing")
    for _ in range(20):
        now[0] += 0.1
        figures.take(Delta("four"))
    assert 9 <= figures.speed <= 11
    figures.take(Done("answer", Usage(reply_tokens=40, decode_seconds=2.0)))
    assert (figures.speed, figures.doing) == (20.0, "")
    figures.begin()
    now[0] += 1
    figures.take(Delta("four" * 5))
    assert 9 <= figures.speed <= 11


def test_the_meter_has_ten_columns() -> None:
    assert meter(Meter(10, 20, 30, 40)) == "▓▒▒███░░░░"
    assert len(meter(Meter(1, 0, 0, 8000))) == 10


def test_the_status_tells_where_the_model_computes_and_how_its_guesses_do() -> None:
    figures = Figures()
    told = Told("xlam", "", figures, where="all on a card")
    assert "Computes        all on a card" in list(lines(told))
    assert not any("guess" in line for line in lines(told))
    figures.take(Done("answer", Usage(reply_tokens=30, drafted_tokens=20, accepted_tokens=15)))
    assert "  guessed       20 tokens, 75 % right" in list(lines(told))
    assert {"75 % of guesses right", "all on a card"} <= set(parts(told))


def test_copying_says_where_the_text_went(tmp_path: Path) -> None:
    given_: list[str] = []
    told = clipboard.copy("x", given_.append, tmp_path, {"TERM": "xterm"})
    assert ("OSC 52" in told, given_) == (True, ["x"])
    long = "x" * 100_000
    told = clipboard.copy(long, given_.append, tmp_path, {"TERM": "xterm"})
    assert "copied.txt" in told
    assert (tmp_path / "copied.txt").read_text() == long
    assert "copied.txt" in clipboard.copy("y", given_.append, tmp_path, {"TERM": "linux"})
    (tmp_path / "file").write_text("")
    assert "Not copied" in clipboard.copy("y", given_.append, tmp_path / "file", {})


def test_keys_are_read_and_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    assert keymap(path, ["app.quit"]) == {}
    path.write_text('"app.quit" = "ctrl+x"')
    assert keymap(path, ["app.quit"]) == {"app.quit": "ctrl+x"}
    for text, told in (
        ("x", "is not TOML"),
        ('"no" = "x"', "nothing is called 'no'"),
        ('"app.quit" = 3', "needs a key"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=told):
            keymap(path, ["app.quit"])


def test_files_are_attached_in_a_fence_that_holds(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\ncode\n```\n")
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    assert with_files("See @a.md and me@a.md.", tmp_path).endswith(
        "a.md:\n````\n```\ncode\n```\n````"
    )
    assert with_files("mail @nobody", tmp_path) == "mail @nobody"
    with pytest.raises(UsageError, match="not a text file"):
        with_files("@b.bin", tmp_path)


@pytest.mark.parametrize(
    ("told", "without"),
    [
        ({}, ""),
        ({"LANG": "de_DE.UTF-8"}, ""),
        ({"LANG": "C", "LC_ALL": "C.utf8"}, ""),
        ({"LC_CTYPE": "UTF-8", "LANG": ""}, ""),
        ({"LANG": "C"}, "C"),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "C"),
        ({"LC_CTYPE": "de_DE.ISO-8859-1", "LANG": "de_DE.UTF-8"}, "de_DE.ISO-8859-1"),
    ],
)
def test_a_locale_tells_whether_there_is_utf_8(told: dict[str, str], without: str) -> None:
    assert utf8.charset(told) == without


@given(st.text(st.characters(codec="utf-8")))
def test_ascii_is_as_wide_as_what_it_stands_for(text: str) -> None:
    codecs.register_error("drawn", utf8.drawn)
    written = text.encode("ascii", "drawn").decode("ascii")
    assert sum(map(cell_len, written)) == sum(map(cell_len, text))


def test_a_pi_tells_why_it_is_slow(tmp_path: Path) -> None:
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("81250\n")
    found = vitals.measure(tmp_path)
    assert found.temperature == 81.25
    assert found.trouble == "its voltage is too low and it is slowed down"
    assert "81 °C" in list(found.words())


def until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not happen.")


def test_a_download_rests_and_goes_on(tmp_path: Path) -> None:
    model = catalog.XLAM[0]
    origin = gguf_files.write(tmp_path / "origin" / model.file("Q4_K_M"), 20 << 20)
    store = Store(tmp_path / "hub", tmp_path / "data", tmp_path / "config")
    licences.accept(licences.pending(model, store), store)
    with local.running(local.Hub()) as served:
        served.add(str(model.repo), origin)
        served.rate = 10 << 20
        download = Download("xlam-2-1b:Q4_K_M", store, Hub(served.endpoint, None, 5.0))
        until(lambda: download.look() and download.progress.done > 4 << 20)
        download.pause()
        assert "paused" in download.told
        served.rate = None
        download.resume()
        until(lambda: download.look() and download.done)
        assert download.error is None
        assert served.served[-1].start >= 4 << 20
    (found,) = installed(store)
    assert found.path.read_bytes() == origin.read_bytes()
