from __future__ import annotations

import pytest

from tests.fakes.fake_engine import Scripted
from tests.fakes.turns import ADD
from xlam_local import prompt
from xlam_local.agent.context_window import fit_to_context, split_turns
from xlam_local.errors import PromptError
from xlam_local.types import AssistantMessage, ContextUsage, Message, SystemMessage, UserMessage

CONVERSATION: list[Message] = [SystemMessage("Be brief.")]
for number in range(20):
    CONVERSATION += [UserMessage(f"question {number}"), AssistantMessage("word " * 20)]
LAST = UserMessage("and now?")


def test_a_conversation_that_fits_is_kept_whole_and_its_tokens_add_up() -> None:
    engine = Scripted(context_size=5000)
    fitted = fit_to_context([*CONVERSATION, LAST], [ADD], engine, 100, strict=True)
    assert list(fitted.messages) == [*CONVERSATION, LAST]
    (total,) = engine.count([prompt.render([*CONVERSATION, LAST], [ADD], engine.prompt_format)])
    usage = fitted.usage
    assert usage.system + usage.tools + usage.history == total
    assert total + usage.free == 5000
    assert usage.dropped_turns == 0


def test_whole_turns_are_dropped_and_the_system_message_stays() -> None:
    engine = Scripted(context_size=400)
    fitted = fit_to_context([*CONVERSATION, LAST], [ADD], engine, 50, strict=False)
    assert fitted.messages[0] == CONVERSATION[0]
    assert isinstance(fitted.messages[1], UserMessage)
    assert fitted.messages[-1] == LAST
    assert list(fitted.messages[1:]) == [*CONVERSATION, LAST][1 + 2 * fitted.usage.dropped_turns :]
    assert fitted.usage.dropped_turns > 0
    assert fitted.usage.free >= 50


def test_turns_are_dropped_in_steps_so_that_the_next_prompts_share_their_beginning() -> None:
    engine, messages = Scripted(context_size=400), [*CONVERSATION, LAST]
    dropped = []
    for number in range(8):
        dropped.append(
            fit_to_context(messages, [ADD], engine, 50, strict=False).usage.dropped_turns
        )
        messages += [AssistantMessage("word " * 10), UserMessage(f"more {number}")]
    assert dropped == sorted(dropped)
    assert len(set(dropped)) < 4


def test_strict_context_is_an_error_with_the_numbers() -> None:
    with pytest.raises(PromptError, match="a context of 400 tokens holds only 350"):
        fit_to_context([*CONVERSATION, LAST], [ADD], Scripted(context_size=400), 50, strict=True)


def test_the_last_turn_stays_even_if_it_does_not_fit() -> None:
    fitted = fit_to_context(
        [*CONVERSATION, UserMessage("word " * 500)],
        [],
        Scripted(context_size=400),
        50,
        strict=False,
    )
    assert len(fitted.messages) == 2
    assert fitted.usage == ContextUsage(15, 0, 500, 0, 20) or fitted.usage.free == 0


def test_only_system_messages_come_before_the_first_turn() -> None:
    head, turns = split_turns(
        [
            SystemMessage("a"),
            AssistantMessage("hello"),
            UserMessage("b"),
            AssistantMessage("c"),
            UserMessage("d"),
        ]
    )
    assert list(head) == [SystemMessage("a")]
    assert [next(iter(turn)) for turn in turns] == [AssistantMessage("hello"), UserMessage("d")]
    assert split_turns([SystemMessage("a")]) == ([SystemMessage("a")], [[]])
