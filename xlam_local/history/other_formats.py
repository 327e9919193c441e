"""Conversations of other programs as objects with "messages" in OpenAI's format.

Each function gets one conversation as the other program writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..openai_format import dumps

Json = Any
Item = Mapping[str, Json]
"""One conversation of a file."""


def items_of(data: Json) -> list[Json]:
    """Return the conversations in the data of a file or a line, as their program wrote them."""
    if isinstance(data, Mapping) and isinstance(data.get("simulations"), list):
        return list(data["simulations"])
    if isinstance(data, list) and any(recognized(one) is not None for one in data):
        return data
    return [data]


def recognized(item: Json) -> Callable[[Item], Item] | None:
    """Return the function that converts a conversation of another program; None if none fits."""
    if not isinstance(item, Mapping):
        return None
    return next((convert for fits, convert in FORMATS if fits(item)), None)


def _tau_bench(item: Item) -> Item:
    """Convert a trajectory of τ-bench: OpenAI's messages with a reward."""
    return {"title": f"τ-bench task {item.get('task_id')}", "messages": _clean(item["traj"])}


def _tau2(item: Item) -> Item:
    """Convert a simulation of τ²-bench; calls of the simulated user are left out."""
    messages: list[Json] = []
    for message in _objects(item["messages"], "messages"):
        nested = message.get("tool_messages")
        for one in _objects(nested, "tool_messages") if nested else [message]:
            if one.get("requestor") == "user" or (
                one.get("role") == "user" and not one.get("content")
            ):
                continue
            written: dict[str, Json] = {"role": one.get("role"), "content": one.get("content")}
            if one.get("role") == "tool":
                written |= {"tool_call_id": one.get("id"), "is_error": bool(one.get("error"))}
            if one.get("tool_calls"):
                written["tool_calls"] = one["tool_calls"]
            messages.append(written)
    return {"title": f"τ² task {item.get('task_id')}", "messages": messages}


def _atif(item: Item) -> Item:
    """Convert a trajectory of Harbor's ATIF: steps of system, user and agent."""
    messages: list[Json] = []
    for step in _objects(item["steps"], "steps"):
        calls = [
            {
                "id": call.get("tool_call_id"),
                "type": "function",
                "function": {"name": call.get("function_name"), "arguments": call.get("arguments")},
            }
            for call in _objects(step.get("tool_calls") or [], "tool_calls")
        ]
        role = "assistant" if step.get("source") == "agent" else step.get("source")
        written: dict[str, Json] = {"role": role, "content": step.get("message") or ""}
        if thought := step.get("reasoning_content"):
            written["reasoning_content"] = thought
        messages.append({**written, **({"tool_calls": calls} if calls else {})})
        observation = step.get("observation") or {}
        results = observation.get("results") if isinstance(observation, Mapping) else None
        for result in _objects(results or [], "observation/results"):
            if calls:
                given = (
                    {"tool_call_id": result["source_call_id"]}
                    if result.get("source_call_id")
                    else {}
                )
                messages.append({"role": "tool", "content": result.get("content"), **given})
    agent = item.get("agent")
    agent = agent if isinstance(agent, Mapping) else {}
    return {
        "model": agent.get("model_name"),
        "tools": agent.get("tool_definitions") or [],
        "messages": messages,
    }


def _open_webui(item: Item) -> Item:
    """Convert a chat of Open WebUI: the branch of its tree that is shown."""
    chat = item.get("chat") if isinstance(item.get("chat"), Mapping) else item
    assert isinstance(chat, Mapping)
    tree, leaf = chat["history"]["messages"], chat["history"].get("currentId")
    if not isinstance(tree, Mapping):
        raise UsageError("/chat/history/messages is not an object.")
    messages = [
        {"role": node.get("role"), "content": node.get("content") or ""}
        for node in _branch(tree, leaf, "parentId")
    ]
    return {"title": chat.get("title") or item.get("title"), "messages": messages}


def _chatgpt(item: Item) -> Item:
    """Convert a conversation of ChatGPT's export: the branch of its tree that is shown."""
    messages: list[Json] = []
    for node in _branch(item["mapping"], item.get("current_node"), "parent"):
        message = node.get("message")
        if not isinstance(message, Mapping):
            continue
        author, content = message.get("author"), message.get("content")
        role = author.get("role") if isinstance(author, Mapping) else None
        parts = content.get("parts") if isinstance(content, Mapping) else None
        parts = parts if isinstance(parts, list) else []
        text = "".join(part for part in parts if isinstance(part, str))
        if role in ("user", "assistant") and text:
            messages.append({"role": role, "content": text})
    return {"title": item.get("title"), "messages": messages}


def _branch(tree: Item, leaf: Json, parent: str) -> list[Item]:
    """Return the nodes from the root to a leaf; without one, to the last node of the tree."""
    found: list[Item] = []
    seen: set[str] = set()
    key = leaf if isinstance(leaf, str) and leaf in tree else next(reversed(list(tree)), None)
    while isinstance(key, str) and key in tree:
        node = tree[key]
        if key in seen or not isinstance(node, Mapping):
            raise UsageError(f"The message {key!r} of the tree has no path to its root.")
        seen.add(key)
        found.append(node)
        key = node.get(parent)
    return found[::-1]


def _clean(messages: Json) -> list[Json]:
    """Return messages without the keys that τ-bench's client adds."""
    kept = ("role", "content", "name", "tool_calls", "tool_call_id", "function_call")
    return [
        {key: one[key] for key in kept if one.get(key) is not None}
        for one in _objects(messages, "traj")
    ]


def _objects(value: Json, place: str) -> Iterator[Item]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(f"/{place} is not a list.")
    for number, one in enumerate(value):
        if not isinstance(one, Mapping):
            raise UsageError(f"/{place}/{number} is not an object: {dumps(one)[:40]}.")
        yield one


def _is_open_webui(item: Item) -> bool:
    chat = item.get("chat", item)
    history = chat.get("history") if isinstance(chat, Mapping) else None
    return isinstance(history, Mapping) and "messages" in history


FORMATS: Sequence[tuple[Callable[[Item], bool], Callable[[Item], Item]]] = (
    (lambda item: "traj" in item and "reward" in item, _tau_bench),
    (lambda item: "messages" in item and "task_id" in item and "termination_reason" in item, _tau2),
    (lambda item: str(item.get("schema_version", "")).startswith("ATIF-"), _atif),
    (_is_open_webui, _open_webui),
    (lambda item: isinstance(item.get("mapping"), Mapping), _chatgpt),
    (lambda item: any(key in item for key in ("messages", "conversations", "conversation")), dict),
)
"""How each format is recognized, and the function that converts it."""
