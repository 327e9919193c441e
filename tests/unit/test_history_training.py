"""Training data is what the engine read and what the model wrote, and nothing is lost silently."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from transformers.utils.chat_template_utils import render_jinja_template

from tests.fakes.fake_engine import Scripted
from tests.fakes.recorded import CALL, CLOCK, WEATHER, play
from xlam_local import prompt
from xlam_local.cli import run_command, xlam_local
from xlam_local.generators import drain
from xlam_local.history import Conversation, History
from xlam_local.history.training import FORMS, ExportReport, Selection, TrainingConversation, rows
from xlam_local.history.training.chat_template import template_text
from xlam_local.history.training.folder import write_folder
from xlam_local.history.training.selection import FAILED_CALL, SPECIAL_TOKENS, UNKNOWN_TOOLS
from xlam_local.session import Session
from xlam_local.types import (
    AssistantMessage,
    Effect,
    Message,
    Tool,
    ToolCall,
    ToolCalls,
    UserMessage,
)

TWO_CALLS = (
    '[{"name": "weather", "arguments": {"city": "Oslo"}}, '
    '{"name": "weather", "arguments": {"city": "Ünix \\"x\\""}}]'
)
ALL = Selection()
FAILING = Tool("broken", "Fail.", {}, Effect.READ, lambda: 1 / 0)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.db")


def export(
    history: History, form: str, selection: Selection = ALL
) -> tuple[list[dict[str, Any]], ExportReport]:
    found = [
        TrainingConversation(
            one, history.messages(one.id), history.replies(one.id), history.ratings(one.id)
        )
        for one in history.summaries()
    ]
    report = ExportReport()
    return rows(form, found, selection, report), report


def two_turns(history: History) -> Scripted:
    engine = Scripted([TWO_CALLS], [" 4 degrees.\n"], [CALL], ["Cold."])
    play(history, engine, "Warmer?\n", "And Åsgård?")
    return engine


@pytest.mark.parametrize("family", [prompt.QWEN, prompt.LLAMA], ids=["qwen", "llama"])
def test_turns_are_the_prompts_that_the_engine_got(history: History, family: prompt.Family) -> None:
    engine = Scripted([TWO_CALLS], [" 4 degrees.\n"], [CALL], ["Cold."])
    engine.prompt_format = family
    play(history, engine, "Warmer?\n", "And Åsgård?")
    found, report = export(history, "turns")
    assert [row["prompt"] for row in found] == engine.prompts
    assert [row["completion"] for row in found] == [
        TWO_CALLS + family.end,
        "4 degrees." + family.end,
        CALL + family.end,
        "Cold." + family.end,
    ]
    assert report.reply_counts == (2, 2)
    for row, following in pairwise(found):
        assert following["prompt"].startswith(row["prompt"] + row["completion"])


def test_other_models_learn_the_tags_that_their_instructions_demand(history: History) -> None:
    engine = Scripted([TWO_CALLS], [" 4 degrees.\n"])
    source = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
    engine.prompt_format = prompt.Template(source, ("<|end|>",), eos="<|end|>")
    play(history, engine, "Warmer?")
    found, _ = export(history, "turns")
    assert [row["prompt"] for row in found] == engine.prompts
    called, answered = (row["completion"] for row in found)
    assert called == f"<tool_call>\n{TWO_CALLS}\n</tool_call><|end|>"
    assert "<tool_call>\n[{" in found[0]["prompt"]
    assert "\n</tool_call>" in found[0]["prompt"]
    assert answered == "4 degrees.<|end|>"


def render(row: dict[str, Any], family: prompt.Family) -> tuple[str, list[str]]:
    """Return a row's text as transformers renders it, and the parts that are learned."""
    texts, spans = render_jinja_template(
        conversations=[row["messages"]],
        tools=json.loads(row["tools"]),
        chat_template=template_text(family),
        return_assistant_tokens_mask=True,
    )
    return texts[0], [texts[0][start:end] for start, end in spans[0]]


@pytest.mark.parametrize("family", [prompt.QWEN, prompt.LLAMA], ids=["qwen", "llama"])
@pytest.mark.parametrize("objects", [False, True])
def test_messages_with_our_template_are_exact_in_text_and_mask(
    history: History, family: prompt.Family, objects: bool
) -> None:
    two_turns(history)
    (row,), _ = export(history, "messages")
    turns, _ = export(history, "turns", Selection(family))
    if objects:
        for message in row["messages"]:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text, learned = render(row, family)
    assert text == turns[-1]["prompt"] + turns[-1]["completion"]
    assert learned == [turn["completion"] for turn in turns]


def test_a_reply_that_is_rated_down_is_read_and_not_learned(history: History) -> None:
    two_turns(history)
    history.rate(1, 5, -1)
    turns, report = export(history, "turns")
    assert len(turns) == 3
    assert report.left_out == {"rated down": 1}
    (row,), _ = export(history, "messages")
    _, learned = render(row, prompt.QWEN)
    assert [one for one in learned if "4 degrees" in one] == []
    assert len(learned) == 3


def test_a_format_without_weights_takes_no_conversation_with_a_bad_reply(
    history: History,
) -> None:
    two_turns(history)
    history.rate(1, 5, -1)
    for form in ("sharegpt", "actionstudio"):
        found, report = export(history, form)
        assert found == []
        assert "cannot say" in str(report.left_out)


def test_only_rated_replies_are_learned_on_request(history: History) -> None:
    two_turns(history)
    history.rate(1, 5, 1)
    turns, _ = export(history, "turns", Selection(rated=True))
    assert [turn["completion"] for turn in turns] == ["4 degrees.<|im_end|>"]
    (row,), _ = export(history, "openai", Selection(rated=True))
    weights = [message.get("weight", 1) for message in row["messages"]]
    roles = [message["role"] for message in row["messages"]]
    assert [w for w, role in zip(weights, roles, strict=True) if role == "assistant"] == [
        0,
        1,
        0,
        0,
    ]


def test_a_text_with_a_special_token_is_left_out_and_said(history: History) -> None:
    play(history, Scripted(["Ok."], ["Yes."]), "Say <|im_end|> to me", "Well?")
    for form in FORMS:
        found, report = export(history, form)
        assert found == []
        assert report.left_out[SPECIAL_TOKENS] in (1, 2)


def test_a_failed_call_is_context_and_not_learned(history: History) -> None:
    engine = Scripted(['[{"name": "broken", "arguments": {}}]'], ["It failed."])
    play(history, engine, "Try", tools=[FAILING])
    turns, report = export(history, "turns")
    assert [turn["completion"] for turn in turns] == ["It failed.<|im_end|>"]
    assert report.left_out == {FAILED_CALL: 1}


def test_replies_without_known_tools_are_left_out(history: History) -> None:
    said: list[Message] = [UserMessage("Hi"), AssistantMessage("Hello")]
    history.import_messages("Old", said)
    for form in FORMS:
        found, report = export(history, form)
        assert (found, report.left_out) == ([], {UNKNOWN_TOOLS: 1})


def test_a_conversation_whose_tools_changed_is_only_exact_as_turns(history: History) -> None:
    recorder = Conversation(history)
    session = Session(Scripted(["A."], ["B."]), [WEATHER], recorder=recorder)
    drain(session.send("One"))
    drain(session.send("Two", tools=[CLOCK]))
    assert len(export(history, "turns")[0]) == 2
    found, report = export(history, "messages")
    assert found == []
    assert "tools changed" in str(report.left_out)


def test_duplicates_are_written_once(history: History) -> None:
    for _ in range(3):
        play(history, Scripted(["Hello."]), "Hi")
    for form in FORMS:
        found, report = export(history, form)
        assert len(found) == 1
        assert report.left_out == {"a duplicate of another row": 2}
        assert report.reply_counts == (0, 1)


def test_openai_rows_have_string_arguments_and_no_null(history: History) -> None:
    two_turns(history)
    (row,), _ = export(history, "openai")
    assert row["tools"][0]["function"]["name"] == "weather"
    calls = [call for message in row["messages"] for call in message.get("tool_calls", ())]
    assert all(isinstance(call["function"]["arguments"], str) for call in calls)
    assert "null" not in json.dumps(row)
    answered = [m["tool_call_id"] for m in row["messages"] if m["role"] == "tool"]
    assert answered == [call["id"] for call in calls]
    assert row["messages"][-1]["role"] == "assistant"


def test_sharegpt_alternates_and_merges_parallel_results(history: History) -> None:
    two_turns(history)
    (row,), _ = export(history, "sharegpt")
    roles = [turn["from"] for turn in row["conversations"]]
    assert roles == [
        *("human", "function_call", "observation", "gpt"),
        *("human", "function_call", "observation", "gpt"),
    ]
    assert row["system"] == "Be brief."
    assert [tool["name"] for tool in json.loads(row["tools"])] == ["weather", "clock"]
    values = [turn["value"] for turn in row["conversations"]]
    assert len(json.loads(values[1])) == len(json.loads(values[2])) == 2
    assert json.loads(values[5]) == {"name": "weather", "arguments": {"city": "Åsgård"}}


def test_actionstudio_trajectories_have_objects_and_an_id(history: History) -> None:
    two_turns(history)
    (row,), _ = export(history, "actionstudio")
    assert row["unique_trajectory_id"] == "xlam-local-1"
    assert row["task_instruction"] == "Be brief."
    assert row["conversation"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    assert {message["role"] for message in row["conversation"]} == {"user", "assistant", "tool"}


def test_agentohana_steps_have_the_next_observation(history: History) -> None:
    two_turns(history)
    found, _ = export(history, "agentohana")
    turns, _ = export(history, "turns")
    assert [row["input"] for row in found] == [turn["prompt"] for turn in turns]
    seen = [row["next observation"] for row in found]
    assert seen[1:] == ["And Åsgård?", "4 °C in Åsgård", ""]


def test_a_loss_is_said(history: History) -> None:
    play(history, Scripted([f"I will look.\n\n{CALL}"], ["Cold."]), "Weather?")
    _, report = export(history, "turns")
    assert sum(report.lost.values()) == 1


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop1234",
        "ghp_0123456789abcdefghij0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "hf_abcdefghijklmnopqrstuvwx",
        'password = "hunter22"',
        "Authorization: Bearer abcdefghijklmnop.qrst",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_is_written_only_on_request(
    own_folders: Path, tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(History(own_folders / "data" / "history.db")) as history:
        play(history, Scripted(["Ok."]), f"Use {secret} now")
    out = tmp_path / "out"
    words = ["history", "export", "--all", "--as", "turns", str(out)]
    assert run_command(words) == 2
    assert "look like secrets" in capsys.readouterr().err
    assert not out.exists()
    assert run_command([*words, "--yes"]) == 0
    assert "Secrets" in (out / "REPORT.md").read_text()


@pytest.mark.parametrize("form", list(FORMS))
def test_the_command_writes_a_folder_with_a_report(
    own_folders: Path, tmp_path: Path, form: str
) -> None:
    with closing(History(own_folders / "data" / "history.db")) as history:
        two_turns(history)
        play(history, Scripted(["Ok."]), "From /home/ann to ann@example.org, <|im_end|>")
    out = tmp_path / "out"
    words = ["history", "export", "--all", "--as", form, str(out)]
    result = CliRunner().invoke(xlam_local, words, catch_exceptions=False)
    assert re.match(r"\d rows, 1 left out", result.stderr)
    report = (out / "REPORT.md").read_text()
    assert "special token" in report
    if form == "actionstudio":
        whole = json.loads((out / "unified_data/xlam-local/train/train.json").read_text())
        assert len(whole) == 1
    else:
        assert all(json.loads(line) for line in (out / "train.jsonl").read_text().splitlines())
    assert (out / "chat_template.jinja").exists() == (form == "messages")
    assert (out / "dataset_info.json").exists() == (form in ("turns", "sharegpt"))
    assert run_command(words) == 2


@pytest.mark.parametrize("family", [prompt.QWEN, prompt.LLAMA], ids=["qwen", "llama"])
def test_the_chat_template_is_that_of_the_model_that_replied(
    history: History, tmp_path: Path, family: prompt.Family
) -> None:
    engine = Scripted(["Hello."])
    engine.prompt_format = family
    play(history, engine, "Hi")
    found, report = export(history, "messages")
    write_folder(tmp_path / "out", "messages", found, report)
    written = (tmp_path / "out" / "chat_template.jinja").read_text(encoding="utf-8")
    assert written == template_text(family)
    _, other = export(history, "messages", Selection(prompt.QWEN))
    assert other.family == prompt.QWEN


@pytest.mark.parametrize(
    ("form", "family", "template"),
    [
        ("turns", prompt.LLAMA, "empty"),
        ("sharegpt", prompt.QWEN, "qwen"),
        ("sharegpt", prompt.LLAMA, "llama3"),
    ],
)
def test_llama_factory_gets_the_template_of_the_base_model(
    history: History, tmp_path: Path, form: str, family: prompt.Family, template: str
) -> None:
    engine = Scripted(["Hello."])
    engine.prompt_format = family
    play(history, engine, "Hi")
    found, report = export(history, form)
    write_folder(tmp_path / "out", form, found, report)
    written = (tmp_path / "out" / "llamafactory.yaml").read_text(encoding="utf-8")
    assert f"template: {template}\n" in written


def test_calls_alone_are_warned_about(history: History) -> None:
    report = ExportReport()
    call = ToolCalls((ToolCall("call_0", "add", {}),))
    replies: Sequence[Message] = [*[call] * 9, AssistantMessage("Yes.")]
    for message in replies:
        report.note_reply(message)
    assert "10%" in report.warnings[0]


def test_options_that_have_no_effect_are_errors(own_folders: Path) -> None:
    with closing(History(own_folders / "data" / "history.db")) as history:
        play(history, Scripted(["Ok."]), "Hi")
    for words in (["--all"], ["1", "--rated"], ["1", "--as", "turns"], ["x"], ["1", "a", "b"], []):
        assert run_command(["history", "export", *words]) == 2
