"""What a model decides is recorded and replayed; the tools run, and a difference is named."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.command_line import run
from tests.fakes.fake_engine import Scripted
from xlam_local.agent import TurnOptions
from xlam_local.agent.prompt_difference import difference
from xlam_local.agent.recording import RecordingEngine, ReplayEngine
from xlam_local.errors import ReplayMismatch, UsageError
from xlam_local.generators import drain
from xlam_local.session import Session
from xlam_local.types import Effect, Sampling, Tool

pytest_plugins = ["pytester"]
CALLS = (
    '[{"name": "look", "arguments": {"city": "Oslo"}}, {"name": "look", "arguments": '
    '{"city": "Rome"}}, {"name": "look", "arguments": {"city": "Bern"}}]'
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LOOK = Tool(
    "look", "Look outside.\nIn a city.", SCHEMA, Effect.READ, lambda city: f"Rain in {city}"
)


def ask(engine: Scripted | RecordingEngine | ReplayEngine, tool: Tool = LOOK) -> Session:
    session = Session(engine, [tool])
    session.ask("Is it dry?")
    return session


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    ask(RecordingEngine(Scripted([CALLS[:20], CALLS[20:]], ["No, ", "rain."]), path))
    return path


def test_a_hundred_replays_run_the_tools_three_hundred_times(path: Path) -> None:
    ran: list[str] = []

    def look(city: str) -> str:
        ran.append(city)
        return f"Rain in {city}"

    expected = ask(Scripted([CALLS], ["No, rain."])).messages
    for _ in range(100):
        assert ask(ReplayEngine(path), replace(LOOK, run=look)).messages == expected
    assert len(ran) == 300


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (replace(LOOK, description="Look outside.\nIn a town."), "description of the tool 'look'"),
        (replace(LOOK, name="see"), "'look' is no longer offered"),
        (replace(LOOK, parameters={**SCHEMA, "title": "x"}), "schema of the tool 'look'"),
        (replace(LOOK, run=lambda city: f"Sun in {city}"), "result of a tool differs"),
    ],
)
def test_what_changed_is_named(path: Path, tool: Tool, message: str) -> None:
    with pytest.raises(ReplayMismatch, match=message):
        ask(ReplayEngine(path), tool)


def test_the_changed_lines_are_shown(path: Path) -> None:
    changed = replace(LOOK, description="Look outside.\nIn a town.")
    with pytest.raises(ReplayMismatch, match=r"Recorded: 'In a city.'. Now: 'In a town.'"):
        ask(ReplayEngine(path), changed)


def test_another_request_tool_sampling_or_choice_is_named(path: Path) -> None:
    session = Session(ReplayEngine(path), [LOOK])
    with pytest.raises(ReplayMismatch, match="message of the user differs"):
        session.ask("Is it wet?")
    session = Session(ReplayEngine(path), [LOOK, replace(LOOK, name="hear")])
    with pytest.raises(ReplayMismatch, match="'hear' is new"):
        session.ask("Is it dry?")
    options = TurnOptions(sampling=Sampling(temperature=0.5))
    session = Session(ReplayEngine(path), [LOOK], options=options)
    with pytest.raises(ReplayMismatch, match=r"temperature was 0.0, is 0.5"):
        session.ask("Is it dry?")
    session = Session(ReplayEngine(path), [LOOK], options=TurnOptions(tool_choice="required"))
    with pytest.raises(ReplayMismatch, match="grammar differs"):
        session.ask("Is it dry?")


def test_more_replies_than_recorded_are_an_error(path: Path) -> None:
    session = ask(ReplayEngine(path))
    with pytest.raises(ReplayMismatch, match="2 replies, and one more"):
        session.ask("Sure?")


def test_the_order_of_tools_and_a_role_are_named() -> None:
    one, two = '{\n    "name": "a"\n}\n\n', '{\n    "name": "b"\n}\n\n'
    assert difference(one + two, two + one) == "The order of the tools changed."
    head = "<|start_header_id|>ipython<|end_header_id|>\n\n"
    assert difference(f"{head}4", f"{head}5").startswith("The result of a tool differs.")


def test_a_tool_that_is_nested_too_deeply_is_compared_as_text() -> None:
    before, after = ('{\n"name": ' + "[" * 100_000 + f"{n}\n}}" for n in "12")
    assert difference(before, after).startswith("The prompt differs.")


def test_the_file_is_private_and_without_what_is_redacted(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("old")
    path.chmod(0o644)
    engine = RecordingEngine(Scripted(["The key is k-123."]), path, ["k-[0-9]+"])
    Session(engine).ask("Keep k-123 and k-9")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "k-123" not in path.read_text()
    assert "k-9" not in path.read_text()
    assert Session(ReplayEngine(path)).ask("Keep k-555 and k-0") == "The key is [redacted]."
    with pytest.raises(UsageError, match="not valid"):
        RecordingEngine(Scripted(), path, ["("])


@pytest.mark.parametrize("text", ["", "{}", "[1]", "x", '{"xlam_local_recording": 9}', "3\n4"])
def test_a_file_that_is_no_recording_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(UsageError, match=r"a\.jsonl"):
        ReplayEngine(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "damage",
    [
        {"text": None},
        {"prompt": 1},
        {"usage": {"tokens": 1}},
        {"usage": []},
        {"sampling": "greedy"},
        {"counts": 3},
    ],
)
def test_a_reply_with_other_fields_is_no_recording(path: Path, damage: dict[str, object]) -> None:
    head, first, *_ = path.read_text().splitlines()
    path.write_text(f"{head}\n{json.dumps(json.loads(first) | damage)}\n")
    with pytest.raises(UsageError, match=r"talk\.jsonl is not a recording of xlam-local\.$"):
        ReplayEngine(path)


@pytest.mark.parametrize("line", ["[" * 100_000, "9" * 5000, '{"text": NaN}', '{"a": 1, "a": 2}'])
def test_a_line_that_is_not_valid_json_is_named(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UsageError, match=r"talk\.jsonl, line 4, (is|has)"):
        ReplayEngine(path)


def test_a_cancelled_reply_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    turn = Session(RecordingEngine(Scripted(["One ", "two"]), path)).send("Count")
    next(event for event in turn if "One" in str(event))
    turn.close()
    assert len(path.read_text().splitlines()) == 1


def test_a_replay_loads_neither_a_model_nor_llama_cpp(path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from xlam_local.agent.recording import ReplayEngine\n"
        "from xlam_local.session import Session\n"
        "from xlam_local.types import Effect, Tool\n"
        "ran = []\n"
        "def run(city):\n"
        "    ran.append(city)\n"
        "    return f'Rain in {city}'\n"
        f"look = Tool('look', {LOOK.description!r}, {SCHEMA!r}, Effect.READ, run)\n"
        "for _ in range(100):\n"
        "    Session(ReplayEngine(Path(sys.argv[1])), [look]).ask('Is it dry?')\n"
        "print(len(ran), 'llama_cpp' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "300 False\n"


def test_ask_replays_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    drain(Session(RecordingEngine(Scripted(["Hello."]), path)).send("Hi"))
    words = ["ask", "Hi", "--no-tools", "--replay", str(path)]
    replayed = run(*words)
    assert (replayed.returncode, replayed.stdout) == (0, "Hello.\n")
    changed = run("ask", "Ho", "--no-tools", "--replay", str(path))
    assert changed.returncode == 1
    assert "message of the user differs" in changed.stderr
    assert run(*words, "--record", str(path)).returncode == 2
    assert run("ask", "Hi", "--redact", "x").returncode == 2


def test_the_fixture_replays_the_recording_of_a_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["xlam_local.testing"]')
    pytester.makepyfile(
        test_shop="""
        from xlam_local import Session

        def test_hello(xlam_engine):
            assert Session(xlam_engine).ask("Hi") == "Hello."

        def test_missing(xlam_engine):
            raise AssertionError
        """
    )
    folder = pytester.path / "recordings"
    folder.mkdir()
    engine = RecordingEngine(Scripted(["Hello."]), folder / "test_shop.test_hello.jsonl")
    assert Session(engine).ask("Hi") == "Hello."
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*run `pytest --xlam-record`*"])


def test_each_line_of_a_recording_is_json(path: Path) -> None:
    head, *replies = [json.loads(line) for line in path.read_text().splitlines()]
    assert head["model"] == "scripted"
    assert [reply["text"] for reply in replies] == [CALLS, "No, rain."]
