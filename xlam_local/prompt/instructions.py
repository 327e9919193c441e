"""The parts of a prompt that the formats share: instructions, tools, messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ..types import (
    AssistantMessage,
    Message,
    Prompt,
    PromptPart,
    SystemMessage,
    Tool,
    ToolCalls,
    ToolResult,
    UserMessage,
)

# The prompt that the Berkeley Function-Calling Leaderboard uses for xLAM-2. The models' published
# scores were measured with it.
XLAM_SYSTEM = (
    "You are a helpful assistant that can use tools. You are developed by Salesforce xLAM team."
)
XLAM_INSTRUCTIONS = (
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
# The instructions follow the tools, with tags around both. Qwen2.5-Coder-0.5B then decides better
# whether to call a tool than with xLAM's instructions. The model reads a tag before its calls; the
# tag is not part of the reply.
CALLS_START = "<tool_call>\n"
"""What models other than xLAM are told to write before the array of calls."""
CALLS_END = "\n</tool_call>"
"""What models other than xLAM are told to write after the array of calls."""
AFTER_RESULTS = (
    "If this answers the question, tell the user the answer in a sentence. "
    "Otherwise make another call."
)
"""What models other than xLAM read after tool results. Small ones otherwise repeat the call, or say
only that it is done."""
OTHER_SYSTEM = "You are a helpful assistant that can use tools."
OTHER_INSTRUCTIONS = (
    "\n# Tools\n\nAnswer in plain text. Only where it is needed, call functions to help with the "
    "user's request. Their definitions are within <tools></tools> tags:\n"
    "<tools>\n{listing}\n</tools>\n\n"
    "If functions help with the request, do not explain them: return a JSON array with the name "
    "and the arguments of each call within <tool_call></tool_call> tags:\n"
    + CALLS_START
    + '[{{"name": <function-name>, "arguments": <args-json-object>}}]'
    + CALLS_END
)


def calls_json(calls: ToolCalls) -> str:
    """Return calls in xLAM's format: a JSON array of names and arguments."""
    return to_json([{"name": call.name, "arguments": call.arguments} for call in calls.calls])


def xlam_system(system: str, listing: str | None) -> str:
    """Return the system message for xLAM, followed by its instructions for calls and the tools.

    `listing` is the text that lists the tools, or None without tools.
    """
    return f"{system.strip()}\n" + ("" if listing is None else XLAM_INSTRUCTIONS + listing)


def other_system(system: str, listing: str | None) -> str:
    """Return the system message for another model, followed by the tools and the instructions.

    `listing` is the text that lists the tools, or None without tools.
    """
    after = "" if listing is None else OTHER_INSTRUCTIONS.format(listing=listing.strip())
    return f"{system.strip()}\n{after}".strip()


def list_tools(tools: Sequence[Tool]) -> str | None:
    """Return the text that lists tools in every prompt format, or None without tools."""
    return "".join(map(tool_text, tools)) if tools else None


def tool_text(tool: Tool) -> str:
    """Return the text that describes a tool in every prompt format."""
    return to_json(tool_json(tool), indent=4) + "\n\n"


def tool_token_counts(
    tools: Sequence[Tool], count: Callable[[Sequence[Prompt]], list[int]]
) -> list[int]:
    """Return the tokens that each tool takes in a prompt; `count` counts those of prompts."""
    return count([(PromptPart(tool_text(tool)),) for tool in tools])


def tool_json(tool: Tool) -> dict[str, Any]:
    """Return a tool in the flat form that prompts use, without OpenAI's "function" object."""
    described = {"description": tool.description} if tool.description else {}
    parameters = {"parameters": tool.parameters} if tool.parameters else {}
    return {"name": tool.name, **described, **parameters}


def to_json(value: object, indent: int | None = None) -> str:
    """Return JSON as prompts contain it, with non-ASCII characters unescaped."""
    return json.dumps(value, indent=indent, ensure_ascii=False)


def split_system(messages: Sequence[Message], default: str) -> tuple[str, Sequence[Message]]:
    """Return the text of the system message, or `default`, and the messages after it."""
    if messages and isinstance(messages[0], SystemMessage):
        return messages[0].text, messages[1:]
    return default, messages


def role_and_text(message: Message, result_role: str) -> tuple[str, str]:
    """Return the role and the text of a message; `result_role` is the role of tool results."""
    match message:
        case SystemMessage(text):
            return "system", text.strip()
        case UserMessage(text):
            return "user", text.strip()
        case AssistantMessage(text):
            return "assistant", text.strip()
        case ToolCalls():
            return "assistant", calls_json(message)
        case ToolResult(output=output):
            return result_role, output
