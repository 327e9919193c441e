from __future__ import annotations

from pathlib import Path

from tests.scripted import Scripted
from xlam_local.agent import Rules
from xlam_local.results import fitted
from xlam_local.session import Session
from xlam_local.tools.kept import MOST_FILES, keeper
from xlam_local.types import Effect, Note, Result, Tool, ToolCall, User

CALL = ToolCall("call_0", "f", {})


def shortened(output: str, size: int) -> tuple[str, list[tuple[str, str]]]:
    kept: list[tuple[str, str]] = []

    def keep(name: str, text: str) -> str:
        kept.append((name, text))
        return "/kept"

    counter = Scripted(size=size)
    return fitted(Result(CALL, output), [User("hi")], (), counter, keep).output, kept


def test_a_result_that_fits_stays() -> None:
    text = "word " * 500
    assert shortened(text, 8000) == (text, [])


def test_a_result_takes_a_quarter_of_the_context_at_most() -> None:
    text = "word " * 5000
    for size in (1000, 4000, 16000):
        short, kept = shortened(text, size)
        assert size // 5 <= len(short.split()) <= size // 4 + 60
        assert kept == [("f", text)]
        assert "All of it is in /kept, for the user.]" in short


def test_a_result_whose_ends_are_dense_is_cut_again() -> None:
    text = "a " * 500 + "x" * 100_000 + " b" * 500
    short, _ = shortened(text, 1000)
    assert len(short.split()) <= 1000 // 4 + 60


def test_a_result_of_a_gigabyte_is_cut_without_being_read_whole() -> None:
    short, _ = shortened("x" * (1 << 28), 1000)
    assert len(short) < 20_000


def test_results_are_kept_in_files_and_the_oldest_give_way(tmp_path: Path) -> None:
    keep = keeper(tmp_path / "results")
    places = [Path(keep("../f\0", f"text {number}")) for number in range(MOST_FILES + 3)]
    assert places[-1].read_text() == f"text {MOST_FILES + 2}"
    assert places[-1].parent == tmp_path / "results"
    assert len(list((tmp_path / "results").iterdir())) == MOST_FILES
    (tmp_path / "file").touch()
    assert keeper(tmp_path / "file" / "results")("f", "text") == ""


LONG = Tool("read_book", "Read.", {}, Effect.READ, lambda: "word " * 5000)
JSON = ['[{"name": "read_book", "arguments": {}}]']


def test_a_turn_goes_on_with_what_fits(own_folders: Path) -> None:
    session = Session(Scripted(JSON, ["Done."], size=4000), [LONG])
    events = list(session.send("Read the book"))
    (result,) = [event for event in events if isinstance(event, Result)]
    assert len(result.output.split()) < 1100
    (kept,) = (own_folders / "state" / "results").iterdir()
    assert kept.read_text() == "word " * 5000
    assert str(kept) in result.output


def test_tools_that_take_too_much_room_are_left_out_and_told() -> None:
    many = [
        Tool(name, f"Do {name} with care. " * 20, {}, Effect.READ, lambda: "x")
        for name in ("weather", "mail", "music", "maps")
    ]
    engine = Scripted(["It is sunny."], ["Sent."], size=1000)
    session = Session(engine, many, rules=Rules(tools_share=0.12))
    notes = [event.text for event in session.send("weather?") if isinstance(event, Note)]
    assert notes == ["To leave room, these tools are not offered now: mail, music, maps."]
    assert '"weather"' in engine.prompts[0]
    assert '"mail"' not in engine.prompts[0]
    list(session.send("send a mail"))
    assert '"mail"' in engine.prompts[1]
