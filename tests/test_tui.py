"""The conversation in the app."""

from __future__ import annotations

import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import Input

from xlam_local.agent import Generation
from xlam_local.errors import EngineStopped, ModelMissing
from xlam_local.gbnf import Grammar
from xlam_local.history import History
from xlam_local.tui.app import XlamApp
from xlam_local.tui.completions import Completions
from xlam_local.tui.entries import Answered, Cards, Noted, Said
from xlam_local.tui.loaded import Loaded
from xlam_local.tui.question import Approval
from xlam_local.tui.status import Status
from xlam_local.types import (
    Answer,
    Effect,
    End,
    Loading,
    Note,
    Prompt,
    Result,
    Sampling,
    Tool,
    User,
)

from .apps import App, app_opening, app_with, ask, idle, kinds, say, screen_text, wait_until
from .scripted import Scripted
from .test_agent import ADD, ADD_2_3, PARAMETERS

WRITE = Tool(
    "add", "Add.", PARAMETERS, Effect.WRITE, lambda a, b: a + b, preview=lambda a, b: "@@ 1 @@\n+5"
)
TWO = [
    '[{"name": "add", "arguments": {"a": 2, "b": 3}}, ',
    '{"name": "add", "arguments": {"a": 4, "b": 5}}]',
]


def approvals(app: XlamApp) -> list[Approval]:
    return list(app.chat.query(Approval))


async def asked(pilot: App, app: XlamApp) -> Approval:
    """Wait for a question that has stood long enough to be answered."""
    await wait_until(pilot, lambda: approvals(app) and approvals(app)[0].ready)
    return approvals(app)[0]


async def test_a_chat_shows_calls_results_and_the_answer() -> None:
    app = app_with(Scripted(ADD_2_3, ["It is ", "**5**."]), [ADD])
    async with app.run_test() as pilot:
        await ask(pilot, "2 + 3?")
        said, cards, answer = app.chat.transcript.entries
        assert isinstance(said, Said)
        assert isinstance(cards, Cards)
        assert isinstance(answer, Answered)
        (card,) = cards.cards
        assert card.state == "done"
        assert card.text == "5"
        shown = screen_text(app)
        assert "✓ add  read · done" in shown
        assert "a: 2" in shown
        assert "It is 5." in shown
        assert "tokens/s" in shown
    assert app.desk.messages[-1] == Answer("It is **5**.")


async def test_calls_stand_beside_each_other_where_there_is_room() -> None:
    app = app_with(Scripted(TWO, ["14"]), [ADD])
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, "2 + 3 and 4 + 5?")
        heads = [line for line in screen_text(app).splitlines() if "✓ add" in line]
        assert [line.count("✓ add") for line in heads] == [2]
        await pilot.resize_terminal(70, 40)
        heads = [line for line in screen_text(app).splitlines() if "✓ add" in line]
        assert [line.count("✓ add") for line in heads] == [1, 1]


async def test_a_question_stands_in_its_place_with_what_would_happen() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        shown = screen_text(app)
        assert "Run add?" in shown
        assert "+5" in shown
        assert "waits for you" in shown
        await pilot.press("y")
        await wait_until(pilot, lambda: idle(app))
        assert not approvals(app)
    assert any(isinstance(m, Result) and m.output == "5" for m in app.desk.messages)


@pytest.mark.parametrize("key", ["enter", "escape", "n"])
async def test_no_is_what_enter_and_escape_say(key: str) -> None:
    app = app_with(Scripted(ADD_2_3, ["No."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        await pilot.press(key)
        await wait_until(pilot, lambda: idle(app))
        assert "✗ add" in screen_text(app)
    assert [m.refused for m in app.desk.messages if isinstance(m, Result)] == [True]


async def test_the_model_reads_why_a_call_was_refused() -> None:
    app = app_with(Scripted(ADD_2_3, ["All right."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        await pilot.press("r", *"Not now", "enter")
        await wait_until(pilot, lambda: idle(app))
    (result,) = [m for m in app.desk.messages if isinstance(m, Result)]
    assert "Not now" in result.output


async def test_nothing_runs_by_a_key_that_came_before_the_question_was_read() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await wait_until(pilot, lambda: approvals(app))
        approvals(app)[0].since += 60
        await pilot.press("y", "t", "C")
        assert approvals(app)
        await pilot.press("n")
        await wait_until(pilot, lambda: idle(app))
    assert [m.refused for m in app.desk.messages if isinstance(m, Result)] == [True]


async def test_a_question_takes_no_keys_from_who_is_typing() -> None:
    engine = Endless("", ADD_2_3[0])
    app = app_with(engine, [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await pilot.press(*"anyway")
        engine.go.release(2)
        await asked(pilot, app)
        await pilot.press(*"yct")
        assert app.chat.prompt.text == "anywayyct"
        assert approvals(app)
        await pilot.press("escape", "escape")
        engine.go.release(9)
        await wait_until(pilot, lambda: idle(app))


@pytest.mark.parametrize("key", ["t", "c"])
async def test_always_asks_no_more(key: str) -> None:
    app = app_with(Scripted(ADD_2_3, ["5"], ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        await pilot.press(key)
        await wait_until(pilot, lambda: idle(app))
        await ask(pilot, "Again?")
    assert [m.ok for m in app.desk.messages if isinstance(m, Result)] == [True, True]


class Endless(Scripted):
    """Writes on and on, one piece each time it is let."""

    def __init__(self, *pieces: str) -> None:
        super().__init__()
        self.pieces = pieces
        self.go = threading.Semaphore(0)

    def generate(self, written: Prompt, grammar: Grammar | None, sampling: Sampling) -> Generation:
        left = list(self.pieces)
        try:
            while self.go.acquire(timeout=10):
                yield left.pop(0) if left else "on "
                if self.pieces and not left:
                    yield End()
                    return
        finally:
            self.closed += 1


async def test_escape_cancels_and_what_was_said_stays() -> None:
    engine = Endless()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Talk.")
        engine.go.release()
        await wait_until(pilot, lambda: "on" in (app.chat.last_answer() or ""))
        await pilot.press("escape")
        engine.go.release()
        await wait_until(pilot, lambda: idle(app))
        assert "Cancelled." in screen_text(app)
    assert engine.closed == 1
    assert kinds(app.desk.messages) == ["User", "Answer"]


async def test_ctrl_c_cancels_once_and_leaves_the_second_time() -> None:
    engine = Endless()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Talk.")
        await pilot.press("ctrl+c")
        engine.go.release()
        await wait_until(pilot, lambda: idle(app))
        assert not app.leaving
        await pilot.press("ctrl+c")
        await wait_until(pilot, lambda: app.leaving)


async def test_leaving_refuses_what_is_asked_and_ends_the_turn() -> None:
    app = app_with(Scripted(ADD_2_3, ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        turn = app.chat.turn
        assert turn is not None
        await pilot.press("ctrl+q")
        await wait_until(pilot, lambda: turn.finished)
    assert any(isinstance(m, Result) and not m.ok for m in app.desk.messages)


async def test_a_look_while_the_app_is_taken_down_shows_nothing() -> None:
    engine = Endless()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Talk.")
        turn = app.chat.turn
        assert turn is not None
    turn.cancel()
    engine.go.release()
    turn.wait(5)
    assert not app.chat.query(Status)
    app.look()
    assert app.chat.turn is turn


async def test_what_is_said_while_the_model_works_waits() -> None:
    engine = Endless("Hello.")
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "One")
        await say(pilot, "Two")
        assert "waiting: Two" in screen_text(app)
        engine.go.release(2)
        await wait_until(pilot, lambda: idle(app) and len(app.desk.messages) == 4)
        assert "waiting" not in screen_text(app)
    said = [m.text for m in app.desk.messages if isinstance(m, User)]
    assert said == ["One", "Two"]


async def test_what_waits_comes_back_into_the_line_when_all_is_stopped() -> None:
    engine = Endless()
    app = app_with(engine)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "One")
        await say(pilot, "Two")
        await pilot.press("escape")
        engine.go.release()
        await wait_until(pilot, lambda: idle(app))
        assert app.chat.prompt.text == "Two"


async def test_what_is_said_while_the_model_loads_is_not_lost() -> None:
    loaded = threading.Event()

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        yield Loading(0.25)
        assert loaded.wait(10)
        yield Note("It was slow.")
        return Scripted(["Hello."])

    app = app_opening(opening)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "25 %" in screen_text(app))
        await say(pilot, "Hi")
        assert "waiting: Hi" in screen_text(app)
        loaded.set()
        await wait_until(pilot, lambda: idle(app) and len(app.desk.messages) == 2)
        assert "It was slow." in screen_text(app)


async def test_without_a_model_the_models_are_shown() -> None:
    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        yield Loading(0.0)
        if here:
            return Scripted()
        raise ModelMissing("No model is installed.")

    here = False
    app = app_opening(opening)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: "Models" in screen_text(app))
        await wait_until(pilot, lambda: "For this machine" in screen_text(app))
        assert "demo" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "No model is installed." in screen_text(app)
        here = True
        app.load("demo")
        await wait_until(pilot, lambda: idle(app))
        assert "No model" not in screen_text(app)


class Crashing(Scripted):
    """Ends in the middle of its first reply."""

    def generate(self, written: Prompt, grammar: Grammar | None, sampling: Sampling) -> Generation:
        if not self.prompts:
            self.prompts.append("")
            yield "Well, "
            raise EngineStopped("llama.cpp ended with signal 11.")
        yield from super().generate(written, grammar, sampling)


async def test_a_crash_is_a_line_with_a_key_to_try_again() -> None:
    app = app_with(Crashing(["Hello."]))
    async with app.run_test() as pilot:
        await ask(pilot, "Hi")
        assert "signal 11" in screen_text(app)
        assert "Ctrl+G" in screen_text(app)
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: idle(app) and app.chat.last_answer() == "Hello.")
    assert app.desk.messages == [User("Hi"), Answer("Hello.")]


async def test_the_end_of_a_turn_that_went_wrong_is_told() -> None:
    app = app_with(Scripted(ADD_2_3, ADD_2_3, ADD_2_3), [ADD])
    async with app.run_test() as pilot:
        await ask(pilot, "2 + 3?")
        notes = [e.text for e in app.chat.transcript.entries if isinstance(e, Noted)]
        assert "again and again" in notes[-1]


async def test_an_earlier_message_is_edited_and_the_old_talk_stays_in_the_history() -> None:
    app = app_with(Scripted(["One."], ["Two."], ["Three."]))
    async with app.run_test() as pilot:
        await ask(pilot, "Say one.")
        await ask(pilot, "Say two.")
        await pilot.press("f6", "home", "up", "up", "up", "up", "e")
        assert app.chat.prompt.text == "Say one."
        app.chat.prompt.write("Say three.")
        await pilot.press("enter")
        await wait_until(pilot, lambda: idle(app) and app.chat.last_answer() == "Three.")
        assert app.desk.messages == [User("Say three."), Answer("Three.")]
        assert app.desk.history is not None
        assert [s.messages for s in app.desk.history.summaries()] == [2, 4]


async def test_a_branch_goes_on_in_a_copy() -> None:
    app = app_with(Scripted(ADD_2_3, ["One."], ["Two."]), [ADD])
    async with app.run_test() as pilot:
        await ask(pilot, "Say one.")
        await pilot.press("f6", "up", "b")
        await wait_until(pilot, lambda: "This is a copy" in screen_text(app))
        assert kinds(app.desk.messages) == ["User", "Calls", "Result"]
        app.chat.prompt.focus()
        await ask(pilot, "And two.")
        assert app.desk.history is not None
        assert [s.messages for s in app.desk.history.summaries()] == [5, 4]


async def test_the_last_thing_is_said_again() -> None:
    app = app_with(Scripted(["One."], ["Two."]))
    async with app.run_test() as pilot:
        await ask(pilot, "Say something.")
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: idle(app) and app.chat.last_answer() == "Two.")
    assert app.desk.messages == [User("Say something."), Answer("Two.")]


async def test_a_call_is_run_again_and_the_model_does_not_speak() -> None:
    sums = iter([5, 6])
    add = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: next(sums))
    app = app_with(Scripted(ADD_2_3, ["5"]), [add])
    async with app.run_test() as pilot:
        await ask(pilot, "2 + 3?")
        await pilot.press("f6", "up", "x")
        await wait_until(pilot, lambda: idle(app) and len(app.desk.messages) == 6)
        cards = [e for e in app.chat.transcript.entries if isinstance(e, Cards)]
        assert [card.text for one in cards for card in one.cards] == ["5", "6"]
        await pilot.press("up", "x")
        assert [one.message for one in app._notifications] == ["Only a call can be run again."]
    assert kinds(app.desk.messages)[3:] == ["Answer", "Calls", "Result"]


async def test_a_call_that_is_run_again_is_asked_for_again() -> None:
    app = app_with(Scripted(ADD_2_3, ["5"]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        await asked(pilot, app)
        await pilot.press("y")
        await wait_until(pilot, lambda: idle(app))
        await pilot.press("f6", "up", "x")
        await asked(pilot, app)
        await pilot.press("n")
        await wait_until(pilot, lambda: idle(app))
    results = [m for m in app.desk.messages if isinstance(m, Result)]
    assert [m.refused for m in results] == [False, True]
    assert len({m.call.id for m in results}) == 2


async def test_a_long_result_is_folded_until_enter() -> None:
    lines = "\n".join(f"line {number}" for number in range(30))
    noisy = Tool("add", "", PARAMETERS, Effect.READ, lambda a, b: lines)
    app = app_with(Scripted(ADD_2_3, ["ok"]), [noisy])
    async with app.run_test(size=(80, 50)) as pilot:
        await ask(pilot, "2 + 3?")
        assert "(30 lines; Enter shows all)" in screen_text(app)
        assert "line 29" not in screen_text(app)
        await pilot.press("f6", "up", "enter")
        await pilot.pause()
        assert "line 29" in screen_text(app)


async def test_a_call_is_seen_while_it_is_written() -> None:
    text = '{"name": "add", "arguments": {"a": 12, "b": 34}}'
    engine = Endless(*f"[{text}]")
    app = app_with(engine, [ADD])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "12 + 34?")
        engine.go.release(len('[{"name": "add", "arguments": {"a": 12, "b"') + 1)
        await wait_until(pilot, lambda: "a: 12" in screen_text(app))
        assert "… add  read · writing" in screen_text(app)
        assert "b:" not in screen_text(app)
        await pilot.press("escape")
        engine.go.release()
        await wait_until(pilot, lambda: idle(app))
        assert "writing" not in screen_text(app)


async def test_lines_history_paste_and_new_lines() -> None:
    app = app_with(Scripted(["1"], ["2"], ["3"]))
    async with app.run_test() as pilot:
        await ask(pilot, "One")
        await ask(pilot, "Two")
        prompt = app.chat.prompt
        await pilot.press(*"draft", "up")
        assert prompt.text == "Two"
        await pilot.press("up", "up")
        assert prompt.text == "One"
        await pilot.press("down", "down")
        assert prompt.text == "draft"
        await pilot.press("ctrl+j", *"x", "shift+enter", *"y")
        assert prompt.text == "draft\nx\ny"
        prompt.clear()
        from textual.events import Paste

        pasted = "many words\n" * 1000
        prompt.post_message(Paste(pasted))
        await wait_until(pilot, lambda: prompt.text)
        assert prompt.text == "[pasted text 1: 1,001 lines]"
        await pilot.press("enter")
        await wait_until(pilot, lambda: idle(app) and len(app.desk.messages) == 6)
    assert app.desk.messages[-2] == User(pasted.strip())


async def test_commands_are_completed_and_done() -> None:
    app = app_with(Scripted(["One."]))
    async with app.run_test() as pilot:
        await ask(pilot, "Hi")
        await pilot.press(*"/ne")
        offered = app.chat.query_one(Completions)
        assert [offer.word for offer in offered.offers] == ["/new"]
        await pilot.press("tab")
        await wait_until(pilot, lambda: not app.desk.messages)
        assert app.chat.prompt.text == ""
        await pilot.press(*"/", "down", "escape")
        assert not offered.display
        assert app.chat.prompt.text == "/"


async def test_a_file_is_attached(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Buy milk.\n")
    (tmp_path / "large.txt").write_text("x" * 300_000)
    app = app_with(Scripted(["One."]), folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press(*"What is in @no", "tab", "enter")
        await wait_until(pilot, lambda: idle(app) and app.desk.messages)
        assert app.desk.messages[0] == User(
            "What is in @notes.md\n\nnotes.md:\n```\nBuy milk.\n```"
        )
        await say(pilot, "And @large.txt")
        await wait_until(pilot, lambda: "too large to attach" in screen_text(app))
        assert app.chat.prompt.text == "And @large.txt"


async def test_the_end_stays_in_view_until_the_user_scrolls_up() -> None:
    engine = Endless()
    app = app_with(engine)
    async with app.run_test(size=(80, 20)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Talk.")
        chat = app.chat.transcript
        for _ in range(700):
            engine.go.release()
        await wait_until(pilot, lambda: len(app.chat.last_answer() or "") > 2000)
        assert chat.following
        assert chat.scroll_offset.y == chat.max_scroll_y > 0
        await pilot.press("pageup")
        top = chat.scroll_offset.y
        assert not chat.following
        for _ in range(300):
            engine.go.release()
        await wait_until(pilot, lambda: len(app.chat.last_answer() or "") > 2900)
        assert chat.scroll_offset.y == top
        await pilot.press("ctrl+end")
        assert chat.following
        await pilot.press("escape")
        engine.go.release()
        await wait_until(pilot, lambda: idle(app))


async def test_a_terminal_that_is_too_small_says_so() -> None:
    app = app_with(Scripted())
    async with app.run_test(size=(30, 8)) as pilot:
        await pilot.pause()
        assert "is too small; 40 by 10 will do." in " ".join(screen_text(app).split())
        await pilot.resize_terminal(80, 24)
        assert "too small" not in screen_text(app)


async def test_a_conversation_is_written_down_and_ephemeral_ones_are_not(
    own_folders: Path,
) -> None:
    for ephemeral in (True, False):
        app = app_with(Scripted(["Hello."]), ephemeral=ephemeral)
        async with app.run_test() as pilot:
            await ask(pilot, "Hi")
        there = (own_folders / "data" / "history.db").exists()
        assert there is not ephemeral
    history = History(own_folders / "data" / "history.db")
    (summary,) = history.summaries()
    assert history.messages(summary.id) == [User("Hi"), Answer("Hello.")]
    assert summary.model == "scripted"
    history.close()


async def test_a_damaged_history_is_told_and_the_app_goes_on(own_folders: Path) -> None:
    (own_folders / "data").mkdir(parents=True)
    (own_folders / "data" / "history.db").write_bytes(b"no database" * 1000)
    app = app_with(Scripted(["Hello."]))
    async with app.run_test() as pilot:
        await ask(pilot, "Hi")
        assert "was damaged" in screen_text(app).replace("\n", " ")
        assert app.desk.number is not None


async def test_conversations_are_renamed_exported_and_deleted(
    own_folders: Path, tmp_path: Path
) -> None:
    history = History(own_folders / "data" / "history.db")
    for text in ("Milk?", "Bread?"):
        history.take("", [User(text), Answer("In the fridge.")])
    app = app_with(Scripted(), folder=tmp_path)
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: "Bread?" in screen_text(app))
        title = history.summaries()[0].title
        await pilot.press("f9", *["backspace"] * len(title), *"Food", "enter")
        await wait_until(pilot, lambda: "2 conversations" in screen_text(app))
        assert history.summaries()[0].title == "Food"
        await pilot.press("f7")
        await wait_until(pilot, (tmp_path / "food.md").exists)
        await pilot.press("f8")
        assert len(history.summaries()) == 2
        await pilot.press("f8")
        await wait_until(pilot, lambda: "1 conversation" in screen_text(app))
    assert [one.title for one in history.summaries()] != ["Food"]
    history.close()


@pytest.mark.parametrize("key", ["f1", "f2", "f3", "f4", "ctrl+r"])
async def test_the_key_that_opens_a_screen_closes_it(key: str) -> None:
    app = app_with(Scripted())
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        for there in (True, False, True):
            await pilot.press(key)
            assert (app.screen is not app.chat) is there


async def test_a_model_is_switched_and_the_conversation_stays() -> None:
    engines = {None: Scripted(["One."]), "other": Scripted(["Two."])}

    def opening(name: str | None) -> Generator[Loading | Note, None, Loaded]:
        yield Loading(0.5)
        if name not in engines:
            raise ModelMissing(f"There is no model {name!r}.")
        return engines[name]

    app = app_opening(opening)
    async with app.run_test() as pilot:
        await ask(pilot, "Hi")
        await ask_command(pilot, app, "/model other")
        await ask(pilot, "And now?")
        assert "Hi" in engines["other"].prompts[0]
        await ask_command(pilot, app, "/model none")
        assert "There is no model 'none'" in screen_text(app)
        assert app.ready
    assert [m.text for m in app.desk.messages if isinstance(m, Answer)] == ["One.", "Two."]


async def ask_command(pilot: App, app: XlamApp, text: str) -> None:
    await say(pilot, text)
    await wait_until(pilot, lambda: app.loading is None)


async def test_a_reason_can_be_left_again() -> None:
    app = app_with(Scripted(ADD_2_3, ["No."]), [WRITE])
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "2 + 3?")
        approval = await asked(pilot, app)
        await pilot.press("r")
        assert approval.query_one("#reason", Input).has_focus
        await pilot.press(*"y", "escape")
        await wait_until(pilot, lambda: idle(app))
    assert [m.refused for m in app.desk.messages if isinstance(m, Result)] == [True]


async def test_an_answer_is_drawn_word_by_word() -> None:
    engine = Endless("one ", "two ", "three\n\n", "four")
    app = app_with(engine)
    async with app.run_test(size=(80, 20)) as pilot:
        await wait_until(pilot, lambda: idle(app))
        await say(pilot, "Count.")
        for text in ("one", "one two", "one two three", "four"):
            engine.go.release()
            await wait_until(pilot, partial(shown, app, text))
            assert "Count." in screen_text(app)
        await wait_until(pilot, lambda: idle(app))


def shown(app: XlamApp, text: str) -> bool:
    return text in screen_text(app)
