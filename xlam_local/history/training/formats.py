"""The rows of each training format, as its consumers read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ... import prompt as prompts
from ...errors import HistoryError, PromptError
from ...openai_format import dumps, messages_json
from ...prompt import (
    CALLS_END,
    CALLS_START,
    Family,
    PromptFormat,
    Template,
    calls_json,
    tool_json,
)
from ...types import (
    AssistantMessage,
    Message,
    SystemMessage,
    Tool,
    ToolCalls,
    ToolResult,
    UserMessage,
)
from .report import ExportReport
from .selection import (
    FAILED_CALL,
    MISSING_RESULT,
    SPECIAL_TOKENS,
    UNKNOWN_TOOLS,
    Selection,
    TrainingConversation,
    family_of,
    has_special_token,
    main_family,
)

Json = Any
Row = dict[str, Json]
Writer = Callable[[TrainingConversation, Selection, ExportReport], Iterator[Row]]
UNKNOWN_PROMPT = "the exact prompt is unknown"
CHANGED_TOOLS = "the offered tools changed between replies (`turns` has a row for each reply)"
DROPPED_TURNS = "the model did not read the whole conversation (`turns` has a row for each reply)"
OTHER_PROMPT = "a prompt had text that the conversation has not (`turns` has a row for each reply)"
NOTHING_LEARNED = "no reply is selected"
NOT_ALL_LEARNED = "a reply is not to be learned, which the format cannot say"
NOT_ALTERNATING = "the messages of the user and the model do not alternate"
INNER_SYSTEM = "a system message is within the conversation"
LOST_TEXT = "text beside calls, which the format has no place for"


def rows(
    form: str,
    conversations: Sequence[TrainingConversation],
    selection: Selection,
    report: ExportReport,
) -> list[Row]:
    """Return the rows of a training file, each one once; `report` counts what is left out."""
    found: dict[str, Row] = {}
    report.family = selection.family or main_family(conversations)
    for conversation in conversations:
        report.conversations += 1
        counts = report.reply_counts
        for row in FORMS[form](conversation, selection, report):
            content = {key: value for key, value in row.items() if key != "unique_trajectory_id"}
            key = dumps(content)
            if key in found:
                report.leave_out("a duplicate of another row")
                report.reply_counts = counts
            else:
                found[key] = row
                report.note_row(row, conversation.summary.model)
            counts = report.reply_counts
    return list(found.values())


def _turns(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield a prompt and a completion for each reply, as the engine reads and writes them."""
    for place, prompt, completion in _rendered(conversation, selection, report):
        report.note_reply(conversation.messages[place])
        yield {"prompt": prompt, "completion": completion}


def _agentohana(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield a step for each reply: what the agent read, what it did, and what it saw next."""
    for place, prompt, completion in _rendered(conversation, selection, report):
        report.note_reply(conversation.messages[place])
        seen = [result.output for result in conversation.results_of(place)]
        following = conversation.messages[place + 1 : place + 2]
        seen = seen or [message.text for message in following if isinstance(message, UserMessage)]
        yield {"input": prompt, "output": completion, "next observation": "\n".join(seen)}


def _rendered(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[tuple[int, str, str]]:
    """Yield the place, the prompt and the completion of each reply that is learned."""
    for place in conversation.model_places:
        if reason := conversation.reason_to_skip(place, selection):
            report.leave_out(reason)
            continue
        reply, before = conversation.replies[place], conversation.messages[:place]
        message = conversation.messages[place]
        if has_special_token([*before, message], reply.tools):
            report.leave_out(SPECIAL_TOKENS)
            continue
        form: PromptFormat = family_of(reply, selection)
        try:
            if selection.family is None and reply.prompt_format is not None:
                form, prompt = reply.prompt_format, reply.prompt(before)
            else:
                start, end = reply.unread
                read = [*before[:start], *before[end:]]
                prompt = prompts.text(prompts.render(read, reply.tools, form))
        except (HistoryError, PromptError):
            report.leave_out(UNKNOWN_PROMPT)
            continue
        _note_lost_text(message, report)
        yield place, prompt, _reply_text(message, form) + _end_token(form)


def _note_lost_text(message: Message, report: ExportReport) -> None:
    """Report a text before calls: prompts have no place for it."""
    if isinstance(message, ToolCalls) and message.text.strip():
        report.lose(LOST_TEXT)


def _reply_text(message: Message, form: PromptFormat) -> str:
    """Return what the model writes: models other than xLAM write tags around calls."""
    if isinstance(message, ToolCalls):
        calls = calls_json(message)
        return calls if isinstance(form, Family) else f"{CALLS_START}{calls}{CALLS_END}"
    assert isinstance(message, AssistantMessage)
    return message.text.strip()


def _end_token(form: PromptFormat) -> str:
    return form.eos if isinstance(form, Template) else form.end


def _messages(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield the messages and, as JSON text, the tools, for our own chat template."""
    if (whole := _whole(conversation, selection, report)) is not None:
        messages, tools = whole
        yield {"messages": messages, "tools": dumps(_wrapped(tools))}


def _openai(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield a row of OpenAI's fine-tuning format."""
    if (whole := _whole(conversation, selection, report)) is not None:
        messages, tools = whole
        yield {"messages": messages, **({"tools": _wrapped(tools)} if tools else {})}


def _whole(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> tuple[list[Row], tuple[Tool, ...]] | None:
    """Return a conversation's messages and tools; those that are not learned have weight 0."""
    checked = _checked(conversation, selection, report)
    if checked is None:
        return None
    said, tools, learned = checked
    written = messages_json(said)
    for place, item in enumerate(written):
        item["content"] = item["content"] or ""
        if isinstance(said[place], AssistantMessage | ToolCalls) and place not in learned:
            item["weight"] = 0
        if place in learned:
            _note_lost_text(said[place], report)
            report.note_reply(said[place])
    return written, tools


def _checked(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> tuple[Sequence[Message], tuple[Tool, ...], set[int]] | None:
    """Return the messages up to the last reply, the tools and the places that are learned."""
    places = conversation.model_places
    learned = {one for one in places if not conversation.reason_to_skip(one, selection)}
    known = [conversation.replies[place] for place in places if place in conversation.replies]
    end = places[-1] + 1 if places else 0
    said = conversation.messages[:end]
    repeated = _skipped_places(conversation, end)
    reason = ""
    if not known:
        reason = UNKNOWN_TOOLS
    elif not learned:
        reason = NOTHING_LEARNED
    elif len({dumps([tool_json(tool) for tool in reply.tools]) for reply in known}) > 1:
        reason = CHANGED_TOOLS
    elif any(reply.unread != (0, 0) for reply in known):
        reason = DROPPED_TURNS
    elif any(reply.stored_prompt is not None for reply in known):
        reason = OTHER_PROMPT
    elif _has_missing_result(conversation, end):
        reason = MISSING_RESULT
    elif repeated is None:
        reason = FAILED_CALL
    elif has_special_token(said, known[0].tools):
        reason = SPECIAL_TOKENS
    if reason or repeated is None:
        report.leave_out(reason)
        return None
    kept = [place for place in range(end) if place not in repeated]
    learned = {number for number, place in enumerate(kept) if place in learned}
    return [said[place] for place in kept], known[0].tools, learned


def _skipped_places(conversation: TrainingConversation, end: int) -> set[int] | None:
    """Return the places of calls that did not run, and of their results; prompts omit them.

    None means that only some calls of a reply did not run.
    """
    found: set[int] = set()
    for place in conversation.model_places:
        results = conversation.results_of(place)
        if place < end and any(result.skipped for result in results):
            if not all(result.skipped for result in results):
                return None
            found.update(range(place, place + 1 + len(results)))
    return found


def _has_missing_result(conversation: TrainingConversation, end: int) -> bool:
    return any(
        len(conversation.results_of(place)) < len(message.calls)
        for place, message in enumerate(conversation.messages[: end - 1])
        if isinstance(message, ToolCalls)
    )


def _sharegpt(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield a row as APIGen-MT-5k has it and LLaMA-Factory reads it."""
    if (checked := _fully_learned(conversation, selection, report)) is None:
        return
    said, tools, learned = checked
    system, rest = _split_system(said)
    turns = list(_sharegpt_turns(rest))
    asks = [turn["from"] in ("human", "observation") for turn in turns]
    if len(asks) % 2 or asks != [True, False] * (len(asks) // 2):
        report.leave_out(NOT_ALTERNATING)
        return
    for place in sorted(learned):
        _note_lost_text(said[place], report)
        report.note_reply(said[place])
    listed = dumps([tool_json(tool) for tool in tools])
    yield {"conversations": turns, "system": system, "tools": listed}


def _fully_learned(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> tuple[Sequence[Message], tuple[Tool, ...], set[int]] | None:
    """Return what `_checked` does, for formats without weights and inner system messages."""
    checked = _checked(conversation, selection, report)
    if checked is None:
        return None
    reason = ""
    if len(checked[2]) < len(conversation.model_places):
        reason = NOT_ALL_LEARNED
    elif any(isinstance(message, SystemMessage) for message in _split_system(checked[0])[1]):
        reason = INNER_SYSTEM
    if reason:
        report.leave_out(reason)
    return None if reason else checked


def _sharegpt_turns(messages: Sequence[Message]) -> Iterator[dict[str, str]]:
    results: list[str] = []
    for number, message in enumerate(messages):
        match message:
            case UserMessage(text):
                yield {"from": "human", "value": text}
            case AssistantMessage(text):
                yield {"from": "gpt", "value": text}
            case ToolCalls(calls):
                one = [{"name": call.name, "arguments": call.arguments} for call in calls]
                yield {"from": "function_call", "value": dumps(one[0] if len(one) == 1 else one)}
            case ToolResult(_, output):
                results.append(output)
                if not isinstance(messages[number + 1], ToolResult):
                    value = results[0] if len(results) == 1 else dumps(results)
                    yield {"from": "observation", "value": value}
                    results = []


def _actionstudio(
    conversation: TrainingConversation, selection: Selection, report: ExportReport
) -> Iterator[Row]:
    """Yield a trajectory of ActionStudio's unified format 2.0."""
    if (checked := _fully_learned(conversation, selection, report)) is None:
        return
    said, tools, learned = checked
    system, rest = _split_system(said)
    written = messages_json(rest)
    for item, message in zip(written, rest, strict=True):
        item["content"] = item["content"] or ""
        if isinstance(message, ToolCalls):
            for listed, call in zip(item["tool_calls"], message.calls, strict=True):
                listed["function"]["arguments"] = call.arguments
    for place in sorted(learned):
        report.note_reply(said[place])
    yield {
        "unique_trajectory_id": f"xlam-local-{conversation.summary.id}",
        "task_instruction": system,
        "few_shot_examples": [],
        "tools": _wrapped(tools),
        "conversation": written,
    }


def _split_system(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    if messages and isinstance(messages[0], SystemMessage):
        return messages[0].text, messages[1:]
    return "", messages


def _wrapped(tools: Sequence[Tool]) -> list[Row]:
    """Return tools in OpenAI's form."""
    return [{"type": "function", "function": tool_json(tool)} for tool in tools]


FORMS: Mapping[str, Writer] = {
    "turns": _turns,
    "messages": _messages,
    "openai": _openai,
    "sharegpt": _sharegpt,
    "actionstudio": _actionstudio,
    "agentohana": _agentohana,
}
LOSSES = {
    "turns": "Exact in text and loss mask. The prefix is repeated for each reply.",
    "messages": "Exact in text and loss mask with the chat template beside it.",
    "openai": "OpenAI's fine-tuning format; other trainers write their own prompt format from it.",
    "sharegpt": "LLaMA-Factory and others train their own tool format from it, not xLAM's. All "
    "replies are learned. Parallel results are one JSON list.",
    "actionstudio": "ActionStudio's converter writes its own instructions and [TOOL_CALLS]. All "
    "replies are learned.",
    "agentohana": "The rows of `turns` under AgentOhana's names. Its loader is not published, so "
    "no consumer was tested.",
}
"""What each format loses, or that it loses nothing."""
