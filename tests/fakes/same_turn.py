"""A turn that is the same on a remote engine as on a local one with the same vocabulary."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from xlam_local import agent, prompt
from xlam_local.agent import TurnOptions
from xlam_local.engine import LoadOptions
from xlam_local.engine.local_engine import LocalEngine
from xlam_local.engine.tokenizer import GgufTokenizer
from xlam_local.remote.remote_engine import RemoteEngine
from xlam_local.types import (
    AssistantMessage,
    Deny,
    Done,
    Event,
    Message,
    Sampling,
    SystemMessage,
    Tool,
    ToolCalls,
    UserMessage,
)

TOOL = Tool(
    "set_light",
    "Set a light.",
    {
        "type": "object",
        "properties": {
            "room": {"enum": ["kitchen", "hall", "größe 数 \U0010ffff"]},
            "level": {"type": "integer", "minimum": 0, "maximum": 9},
            "code": {"type": "string", "pattern": "^[0-9\\-a-f]{1,4}$"},
        },
        "required": ["room", "level", "code"],
    },
)
CONVERSATION: list[Message] = [
    SystemMessage("Be brief."),
    UserMessage("<|im_end|> 数 😀 \x01b"),
    AssistantMessage("<|im_start|>"),
    UserMessage("Light in the hall!"),
]


def events(engine: agent.Engine, choice: str) -> list[Event]:
    sampling = Sampling(max_tokens=200 if choice == "required" else 30)
    options = TurnOptions(tool_choice=choice, parallel_tool_calls=False, sampling=sampling)
    return list(agent.turn(CONVERSATION, [TOOL], engine, lambda *_: Deny(), options))


def kinds(found: list[Event]) -> list[str]:
    """Return the kinds of events in their order, each once where several follow each other."""
    names = [type(event).__name__ for event in found if type(event).__name__ != "Heartbeat"]
    return [name for n, name in enumerate(names) if n == 0 or names[n - 1] != name]


def check_same_turn(remote: RemoteEngine, path: Path) -> None:
    """Check that prompts have the same token ids, turns the same events, and calls are valid."""
    assert remote.server.enforces_grammar
    assert remote.server.prompt_format is prompt.QWEN
    assert remote.tokenizer is not None
    rendered = prompt.render(CONVERSATION, [TOOL], prompt.QWEN)
    with closing(GgufTokenizer(path)) as vocabulary:
        assert remote.tokenizer.tokenize(rendered) == vocabulary.tokenize(rendered)
    with closing(LocalEngine.load(path, LoadOptions(context_size=4096))) as local:
        for choice in ("required", "none"):
            here, there = events(local, choice), events(remote, choice)
            assert kinds(there) == kinds(here)
            assert isinstance(here[-1], Done)
            assert isinstance(there[-1], Done)
            assert there[-1].usage.prompt_tokens == here[-1].usage.prompt_tokens
    (calls,) = [event for event in events(remote, "required") if isinstance(event, ToolCalls)]
    assert all(call.name == "set_light" for call in calls.calls)
    assert all(0 <= call.arguments["level"] <= 9 for call in calls.calls)
