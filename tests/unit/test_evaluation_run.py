"""Runs of an evaluation: resumed, extended, killed, stopped."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.fakes import evaluation_run
from tests.fakes.bfcl_replies import ground_truths, multi_turn_replies
from tests.fakes.fake_engine import Scripted
from tests.fakes.resources import fetch
from xlam_local.checkpoint import Checkpoint
from xlam_local.evaluation import bfcl
from xlam_local.evaluation.energy import EnergyMeter
from xlam_local.evaluation.replies import EvalRequest, EvaluatedReply, write_reply
from xlam_local.evaluation.results import read_runs
from xlam_local.evaluation.run import (
    TOO_LONG,
    EvalCase,
    Judges,
    RunModel,
    Write,
    remove_changed,
    run_cases,
)
from xlam_local.prompt import Template
from xlam_local.types import Sampling

pytestmark = pytest.mark.slow

TOOL = {
    "name": "weather",
    "description": "Return the weather in a city, for example Zürich.",
    "parameters": {
        "type": "dict",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    "response": {"type": "string"},
}
OSLO = '[{"name": "weather", "arguments": {"city": "Oslo"}}]'


def request(text: str = "Weather in Oslo?") -> EvalRequest:
    return EvalRequest([{"role": "user", "content": text}], [TOOL], [TOOL])


def write(engine: Scripted, *, grammar: bool) -> EvaluatedReply:
    return write_reply(request(), engine, grammar, Sampling(), Event())


@contextmanager
def no_checker() -> Any:
    yield None


def judges(valid: bool = True) -> Judges:
    def play(case: EvalCase, _checker: object, write: Write) -> dict[str, Any]:
        return {"valid": valid, "error_type": "", "error": [], "reply": write(case.request).text}

    return Judges(no_checker, play)


def cases(*ids: str, digest: str = "") -> list[EvalCase]:
    return [EvalCase(name, "own", request(name), digest) for name in ids]


def run(path: Path, chosen: Sequence[EvalCase], engine: Scripted) -> list[str]:
    with Checkpoint.open(path, {"benchmark": "own"}) as checkpoint:
        remove_changed(chosen, checkpoint)
        model = RunModel(engine, False, Sampling(), checkpoint)
        return [row["id"] for _, row in run_cases(chosen, [model], judges())]


def test_the_prompt_lists_tools_as_they_are_defined_in_ascii() -> None:
    engine = Scripted([OSLO])
    reply = write(engine, grammar=False)
    assert json.dumps(TOOL, indent=4) + "\n\n" in reply.prompt
    assert "Z\\u00fcrich" in reply.prompt
    assert reply.prompt == engine.prompts[0]


def test_a_prompt_without_tools_has_the_instructions_if_the_original_has_them() -> None:
    engine = Scripted(["Hi."])
    reply = write_reply(EvalRequest(request().messages, [], []), engine, True, Sampling(), Event())
    assert "The available tools are:\n\n<|im_end|>" in reply.prompt
    assert (reply.judged, reply.broken) == ("Hi.", False)


def test_without_the_grammar_the_text_itself_is_judged() -> None:
    text = f"Sure! {OSLO}"
    engine = Scripted([text])
    assert write(engine, grammar=False).judged == text
    assert engine.grammars == [None]


def test_free_replies_of_other_models_are_judged_as_the_product_reads_them() -> None:
    engine = Scripted([f"<tool_call>\n{OSLO}\n</tool_call>"], ["```json\n[]\n```"], ["Hello."])
    engine.prompt_format = Template("{{ messages }}", (), bos="", eos="")
    read = [write(engine, grammar=False) for _ in range(3)]
    assert json.loads(read[0].judged) == json.loads(OSLO)
    assert [reply.broken for reply in read] == [False, False, False]
    assert read[2].judged == "Hello."
    assert engine.grammars == [None] * 3


def test_with_the_grammar_the_calls_are_judged_as_the_product_reads_them() -> None:
    engine = Scripted([f"Sure!\n{OSLO}"])
    reply = write(engine, grammar=True)
    assert json.loads(reply.judged) == json.loads(OSLO)
    assert engine.grammars[0] is not None


@pytest.mark.parametrize("grammar", [True, False])
def test_a_call_that_is_cut_off_is_broken(grammar: bool) -> None:
    reply = write(Scripted(['[{"name": "weather", "argum']), grammar=grammar)
    assert reply.broken


@pytest.mark.parametrize("grammar", [True, False])
def test_words_are_not_broken(grammar: bool) -> None:
    assert not write(Scripted(["No tool fits."]), grammar=grammar).broken


def test_a_repeated_call_ends_the_reply_with_the_grammar() -> None:
    call = '{"name": "weather", "arguments": {"city": "Oslo"}}'
    reply = write(Scripted([f"[{call}", f", {call}", f", {call}]"]), grammar=True)
    assert json.loads(reply.judged) == [json.loads(call)]


def test_the_room_in_the_context_limits_a_reply() -> None:
    engine = Scripted([OSLO], context_size=400)
    write(engine, grammar=False)
    used = len(engine.prompts[0].split())  # the fake counts words
    assert engine.samplings[0].max_tokens == 400 - used - 2


def test_a_prompt_that_is_too_long_fails_its_case_only(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    assert run(path, cases("one"), Scripted([OSLO], context_size=50)) == ["one"]
    (row,) = read_runs([path])[0].rows
    assert (row["valid"], row["error_type"]) == (False, TOO_LONG)


def test_a_run_is_resumed_and_extended_without_repeating(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    assert run(path, cases("a", "b"), Scripted(["1"], ["2"])) == ["a", "b"]
    assert run(path, cases("a", "b"), Scripted()) == []
    assert run(path, cases("a", "b", "c"), Scripted(["3"])) == ["c"]
    assert [row["reply"] for row in read_runs([tmp_path])[0].rows] == ["1", "2", "3"]


def test_a_case_that_was_edited_runs_again(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    run(path, cases("a", "b", digest="1"), Scripted(["1"], ["2"]))
    changed = [*cases("a", digest="2"), *cases("b", digest="1")]
    assert run(path, changed, Scripted(["3"])) == ["a"]


def test_both_settings_of_the_grammar_alternate(tmp_path: Path) -> None:
    engine, identity = Scripted(*([str(number)] for number in range(6))), {"benchmark": "own"}
    with (
        Checkpoint.open(tmp_path / "free.jsonl", identity) as free,
        Checkpoint.open(tmp_path / "grammar.jsonl", identity) as constrained,
    ):
        models = [
            RunModel(engine, False, Sampling(), free),
            RunModel(engine, True, Sampling(), constrained),
        ]
        list(run_cases(cases("a"), models[1:], judges()))
        ran = [
            (model.grammar, row["id"])
            for model, row in run_cases(cases("a", "b"), models, judges())
        ]
    assert ran == [(False, "a"), (False, "b"), (True, "b")]
    rows = {run.path.stem: [row["reply"] for row in run.rows] for run in read_runs([tmp_path])}
    assert rows == {"free": ["1", "2"], "grammar": ["0", "3"]}


def test_stopping_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    with Checkpoint.open(path, {"benchmark": "own"}) as checkpoint:
        model = RunModel(Scripted(["1"], ["2"], ["3"]), False, Sampling(), checkpoint)
        running = run_cases(cases("a", "b", "c"), [model], judges())
        next(iter(running))
        running.close()  # type: ignore[attr-defined]
        assert 1 <= len(checkpoint.done) <= 3


def test_several_cases_run_at_once(tmp_path: Path) -> None:
    assert evaluation_run.run(tmp_path / "bfcl.jsonl", 12) == 12
    rows = read_runs([tmp_path])[0].rows
    assert len({row["id"] for row in rows}) == len(rows) == 12
    assert all(row["valid"] and row["outcome"] == "called" for row in rows)


def test_a_multi_turn_case_is_played_to_its_end(tmp_path: Path) -> None:
    folders = fetch("bfcl"), fetch("mpmath")
    (case,) = bfcl.load_cases(folders, ["multi_turn_base"], 1)
    replies = multi_turn_replies(ground_truths("multi_turn_base")[case.id])
    with Checkpoint.open(tmp_path / "a.jsonl", {"benchmark": "bfcl"}) as checkpoint:
        model = RunModel(Scripted(*([reply] for reply in replies)), False, Sampling(), checkpoint)
        ((_, row),) = run_cases([case], [model], bfcl.judges(folders))
    assert row["valid"]
    assert row["replies"] == replies
    assert row["reply_tokens"] == 3 * len(replies)


def test_a_multi_turn_case_that_grows_too_long_leaves_the_checker_usable(tmp_path: Path) -> None:
    folders = fetch("bfcl"), fetch("mpmath")
    chosen = bfcl.load_cases(folders, ["multi_turn_base", "irrelevance"], 1)
    engine = Scripted(["No."], context_size=600)
    with Checkpoint.open(tmp_path / "a.jsonl", {"benchmark": "bfcl"}) as checkpoint:
        model = RunModel(engine, False, Sampling(), checkpoint)
        rows = {row["category"]: row for _, row in run_cases(chosen, [model], bfcl.judges(folders))}
    assert rows["multi_turn_base"]["error_type"] == TOO_LONG
    assert rows["irrelevance"]["valid"]


def check_kills(path: Path, kills: int, count: int) -> None:
    chance = random.Random(5)
    command = [sys.executable, "-m", "tests.fakes.evaluation_run", str(path), str(count)]
    earlier: list[bytes] = []
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline, grown = time.monotonic() + 60, len(earlier) + chance.randint(1, 4)
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and path.read_bytes().count(b"\n") >= grown:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lines = [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")]
        assert lines[: len(earlier)] == earlier
        earlier = lines
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rows = read_runs([path])[0].rows
    assert len({row["id"] for row in rows}) == len(rows) == count
    assert all(row["valid"] for row in rows)


def test_a_kill_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    check_kills(tmp_path / "bfcl.jsonl", 2, 30)


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    check_kills(tmp_path / "bfcl.jsonl", 20, 150)


def write_energy(zone: Path, microjoules: int) -> None:
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    (zone / "max_energy_range_uj").write_text("9000000\n")


def test_energy_is_summed_over_processors_and_counters_that_wrap(tmp_path: Path) -> None:
    zones = [tmp_path / "intel-rapl:0", tmp_path / "intel-rapl:1"]
    for zone, start in zip(zones, (1_000_000, 8_000_000), strict=True):
        write_energy(zone, start)
    write_energy(tmp_path / "intel-rapl:0:0", 5)  # a part of a processor
    meter = EnergyMeter(tmp_path)
    write_energy(zones[0], 3_000_000)
    write_energy(zones[1], 1_000_000)
    assert meter.take() == pytest.approx(2 + 2)
    assert meter.take() == 0


def test_energy_is_unknown_without_counters(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path).take() is None
