"""The words of a prompt that every format shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..types import Answer, Calls, Message, Result, System, Tool, User

# The words of the Berkeley Function-Calling Leaderboard's prompt for xLAM-2, with which the
# models' published scores were measured.
XLAM_SYSTEM = (
    "You are a helpful assistant that can use tools. You are developed by Salesforce xLAM team."
)
OTHER_SYSTEM = "You are a helpful assistant that can use tools."
INSTRUCTIONS = (
    "You have access to a set of tools. "
    "When using tools, make calls in a single JSON array: \n\n"
    '[{"name": "tool_call_name", "arguments": {"arg1": "value1", "arg2": "value2"}}, '
    "... (additional parallel tool calls as needed)]\n\n"
    "If no tool is suitable, state that explicitly. "
    "If the user's input lacks required parameters, ask for clarification. "
    "Do not interpret or respond until tool results are returned. "
    "Once they are available, process them or make additional calls if needed. "
    "For tasks that don't require tools, such as casual conversation or general advice, "
    "respond directly in plain text. The available tools are:\n\n"
)


def calls_json(calls: Calls) -> str:
    """Calls as xLAM writes them."""
    return to_json([{"name": call.name, "arguments": call.arguments} for call in calls.calls])


def system_block(system: str, tools: Sequence[Tool]) -> str:
    """The system message with the instructions for calls and each tool's JSON behind it."""
    listed = "".join(map(tool_text, tools))
    return f"{system.strip()}\n" + (INSTRUCTIONS + listed if tools else "")


def tool_text(tool: Tool) -> str:
    """A tool as every prompt shows it: what it costs is what this costs."""
    return to_json(tool_json(tool), indent=4) + "\n\n"


def tool_json(tool: Tool) -> dict[str, Any]:
    """A tool in the flat form that prompts show."""
    described = {"description": tool.description} if tool.description else {}
    parameters = {"parameters": tool.parameters} if tool.parameters else {}
    return {"name": tool.name, **described, **parameters}


def to_json(value: object, indent: int | None = None) -> str:
    """JSON as prompts show it: words of every language stay as they are."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def split_system(messages: Sequence[Message], default: str) -> tuple[str, Sequence[Message]]:
    """The system message, or the default, and the messages after it."""
    if messages and isinstance(messages[0], System):
        return messages[0].text, messages[1:]
    return default, messages


def spoken(message: Message, result_role: str) -> tuple[str, str]:
    """Who speaks in a message, and what the model reads."""
    match message:
        case System(said):
            return "system", said.strip()
        case User(said):
            return "user", said.strip()
        case Answer(said):
            return "assistant", said.strip()
        case Calls():
            return "assistant", calls_json(message)
        case Result(output=output):
            return result_role, output
