"""Conversations that are recorded in a history."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.fake_engine import Scripted
from xlam_local.generators import drain
from xlam_local.history import Conversation, History
from xlam_local.session import Session
from xlam_local.types import Effect, Tool

CALL = '[{"name": "weather", "arguments": {"city": "Åsgård"}}]'
WEATHER = Tool(
    "weather",
    "Return the weather.\nIn °C.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    Effect.READ,
    lambda city: f"4 °C in {city}",
)
CLOCK = Tool("clock", "Return the time.", {}, Effect.READ, lambda: "12:00")


def play(
    history: History, engine: Scripted, *texts: str, tools: Sequence[Tool] = (WEATHER, CLOCK)
) -> tuple[int, Session]:
    """Play turns, and record them; return the number of the conversation, and the session."""
    recorder = Conversation(history)
    recorder.model_sha256, recorder.adapters = "ab" * 32, "shop:0.5"
    session = Session(engine, tools, system="Be brief.", recorder=recorder)
    for text in texts:
        drain(session.send(text))
    assert recorder.id is not None
    return recorder.id, session
