"""What is generated while the speed is measured: tool calls and a story."""

from __future__ import annotations

from ..types import Tool, UserMessage

WEATHER = Tool(
    "get_weather",
    "Get the current weather for a place.",
    {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City and country, e.g. Oslo, Norway."},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
)
FLIGHTS = Tool(
    "search_flights",
    "Search for flights between two cities.",
    {
        "type": "object",
        "properties": {
            "origin": {"type": "string"},
            "destination": {"type": "string"},
            "date": {"type": "string", "description": "YYYY-MM-DD"},
            "passengers": {"type": "integer"},
            "cabin": {"type": "string", "enum": ["economy", "business", "first"]},
        },
        "required": ["origin", "destination", "date", "passengers", "cabin"],
    },
)
TOOLS = (WEATHER, FLIGHTS)
TRIP = UserMessage(
    "Find flights from San Francisco to London on 2026-12-24 for 2 passengers in business class, "
    "and tell me the weather in London in celsius."
)
STORY = UserMessage("Tell me a long story about a lighthouse keeper and a whale.")
PADDING = "These are notes on how the assistant works with its tools, day by day. "
PADDING_TOKENS = 15


def many_tools(count: int) -> tuple[Tool, ...]:
    """Return `count` tools with different names."""
    numbered = [
        Tool(f"{tool.name}_{number}", tool.description, tool.parameters)
        for number in range(count)
        for tool in TOOLS
    ]
    return tuple(numbered[:count])
