"""Read conversations in the formats of OpenAI and of other programs.

A message is in the format of OpenAI (also with `function_call`), Anthropic, Ollama or ShareGPT, or
an item of OpenAI's Responses. A key with text that is not read is an error that names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import user_file
from .errors import UsageError
from .json_depth import MAX_JSON_DEPTH, exceeds_depth
from .message_content import (
    CALL_BLOCK,
    CONTENT_KEYS,
    REASONING_KEYS,
    REASONING_LISTS,
    RESULT_ID_KEYS,
    RESULT_TYPES,
    as_thought,
    message_parts,
    only_text,
    output_type,
    parts_of_type,
    reasoning_item_text,
    result_blocks,
    result_text,
    with_reasoning,
)
from .openai_format import tools
from .tool_definition import json_type
from .types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Tool,
    ToolCall,
    ToolCalls,
    ToolResult,
    UserMessage,
)

Json = Any
LIST_KEYS = ("messages", "conversations", "conversation")
"""The keys of an object that hold its messages."""
UNREAD_KEYS = (
    *("chosen", "rejected", "preferred_output", "non_preferred_output"),
    *("completion", "context"),
)
"""Keys beside the messages that hold a part of the conversation, as preference data does."""
ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model", "ai"), "assistant"),
    **dict.fromkeys(
        ("tool", "function", "observation", "tool_response", "function_response", "ipython"), "tool"
    ),
    **dict.fromkeys(("function_call", "tool_call"), "call"),
    "function_call_output": "tool",
}
"""What each role of other programs is here."""
READ_KEYS = frozenset(
    {
        *("role", "from", "type", "id", "name", *CONTENT_KEYS),
        *(*RESULT_ID_KEYS, "tool_name", "toolName"),
        *("ok", "refused", "skipped", "is_error", "isError", "attached_files"),
    }
)
"""Keys that are read in every message, or only say what it belongs to."""
ROLE_KEYS = {
    "assistant": frozenset(
        {"refusal", *REASONING_KEYS, *REASONING_LISTS, "tool_calls", "function_call"}
    ),
    "call": frozenset({"arguments", "args", "parameters", "input"}),
}
"""Keys that are read in the messages of a role only."""
CALL_KEYS = frozenset(
    {
        *("id", "call_id", "toolCallId", "type", "name", "tool_name", "toolName"),
        *("function", "function_call", "arguments", "args", "parameters", "input"),
        *("requestor", "caller", "description", "extra_content", "thought_signature"),
        *("provider_specific_fields", "providerMetadata", "providerOptions", "toolMetadata"),
    }
)
"""Keys of a call that are read, or whose text is not part of the conversation."""
METADATA_KEYS = frozenset(
    {
        *("object", "index", "model", "phase", "status", "metadata", "annotations"),
        *("created", "created_at", "createTime", "update_time", "updated_at"),
        *("timestamp", "time", "date", "usage", "logprobs", "cache_control"),
        *("finish_reason", "stop_reason"),
        *("response_metadata", "usage_metadata", "artifact"),
    }
)
"""Keys whose text is not part of the conversation."""
SYSTEM_KEYS = ("system", "system_prompt", "system_message", "instructions")
"""The keys beside the messages that hold the system message."""
CALL_ID_KEYS = ("id", "toolCallId", "call_id")
NAME_KEYS = ("name", "tool_name", "toolName")
ARGUMENT_KEYS = ("arguments", "args", "parameters", "input")


def split(data: Json) -> list[Json]:
    """Return the conversations in the data of a file: one, a list of them, or a list of messages.

    Raises:
        UsageError: there is none.
    """
    if isinstance(data, list) and data and all(map(_is_conversation, data)):
        return data
    if isinstance(data, list) and data:
        return [{"messages": data}]
    if isinstance(data, Mapping) and ("role" in data or "from" in data):
        return [{"messages": [data]}]
    if _is_conversation(data):
        return [data]
    raise UsageError('A conversation is an object with a list under "messages".')


def _is_conversation(data: Json) -> bool:
    return isinstance(data, Mapping) and any(isinstance(data.get(key), list) for key in LIST_KEYS)


def conversation(data: Json) -> tuple[Message, ...]:
    """Return the messages of `{"messages": […]}`, with an optional "system" text beside them.

    Raises:
        UsageError: a message is invalid; the error has its JSON pointer.
    """
    if not _is_conversation(data):
        raise UsageError('A conversation is an object with a list under "messages".')
    key = next(key for key in LIST_KEYS if isinstance(data.get(key), list))
    for unread in (unread for unread in UNREAD_KEYS if _has_text(data.get(unread))):
        raise UsageError(f"/{unread} cannot be read; only the messages of /{key} can. Remove it.")
    reader = _ConversationReader()
    for place in (place for place in SYSTEM_KEYS if data.get(place) is not None):
        text = message_parts({"content": data[place]}, "", f"/{place}").text
        reader.messages.append(SystemMessage(text))
    for number, item in enumerate(data[key]):
        reader.read(item, f"/{key}/{number}")
    return tuple(reader.messages)


def offered_tools(data: Mapping[str, Json]) -> tuple[Tool, ...]:
    """Return the tools beside the messages, under "tools" or "functions"; a text holds JSON.

    Raises:
        ToolFileError: a tool is invalid.
        UsageError: the text is not JSON.
    """
    found = data.get("tools") or data.get("functions") or []
    return tools(user_file.parse_json(found, "/tools") if isinstance(found, str) else found)


@dataclass(slots=True)
class _OpenCall:
    """A call whose result has not been read yet."""

    call: ToolCall
    given_id: str
    """Its id in the file, which another call may have too."""
    order: int
    step: int


class _ConversationReader:
    """Reads messages in order, and finds the call of each result."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._open: list[_OpenCall] = []
        self._order: dict[str, int] = {}
        """The number of each call by its id here, which no other call has."""
        self._step = 0
        """How many times calls have begun after a result or a message of the user."""
        self._in_step = False
        self._thoughts = ""
        """Reasoning that was an item of its own; it belongs to the model's next message."""
        self._extends_calls = False
        """Whether the last item was a single call, to which the next one is parallel."""

    def read(self, item: Json, pointer: str) -> None:
        """Read one message."""
        if not isinstance(item, Mapping):
            raise UsageError(f"{pointer} is {json_type(item)}, not a message.")
        item = _flat(item)
        if item.get("type") == "reasoning":
            self._thoughts += as_thought(reasoning_item_text(item, pointer))
            return
        role = _role(item, pointer)
        _check_keys(item, pointer, role)
        extends, self._extends_calls = self._extends_calls, role == "call"
        match role:
            case "system":
                self.messages.append(SystemMessage(only_text(item, pointer)))
            case "user":
                self._read_user(item, pointer)
            case "assistant":
                self._read_assistant(item, pointer)
            case "call":
                self._add_calls(_single_calls(item, pointer), "", extends)
            case "tool":
                self._read_calls_in_text(pointer)
                results = parts_of_type(item, pointer, RESULT_TYPES)
                blocks = [(block, pointer) for block in result_blocks(item, pointer)]
                for result, place in results or blocks:
                    self._add_result(result, place)

    def _read_calls_in_text(self, pointer: str) -> None:
        """Read the calls in the last answer if a result follows it and no call is open."""
        last = self.messages[-1] if self.messages else None
        if self._open or not isinstance(last, AssistantMessage):
            return
        if calls := CALL_BLOCK.findall(last.text):
            self.messages.pop()
            where = f"The tool call before {pointer}"
            parsed = [(user_file.parse_json(text, where, surrogates=True), where) for text in calls]
            self._add_calls(parsed, CALL_BLOCK.sub("", last.text).strip(), extends=False)

    def _read_user(self, item: Mapping[str, Json], pointer: str) -> None:
        parts = message_parts(item, pointer)
        for result, place in parts.results:
            self._add_result(result, place)
        if parts.calls:
            raise UsageError(f"{parts.calls[0][1]} is a tool call in a message of the user.")
        if parts.text or not parts.results:
            self._in_step = False
            self.messages.append(UserMessage(parts.text, _attachments(item)))

    def _read_assistant(self, item: Mapping[str, Json], pointer: str) -> None:
        parts = message_parts(item, pointer)
        if parts.results:
            raise UsageError(f"{parts.results[0][1]} is a tool result in a message of the model.")
        old = item.get("function_call")
        listed = [(old, f"{pointer}/function_call")] if old else []
        calls = list(parts.calls)
        # Some programs write a call under several keys.
        for more in (list(_listed_calls(item, pointer)), listed):
            calls += _not_among(calls, more)
        text = with_reasoning(item, parts.text, pointer)
        if calls:
            self._add_calls(calls, text, extends=False)
        else:
            self.messages.append(AssistantMessage(self._take_thoughts() + text))

    def _take_thoughts(self) -> str:
        thoughts, self._thoughts = self._thoughts, ""
        return thoughts

    def _add_calls(self, items: Sequence[tuple[Json, str]], text: str, extends: bool) -> None:
        self._step += not self._in_step
        self._in_step = True
        calls = tuple(self._parse_call(item, pointer) for item, pointer in items)
        last = self.messages[-1] if self.messages else None
        if extends and isinstance(last, ToolCalls):
            self.messages[-1] = ToolCalls((*last.calls, *calls), last.text)
        else:
            self.messages.append(ToolCalls(calls, self._take_thoughts() + text))

    def _parse_call(self, item: Json, pointer: str) -> ToolCall:
        given_id = _first_id(item, CALL_ID_KEYS)
        name, arguments = _name_and_arguments(item, pointer)
        _check_call_keys(item, pointer)
        number = len(self._order)
        call_id = given_id or f"call_{number}"
        while call_id in self._order:
            call_id, number = f"call_{number}", number + 1
        call = ToolCall(call_id, name, arguments)
        self._order[call_id] = len(self._order)
        self._open.append(_OpenCall(call, given_id, self._order[call_id], self._step))
        return call

    def _add_result(self, item: Mapping[str, Json], pointer: str) -> None:
        found = self._find_call(item, pointer)
        self._open.remove(found)
        self._in_step = False
        refused = item.get("refused") is True
        failed = refused or item.get("is_error") is True or item.get("isError") is True
        failed = failed or item.get("ok") is False or item.get("status") == "error"
        failed = failed or output_type(item.get("output")).startswith("error-")
        skipped = item.get("skipped") is True
        result = ToolResult(found.call, result_text(item, pointer), not failed, refused, skipped)
        # Prompts show results in the order of their calls, because xLAM's format has no ids.
        place = len(self.messages)
        while place and self._follows(self.messages[place - 1], found.order):
            place -= 1
        self.messages.insert(place, result)

    def _follows(self, message: Message, order: int) -> bool:
        return isinstance(message, ToolResult) and self._order[message.call.id] > order

    def _find_call(self, item: Mapping[str, Json], pointer: str) -> _OpenCall:
        """Return the call of a result: by its id, else by its name, else the next one.

        The last calls come first: programs use the same ids again in each turn or step. A call
        without an id may have a result with one, and the other way round.
        """
        given_id = _first_id(item, RESULT_ID_KEYS)
        name = _name(item)
        calls = sorted(self._open, key=lambda one: (-one.step, one.order))
        with_id = [one for one in calls if one.given_id == given_id]
        same_name = [one for one in with_id or calls if one.call.name == name]
        if given_id and not with_id:
            calls = [one for one in same_name or calls if not one.given_id]
        elif given_id:
            calls = same_name or with_id
        elif isinstance(name, str) and name:
            calls = [one for one in calls if one.call.name == name]
        elif any(one.step == calls[0].step for one in with_id):
            calls = with_id
        if calls:
            return calls[0]
        if given_id:
            raise UsageError(
                f"{pointer}: there is no earlier tool call with the id {given_id!r} that has no "
                "result."
            )
        named = f" of {name!r}" if name else ""
        raise UsageError(f"{pointer}: there is no earlier tool call{named} without a result.")


def _role(item: Mapping[str, Json], pointer: str) -> str:
    key = next((key for key in ("role", "from", "type") if item.get(key) is not None), "role")
    given = item.get(key)
    role = ROLES.get(given.lower()) if isinstance(given, str) else None
    if role is None:
        valid = "system, developer, user, assistant, tool"
        raise UsageError(f"{pointer}/{key} is {given!r}; valid roles are {valid}.")
    return role


def _flat(item: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a message whose keys LangChain has put into objects within it."""
    if "lc" in item and isinstance(item.get("kwargs"), Mapping):
        item = item["kwargs"]
    for key in ("data", "additional_kwargs"):
        if isinstance(inner := item.get(key), Mapping):
            own = {name: value for name, value in item.items() if value not in (None, "", [])}
            item = {**inner, **own, key: None}
    return item


def _check_keys(item: Mapping[str, Json], pointer: str, role: str) -> None:
    """Raise an error if a key that is not read has text."""
    for key in _unread(item, READ_KEYS | METADATA_KEYS | ROLE_KEYS.get(role, frozenset())):
        if any(key in keys for keys in ROLE_KEYS.values()):
            raise UsageError(
                f"{pointer}/{key} cannot be read: a message of the role {role!r} has no {key!r}. "
                "Move it to a message of the model, or remove it."
            )
        raise UsageError(
            f"{pointer}/{key} cannot be read: no message has the key {key!r}. Move its text to "
            "content, or remove it."
        )


def _check_call_keys(item: Mapping[str, Json], pointer: str) -> None:
    """Raise an error if a key of a call that is not read has text."""
    known = CALL_KEYS | READ_KEYS | METADATA_KEYS if "role" in item or "from" in item else CALL_KEYS
    known = known | METADATA_KEYS
    inner = item.get("function")
    for each, place in ((item, pointer), (inner, f"{pointer}/function")):
        for key in _unread(each, known) if isinstance(each, Mapping) else ():
            raise UsageError(
                f"{place}/{key} cannot be read: no call has the key {key!r}. Remove it."
            )


def _unread(item: Mapping[str, Json], known: Collection[str]) -> Iterator[str]:
    """Yield the keys that are not known and have text."""
    return (key for key, value in item.items() if key not in known and _has_text(value))


def _has_text(value: Json) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    if isinstance(value, list):
        return any(map(_has_text, value))
    return isinstance(value, str) and bool(value)


def _first_id(item: Json, keys: Sequence[str]) -> str:
    """Return the first id among the keys as a text; an empty one if there is none."""
    if not isinstance(item, Mapping):
        return ""
    for key in reversed(keys) if item.get("type") == "function_call" else keys:
        if (value := item.get(key)) not in (None, ""):
            return str(value)
    return ""


def _name(item: Mapping[str, Json]) -> Json:
    """Return the name of a call's tool, or None."""
    return next((item[key] for key in NAME_KEYS if item.get(key) is not None), None)


def _not_among(
    calls: Sequence[tuple[Json, str]], others: Sequence[tuple[Json, str]]
) -> list[tuple[Json, str]]:
    """Return the calls of `others` that are not the same as a call of `calls`."""
    known = [(_name_and_arguments(*one), _first_id(one[0], CALL_ID_KEYS)) for one in calls]
    return [
        one
        for one in others
        if not any(
            _name_and_arguments(*one) == call
            and (not id or _first_id(one[0], CALL_ID_KEYS) in ("", id))
            for call, id in known
        )
    ]


def _name_and_arguments(item: Json, pointer: str) -> tuple[str, Mapping[str, Json]]:
    """Return the name and the arguments of a call, which may be within "function"."""
    inner = item.get("function", item) if isinstance(item, Mapping) else None
    if isinstance(inner, str):  # the name, beside the arguments
        inner = {**item, "name": inner}
    name = _name(inner) if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str):
        raise UsageError(f"{pointer} has no function with a name.")
    place = f"{pointer}/function" if inner is item.get("function") else pointer
    found = [
        (outer[key], f"{where}/{key}")
        for outer, where in ((inner, place), (item, pointer))[: 1 + (place != pointer)]
        for key in ARGUMENT_KEYS
        if key in outer
    ]
    given = [one for one in found if one[0] not in (None, "", [], {}, "{}")]
    if given[1:]:
        raise UsageError(f"{given[1][1]} cannot be read beside {given[0][1]}; remove one of them.")
    arguments, place = (given or found or [(None, f"{place}/arguments")])[0]
    if isinstance(arguments, str):
        text = arguments.strip() or "{}"
        arguments = user_file.parse_json(text, place, surrogates=True)
    if arguments is None or arguments == []:  # PHP writes an empty object as an empty list
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise UsageError(f"{place} is {json_type(arguments)}, not an object.")
    if exceeds_depth(arguments):
        raise UsageError(f"{place} is nested more than {MAX_JSON_DEPTH} levels deep.")
    return name, arguments


def _listed_calls(item: Mapping[str, Json], pointer: str) -> Iterator[tuple[Json, str]]:
    calls = item.get("tool_calls")
    if calls is not None and not isinstance(calls, list):
        raise UsageError(f"{pointer}/tool_calls is {json_type(calls)}, not a list.")
    for number, call in enumerate(calls or ()):
        yield call, f"{pointer}/tool_calls/{number}"


def _single_calls(item: Mapping[str, Json], pointer: str) -> list[tuple[Json, str]]:
    """Return the calls of an item that is a call itself, or has them as JSON in its text."""
    if "name" in item:
        return [(item, pointer)]
    key = "value" if "value" in item else "content"
    calls = item.get(key)
    if isinstance(calls, str):
        calls = user_file.parse_json(calls, f"{pointer}/{key}", surrogates=True)
    if isinstance(calls, list):
        return [(call, f"{pointer}/{key}/{number}") for number, call in enumerate(calls)]
    return [(calls, f"{pointer}/{key}")]


def _attachments(item: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the names of a message's attachments, as our own export has them."""
    names = item.get("attached_files")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
