"""From OpenAI's JSON to our types, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from .errors import ToolFileError, UsageError
from .types import (
    Answer,
    CallDelta,
    Calls,
    Delta,
    Done,
    Event,
    Message,
    Meter,
    Note,
    Prefill,
    Result,
    System,
    Tool,
    ToolCall,
    User,
)

Json = Any


def tools(data: Json) -> tuple[Tool, ...]:
    """The tools in `data`: a list, one tool, or an object with a list under "tools".

    Each may be in OpenAI's form or bare; nothing runs them, so each has no function.

    Raises:
        ToolFileError: names the tool by its JSON pointer and says what is wrong.
    """
    at = ""
    if isinstance(data, Mapping) and "tools" in data:
        data, at = data["tools"], "/tools"
    elif isinstance(data, Mapping):
        data = [data]
    if not isinstance(data, list):
        raise ToolFileError(f"The tools are {_kind(data)}, not a list of tools.")
    found = tuple(tool(item, f"{at}/{number}") for number, item in enumerate(data))
    _refuse_duplicates(found)
    return found


def tool(item: Json, at: str) -> Tool:
    """One tool, in OpenAI's form or bare; `at` is its JSON pointer."""
    if isinstance(item, Mapping) and isinstance(item.get("function"), Mapping):
        item, at = item["function"], f"{at}/function"
    if not isinstance(item, Mapping):
        raise ToolFileError(f"The tool at {at} is {_kind(item)}, not an object.")
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ToolFileError(f"The tool at {at} has no name.")
    description = item.get("description") or ""
    if not isinstance(description, str):
        raise ToolFileError(f"Tool {name!r} ({at}/description): a description is text.")
    parameters = item.get("parameters", item.get("inputSchema", item.get("input_schema")))
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping):
        raise ToolFileError(
            f"Tool {name!r} ({at}/parameters): the parameters are {_kind(parameters)}, "
            "not a JSON Schema object."
        )
    return Tool(name, description, parameters)


def conversation(data: Json) -> tuple[Message, ...]:
    """The messages of `{"messages": […]}`, with a "system" text beside them if there is one.

    Raises:
        UsageError: names the message by its JSON pointer and says what is wrong.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("messages"), list):
        raise UsageError('A conversation is an object with a list under "messages".')
    system = data.get("system")
    if not isinstance(system, (str, type(None))):
        raise UsageError(f"/system is {_kind(system)}, not text.")
    found: list[Message] = [] if system is None else [System(system)]
    for number, item in enumerate(data["messages"]):
        found.append(_message(item, f"/messages/{number}", found))
    return tuple(found)


def messages_json(messages: Sequence[Message]) -> list[dict[str, Json]]:
    """Messages in OpenAI's form."""
    return [_message_json(message) for message in messages]


def event_json(event: Event) -> dict[str, Json]:
    """An event of a turn, by its name and with its fields."""
    if name := EVENTS.get(type(event)):
        return {"event": name, **asdict(cast(Delta, event))}
    return {"event": "message", "message": _message_json(cast(Message, event))}


EVENTS: Mapping[type, str] = {
    Delta: "delta",
    CallDelta: "call_delta",
    Note: "note",
    Prefill: "prefill",
    Meter: "meter",
    Done: "done",
}


def call_json(call: ToolCall) -> dict[str, Json]:
    """A call as xLAM writes it."""
    return {"name": call.name, "arguments": call.arguments}


def dumps(value: Json) -> str:
    """JSON on one line, with the words of every language as they are."""
    return json.dumps(value, ensure_ascii=False)


def _refuse_duplicates(found: Sequence[Tool]) -> None:
    seen: set[str] = set()
    for one in found:
        if one.name in seen:
            raise ToolFileError(f"There are two tools named {one.name!r}.")
        seen.add(one.name)


def _message(item: Json, at: str, before: Sequence[Message]) -> Message:
    if not isinstance(item, Mapping):
        raise UsageError(f"{at} is {_kind(item)}, not a message.")
    role = item.get("role")
    read = ROLES.get(role) if isinstance(role, str) else None
    if read is None:
        raise UsageError(f"{at}/role is {role!r}; it can be {', '.join(ROLES)}.")
    return read(item, at, before)


def _system(item: Json, at: str, _before: Sequence[Message]) -> Message:
    return System(_text(item, at))


def _user(item: Json, at: str, _before: Sequence[Message]) -> Message:
    return User(_text(item, at))


def _assistant(item: Json, at: str, before: Sequence[Message]) -> Message:
    calls = item.get("tool_calls")
    if not calls:
        return Answer(_text(item, at))
    if not isinstance(calls, list):
        raise UsageError(f"{at}/tool_calls is {_kind(calls)}, not a list.")
    first = sum(len(message.calls) for message in before if isinstance(message, Calls))
    read = (
        _call(call, f"{at}/tool_calls/{number}", f"call_{first + number}")
        for number, call in enumerate(calls)
    )
    return Calls(tuple(read), _text(item, at) if item.get("content") else "")


def _tool(item: Json, at: str, before: Sequence[Message]) -> Message:
    content = item.get("content")
    if isinstance(content, Mapping) or (isinstance(content, list) and not _are_parts(content)):
        output = dumps(content)
    else:
        output = _text(item, at)
    return Result(_called(item, at, before), output)


ROLES = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
}


def _called(item: Json, at: str, before: Sequence[Message]) -> ToolCall:
    """The call that a result belongs to: by its id, else the first that has none yet."""
    answered = {message.call.id for message in before if isinstance(message, Result)}
    made = [call for message in before if isinstance(message, Calls) for call in message.calls]
    wanted = item.get("tool_call_id")
    for call in made:
        if call.id == wanted or (wanted is None and call.id not in answered):
            return call
    raise UsageError(f"{at} is the result of a call ({wanted!r}) that was not made.")


def _call(item: Json, at: str, default_id: str) -> ToolCall:
    function = item.get("function") if isinstance(item, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise UsageError(f"{at} has no function with a name.")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{at}/function/arguments is not JSON: {error}.") from error
    if not isinstance(arguments, Mapping):
        raise UsageError(f"{at}/function/arguments is {_kind(arguments)}, not an object.")
    return ToolCall(str(item.get("id") or default_id), function["name"], arguments)


def _text(item: Json, at: str) -> str:
    content = item.get("content")
    if isinstance(content, list):
        if not _are_parts(content):
            raise UsageError(f"{at}/content has a part that is not text.")
        return "".join(part["text"] for part in content)
    if content is None:
        return ""
    if not isinstance(content, str):
        raise UsageError(f"{at}/content is {_kind(content)}, not text.")
    return content


def _are_parts(content: Sequence[Json]) -> bool:
    return all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content)


def _message_json(message: Message) -> dict[str, Json]:
    match message:
        case System(text):
            return {"role": "system", "content": text}
        case User(text):
            return {"role": "user", "content": text}
        case Answer(text):
            return {"role": "assistant", "content": text}
        case Calls(calls, text):
            asked = [_tool_call_json(call) for call in calls]
            return {"role": "assistant", "content": text or None, "tool_calls": asked}
        case Result(call, output):
            return {"role": "tool", "tool_call_id": call.id, "content": output}


def _tool_call_json(call: ToolCall) -> dict[str, Json]:
    arguments = dumps(call.arguments)
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _kind(value: Json) -> str:
    """A JSON value's type, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
