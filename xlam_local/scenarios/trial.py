"""Play one run of a scenario in a fresh world, and judge what it leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..agent import Engine, TurnOptions
from ..errors import ContextExceeded
from ..generators import drain
from ..history import serialization
from ..openai_format import messages_json
from ..prompt import format_to_json, tool_json
from ..reply_record import ReplyRecord
from ..session import Session
from ..types import (
    AssistantMessage,
    FinishReason,
    Message,
    Tool,
    ToolCalls,
    ToolResult,
    Usage,
)
from .causes import Judgement, TrialEnd, judge
from .gold import ToolWorlds
from .scenario import Scenario
from .state import State, read_state
from .user import ScriptedUser, UserPlayer
from .variations import Variation, VariedTools, vary
from .world import call_fixture, fresh_world

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSetup:
    """What all runs of a check share."""

    engine: Engine
    options: TurnOptions
    worlds: ToolWorlds
    open_user: Callable[[Scenario, int], UserPlayer] = ScriptedUser
    """Returns the user of a run, which has a scenario and a seed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a scenario."""

    scenario: Scenario
    run: int
    """Its number, from 1."""
    variation: Variation | None = None

    @property
    def id(self) -> str:
        """What identifies its row."""
        return "/".join(filter(None, (self.scenario.name, self.variation_name, str(self.run))))

    @property
    def variation_name(self) -> str:
        """The name of its variation; empty for the tools of the file."""
        return str(self.variation or "")


def play_trial(trial: Trial, setup: CheckSetup, expected: State | None) -> dict[str, Json]:
    """Play a run and return its row; `expected` is the right end state."""
    seed = setup.options.sampling.seed + trial.run - 1
    with fresh_world(trial.scenario.start) as world, setup.worlds.open_tools(world) as tools:
        offered = vary(tools, trial.variation, seed)
        recorder = TrialRecorder()
        sampling = replace(setup.options.sampling, seed=seed)
        session = Session(
            setup.engine,
            offered.tools,
            options=replace(setup.options, sampling=sampling),
            system=trial.scenario.system or None,
            approver=setup.worlds.approver(world, offered),
            recorder=recorder,
        )
        user = setup.open_user(trial.scenario, seed)
        play = _Play(trial.scenario, session, world, offered, expected, tools)
        started = time.monotonic()
        judgement, finish_reason = play.to_the_end(user)
        seconds = time.monotonic() - started
    return {
        "id": trial.id,
        "scenario": trial.scenario.name,
        "variation": trial.variation_name,
        "run": trial.run,
        "seed": seed,
        "case": trial.scenario.digest,
        "user": user.kind,
        "user_broken": user.broken,
        "passed": judgement.passed,
        "cause": judgement.cause,
        "detail": judgement.detail,
        "diff": list(judgement.diff),
        "finish_reason": finish_reason,
        "seconds": round(seconds, 3),
        **recorder.costs(),
        "prompt_format": format_to_json(setup.engine.prompt_format),
        **_conversation_json(session.messages, recorder, offered.tools),
    }


class TrialRecorder:
    """Keeps how each reply of a run was written."""

    def __init__(self) -> None:
        self.records: dict[int, ReplyRecord] = {}
        """By the place of the message."""
        self._count = 0

    def append(self, message: Message, record: ReplyRecord | None = None) -> None:
        """Keep the record of a message."""
        if record is not None:
            self.records[self._count] = record
        self._count += 1

    def append_partial(self, text: str) -> None:
        """Do nothing: whole messages are kept."""

    def costs(self) -> dict[str, Json]:
        """Return the number of replies and of their tokens."""
        usage = sum((record.usage for record in self.records.values()), Usage())
        return {
            "replies": len(self.records),
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "reply_tokens": usage.reply_tokens,
        }


@dataclass(slots=True)
class _Play:
    """A run that is played."""

    scenario: Scenario
    session: Session
    world: Path
    offered: VariedTools
    expected: State | None
    tools: Sequence[Tool]
    finish_reason: FinishReason = "stop"
    known: Mapping[str, Tool] = field(init=False)

    def __post_init__(self) -> None:
        self.known = {tool.name: tool for tool in self.tools}

    def to_the_end(self, user: UserPlayer) -> tuple[Judgement, FinishReason]:
        """Play until the user has no more to say or a turn fails; return the judgement."""
        said: str | None = user.first()
        while said is not None:
            try:
                done = drain(self.session.send(said))
            except ContextExceeded:
                self.finish_reason = "length"
                break
            self.finish_reason = done.finish_reason
            last = self.session.messages[-1]
            if done.finish_reason != "stop" or not isinstance(last, AssistantMessage):
                break
            said = user.reply(last.text, lambda: self.judgement().passed)
            if said is not None and user.gave_up:
                self.finish_reason = "max_steps"
                break
        return self.judgement(), self.finish_reason

    def judgement(self) -> Judgement:
        """Judge the run as it is now."""
        messages = [self.original(message) for message in self.session.messages]
        complaint = None
        if self.scenario.expect is not None:
            complaint = call_fixture(self.scenario.expect, self.world, messages_json(messages))
        state = read_state(self.world, self.scenario.start.ignore)
        end = TrialEnd(messages, self.finish_reason, state, complaint or "")
        return judge(end, self.scenario, self.expected, self.known)

    def original(self, message: Message) -> Message:
        """Return a message with the names of the tool file."""
        match message:
            case ToolCalls(calls):
                return replace(message, calls=tuple(map(self.offered.original, calls)))
            case ToolResult(call):
                return replace(message, call=self.offered.original(call))
            case _:
                return message


def _conversation_json(
    messages: Sequence[Message], recorder: TrialRecorder, tools: Sequence[Tool]
) -> dict[str, Json]:
    """Return a conversation as JSON without loss, and how its replies were written."""
    return {
        "messages": [
            {"kind": serialization.kind(one), **json.loads(serialization.pack(one))}
            for one in messages
        ],
        "tools": list(map(tool_json, tools)),
        "records": [
            {
                "place": place,
                "offered": [tool.name for tool in record.tools],
                "unread": list(record.unread),
                "constrained": record.constrained,
                "prompt_sha256": record.prompt_sha256,
            }
            for place, record in recorder.records.items()
        ],
    }
