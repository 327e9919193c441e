"""A model as the user of a scenario. Its rates are marked: they depend on two models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from .. import agent
from ..agent import Engine, TurnOptions
from ..types import (
    AssistantMessage,
    Decision,
    Deny,
    Message,
    Sampling,
    SystemMessage,
    Tool,
    ToolCall,
    UserMessage,
)
from .scenario import Scenario
from .user import MAX_USER_MESSAGES

STOP = "END"
CANDIDATES = 4
"""How many messages the model may write until one keeps to the sheet."""
TEMPERATURE = 0.7
"""For all candidates but the first."""
MAX_TOKENS = 96
INSTRUCTIONS = """You are a customer who writes to an assistant. You want this:
{wants}
{facts}Write your next message, in one or two short sentences. Say only what was asked. Do not
invent anything; if you do not know something, say so. If the assistant has done what you want, or
says that it cannot be done, write only {stop}."""
VALUE = re.compile(r"[\w.+-]+@[\w-]+\.\w+|\d[\d.,:/-]*")
"""Email addresses and numbers, which the user must not invent."""


class ModelUser:
    """Plays the user of a scenario with a model that knows what the user wants and the facts."""

    def __init__(self, scenario: Scenario, engine: Engine, seed: int) -> None:
        self.kind = f"model {engine.name}"
        self.broken = 0
        """How many messages have values that the user cannot know."""
        self.said = 0
        self._scenario, self._engine, self._seed = scenario, engine, seed
        facts = [f"- {fact.words[0]}: {fact.value}" for fact in scenario.facts]
        self._sheet = INSTRUCTIONS.format(
            wants="\n".join(scenario.user),
            facts="You know:\n" + "\n".join(facts) + "\n" if facts else "",
            stop=STOP,
        )
        self._conversation: list[Message] = [SystemMessage(self._sheet)]

    def first(self) -> str:
        """Return the request, which the scenario gives."""
        self.said += 1
        self._conversation += [UserMessage("How can I help you?")]
        self._conversation += [AssistantMessage(self._scenario.user[0])]
        return self._scenario.user[0]

    def reply(self, answer: str, is_done: Callable[[], bool]) -> str | None:
        """Return what the user says to an answer; None if the conversation is over."""
        if is_done():
            return None
        self._conversation.append(UserMessage(answer))
        text = self._message()
        if STOP in text.split() or not text:
            return None
        self.said += 1
        self._conversation.append(AssistantMessage(text))
        return text

    @property
    def gave_up(self) -> bool:
        """Whether the user has answered too often."""
        return self.said >= MAX_USER_MESSAGES

    def _message(self) -> str:
        """Return the first of several messages that invents nothing, or else the last one."""
        known = " ".join(_texts(self._conversation))
        text = ""
        for number in range(CANDIDATES):
            text = self._write(number)
            if all(value.rstrip(".,") in known for value in VALUE.findall(text)):
                return text
        self.broken += 1
        return text

    def _write(self, number: int) -> str:
        temperature = TEMPERATURE if number else 0.0
        sampling = Sampling(
            temperature=temperature, seed=self._seed + number, max_tokens=MAX_TOKENS
        )
        options = replace(TurnOptions(), sampling=sampling)
        text = ""
        for event in agent.turn(self._conversation, (), self._engine, _deny, options):
            if isinstance(event, AssistantMessage):
                text = event.text.strip()
        return text


def _texts(messages: list[Message]) -> Iterator[str]:
    for message in messages:
        if isinstance(message, SystemMessage | UserMessage | AssistantMessage):
            yield message.text


def _deny(_tool: Tool, _call: ToolCall) -> Decision:
    return Deny()
