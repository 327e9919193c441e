"""Find where the calls of a reply begin.

A model that may answer or call tools shows its decision in the first characters of a call. Models
open calls in many spellings: xLAM's array, one object, code fences, tags, OpenAI's wrappers. Only
these places can open calls:

- the start of a reply, or the end of its reasoning, in any spelling;
- the start of a later line, for an array of calls, unless the text before it has a code fence;
- any place outside code and quotation marks, for a tag that models write before calls.

Everything else is text. A call within a sentence or in a code fence after text is an example. A
tool's definition is not a call. Reasoning, such as `<think>…</think>`, contains no calls.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import regex

from .reply_format import CALL_OPENING
from .scalars import to_json

REASONING_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<scratch_pad>", "</scratch_pad>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<unused94>thought", "<unused95>"),
)
"""What models write before and after their reasoning."""
CALL_TAGS = (
    "<tool_call>",
    "<tool_calls>",
    "<function_call>",
    "<function_calls>",
    "<TOOLCALL>",
    "<|tool_call|>",
    "<|tool_calls|>",
    "<|tool_call_start|>",
    "<|tool_call_begin|>",
    "<|tool_calls_section_begin|>",
    "<|tools_prefix|>",
    "<|python_tag|>",
    "<|python_start|>",
    "<minimax:tool_call>",
    "<|START_ACTION|>",
    "<|action_start|>",
    "<|plugin|>",
    "<\uff5ctool\u2581calls\u2581begin\uff5c>",
    "<\uff5ctool\u2581call\u2581begin\uff5c>",
    "[TOOL_CALLS]",
    "functools",
)
"""What models write before calls."""
CALL_END_TAGS = (
    "</tool_call>",
    "</tool_calls>",
    "</function_call>",
    "</function_calls>",
    "</TOOLCALL>",
    "</minimax:tool_call>",
    "<|python_end|>",
    "</function>",
    "</invoke>",
    "<|/tool_call|>",
    "<|/tool_calls|>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
    "<|tools_suffix|>",
    "<|eom_id|>",
    "<|END_ACTION|>",
    "<|action_end|>",
    "<\uff5ctool\u2581call\u2581end\uff5c>",
    "<\uff5ctool\u2581calls\u2581end\uff5c>",
    "[/TOOL_CALLS]",
    *("<|im_end|>", "<|eot_id|>", "<|end|>", "<|call|>", "<|endoftext|>", "<end_of_turn>", "</s>"),
)
"""What models write after calls. Without special tokens, the end of a message is text, too."""
_DEFINITION_KEYS = frozenset(
    {
        *("properties", "required", "$schema", "$defs", "additionalProperties"),
        *("$ref", "$id", "allOf", "anyOf", "oneOf"),
    }
)
"""Keys of a JSON Schema, which show that `parameters` belongs to a tool's definition."""
_SCHEMA_TYPES = frozenset({"object", "dict"})
_PARAMETER_TYPES = frozenset(
    {"string", "number", "integer", "boolean", "array", "object", "str", "int", "float", "bool"}
)
"""Types of a parameter, which show that `parameters` has the schema of each parameter."""

MIN_NAME_CHARS = 3
"""How much of a tool's name, with the quote after it, shows that an array begins calls."""

_S = r"\s*+"
_TAG = f"(?:{'|'.join(map(re.escape, CALL_TAGS))}){_S}"
_NAME_PREFIX = "(?:function<\uff5ctool\u2581sep\uff5c>)?(?:functions\\.)?"
"""What some models write between a tag and the name of a tool."""
_KEYWORD = rf"[A-Za-z_]\w{{0,100}}+{_S}="
_PYTHON_ARGUMENTS = rf"\({_S}(?:\)|{_KEYWORD})"
_PYTHON_EARLY = rf"\({_S}(?:\)|{_KEYWORD}|[\"'\[{{\d-])"
_FUNCTION_ARGUMENTS = rf"{_S}(?:\{{|<parameter=|</function>)"
_AFTER_NAME = (
    rf"(?:{_PYTHON_ARGUMENTS}|\[CALL_ID\]\w{{0,40}}+\[ARGS\]|\[ARGS\]"
    rf"|:\d{{1,9}}+{_S}<\|tool_call_argument_begin\|>|<\uff5ctool\u2581sep\uff5c>"
    rf"|{_S}(?:\{{|```\w*+{_S}\{{|<arg_key>|</tool_call>))"
)
"""What other models write between the name of a tool and its arguments, after a tag."""
_AFTER_NAME_EARLY = rf"(?:{_PYTHON_EARLY}|[ \t]*+(?:[\n{{<\[:]|```))"
_FENCE = rf"```[\w-]*+{_S}"
_OBJECT = rf"(?:\[{_S})?\{{{_S}"
_WORD = r'[^"\\]{0,100}+'
_ID = rf'"(?:id|tool_call_id|type|role)"{_S}:{_S}"{_WORD}"'
_NO_CONTENT = rf'"content"{_S}:{_S}(?:null|"")'
_IDS = rf"(?:(?:{_ID}|{_NO_CONTENT}){_S},{_S})*+"
_CALLS_KEY = rf'(?:"(?:tool_calls|function_calls|calls)"{_S}:{_S}\[{_S}\{{{_S})?'
_FUNCTION_KEY = rf'(?:"(?:function_call|function|tool_call)"{_S}:{_S}\{{{_S})?'
_NAME_KEY = rf'"(?:name|function|tool|tool_name|action)"{_S}:{_S}"'
_ANY_NAME = r'[^"\\]{1,100}+'
_ARGUMENTS = rf'"{_S},{_S}{_IDS}"arguments"{_S}:{_S}[{{"n]'
_STRING = r'"(?:[^"\\]|\\.)*+"'
_LABELS = rf'(?:"(?:title|description)"{_S}:{_S}{_STRING}{_S},{_S})*+'
"""What may stand before the type in a schema, and also in arguments."""


def _type(group: str) -> str:
    """Return the pattern of a schema's type, which may also be an argument of this name."""
    value = rf'[^"\s\[]|\[{_S}[^"\s]|(?:\[{_S})?"(?P<{group}>{_WORD})"'
    return rf'"type"{_S}:{_S}(?:{value})'


_NO_TYPE = '"(?!type")(?!(?:title|description)")'
_LABEL = rf'"(?:title|description)"{_S}:{_S}(?:[^"\s]|{_STRING}{_S}\}})'
_INNER_SCHEMA = rf'\{{{_S}{_LABELS}(?:[^"\s]|{_NO_TYPE}{_WORD}"|{_LABEL}|{_type("inner")})'
_PARAMETERS = (
    rf'"{_S},{_S}{_IDS}"(?:parameters|args|input|tool_input|action_input)"{_S}:{_S}\{{{_S}'
    rf"{_LABELS}(?:\}}|{_LABEL}|{_type('type')}"
    rf'|{_NO_TYPE}(?P<key>{_WORD})"{_S}:{_S}(?:[^{{\s]|{_INNER_SCHEMA}))'
)
_DEFINING_KEYS = (
    "(?:description|parameters|parameter_definitions|inputSchema|input_schema|outputSchema"
    "|annotations)"
)
_META = '"(?:title|type|strict)"'
"""Keys of a definition that may also be arguments."""
_META_VALUE = rf"{_S}:{_S}(?:{_STRING}|true|false|null){_S}"
_NO_DEFINITION = (
    rf'"{_S}(?:\}}|,{_S}(?:{_META}{_META_VALUE},{_S})*+'
    rf'(?:(?!{_META})"(?!{_DEFINING_KEYS}"){_WORD}"|{_META}(?:{_META_VALUE}\}}|{_S}:{_S}[{{\[\d])))'
)
"""What follows a name, except what may be a tool's definition."""
_ARGUMENTS_FIRST = rf'{_OBJECT}"arguments"{_S}:{_S}\{{'


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What begins calls at each kind of place."""

    start: regex.Pattern[str]
    line: regex.Pattern[str]
    tag: regex.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(tools: tuple[str, ...], early: bool) -> _Patterns:
    offered = "|".join(regex.escape(to_json(name)[1:-1]) for name in tools)
    after_name = _AFTER_NAME_EARLY if early else _AFTER_NAME
    function = rf"<function=(?:{offered})>" + ("" if early else _FUNCTION_ARGUMENTS)
    other = rf'{function}|<invoke name="(?:{offered})">|\[{_S}(?:{offered})' + (
        _PYTHON_EARLY if early else _PYTHON_ARGUMENTS
    )
    tagged = rf"|(?:{_TAG})++(?:{other}|{_NAME_PREFIX}(?:{offered}){after_name})"
    call = (
        rf"(?:{_OBJECT}{_IDS}{_CALLS_KEY}{_IDS}{_NAME_KEY}(?:{offered}){_PARAMETERS}"
        rf"|{_OBJECT}{_IDS}{_CALLS_KEY}{_IDS}{_FUNCTION_KEY}{_NAME_KEY}{_ANY_NAME}{_ARGUMENTS}"
        rf"|{_ARGUMENTS_FIRST})"
    )
    array = rf"\[{_S}\{{{_S}{_IDS}{_NAME_KEY}(?:{offered}){_ARGUMENTS}"
    if early:
        named = rf"{_OBJECT}{_IDS}{_CALLS_KEY}{_IDS}{_FUNCTION_KEY}{_NAME_KEY}(?:{offered})"
        call = rf"(?:{named}{_NO_DEFINITION}|{call})"
    canonical = rf"|{_canonical_opening(tools)}" if early else ""
    return _Patterns(
        regex.compile(rf"{_S}(?:(?:{_TAG}|{_FENCE})*+(?:{call}|{other}){tagged}{canonical})"),
        regex.compile(array),
        regex.compile(rf"{_TAG}(?:{_FENCE})?{call}{tagged}|{function}"),
    )


def _canonical_opening(tools: Collection[str]) -> str:
    """Return the pattern of xLAM's opening, up to the start of a name or the key after it.

    A list of other objects with names, such as people, begins like calls.
    """
    starts = {f'{to_json(name)[1:-1]}"'[:MIN_NAME_CHARS] for name in tools}
    named = "|".join(map(regex.escape, sorted(starts)))
    other = rf'{_ANY_NAME}"{_S},{_S}"(?:arguments|parameters|args|input)"{_S}:'
    return rf"{re.escape(CALL_OPENING)}(?:{named}|{other})"


_ENDS = rf"(?:{_S}(?:{'|'.join(map(re.escape, CALL_END_TAGS))}|```))*{_S}"
_ANOTHER_CALL = regex.compile(
    rf"{_ENDS}(?:{_TAG}|<function=|,?{_S}(?:{_FENCE})?{_OBJECT}{_IDS}{_CALLS_KEY}{_IDS}"
    rf"{_FUNCTION_KEY}{_NAME_KEY})"
)


def begins_another_call(text: str) -> bool | None:
    """Return whether a model that writes `text` after a list of calls begins another call.

    None means that more text is needed to know it.
    """
    found = _ANOTHER_CALL.match(text, partial=True)
    return None if found is not None and found.partial else found is not None


_REASONING = regex.compile(rf"{_S}(?P<tag>{'|'.join(re.escape(tag) for tag, _ in REASONING_TAGS)})")
_NEXT_PLACE = re.compile(r"[\n<\[]|```|~~~")
_PART_OF_FENCE = re.compile(r"(?:`{1,2}|~{1,2})\Z")
_QUOTATION_MARKS = (
    *('"', "'", "(", "\u201c", "\u2018", "\u201e", "\u201a", "\u00ab", "\u2039", "\u00bb"),
    *("\u300c", "\u300e", "\uff08"),
)
_TAGS = re.compile(rf"(?:{_TAG})+")
_MARKUP = regex.compile(rf"(?:{_TAG}|{_FENCE})*+")
_MAX_HTML_TAG_CHARS = 220
_HTML_CODE = re.compile(r"<(?P<end>/?)(?:code|pre|kbd|samp)\b[^<>]{0,200}>", re.IGNORECASE)
"""A tag of HTML around code."""


class CallDetector:
    """Finds the place in a growing text where calls to the `tools` begin.

    `in_reasoning` says that the text begins inside reasoning, because the prompt ended with its
    tag. With `early`, a call counts as opened as soon as the model shows that it wants one: the
    rest is then written again, within a grammar. Without it, the text must contain a call's name
    and the beginning of its arguments, as they will be read.
    """

    def __init__(
        self, tools: Collection[str], in_reasoning: bool = False, early: bool = False
    ) -> None:
        self.text = ""
        """The text so far."""
        self.opening: int | None = None
        """The position where the calls begin, with the markup before them; None if none begin."""
        self._patterns = _patterns(tuple(tools), early) if tools else None
        self._given = 0
        """How much of the text was returned."""
        self._position = 0
        """The place that is examined next."""
        self._place: Literal["start", "line", "tag", "text", "reasoning"] = "start"
        self._has_code = False
        """Whether the text has a code fence."""
        self._in_code = False
        """Whether the last code fence is still open."""
        self._in_html_code = False
        self._html_start = 0
        """Where the next tag of HTML around code may begin."""
        self._quoted: int | None = None
        """The last place that was in code or behind a quotation mark."""
        self._reasoning_ends: tuple[str, ...] = ()
        """The tags of which the next one ends the reasoning."""
        if in_reasoning:
            self._place, self._reasoning_ends = "reasoning", tuple(dict(REASONING_TAGS).values())

    def feed(self, delta: str) -> str:
        """Add to the text; return what is certain to stand before any calls."""
        self.text += delta
        while self.opening is None and self._examine():
            pass
        return self._take(self._certain_end())

    @property
    def at_start(self) -> bool:
        """Whether the text is still empty, or ends with reasoning, so that calls may begin here."""
        starts = self._patterns is not None and self._place == "start" and self.opening is None
        return starts and not self.text[self._position :].strip()

    @property
    def markup(self) -> str:
        """The tags and code fences with which the calls begin; empty if no calls have begun."""
        found = None if self.opening is None else _MARKUP.match(self.text, self.opening)
        return found.group() if found else ""

    def may_open_calls(self, text: str) -> bool:
        """Return whether calls may begin with `text`, of which one bracket is enough."""
        if self._patterns is None or not text.strip():
            return False
        return self._patterns.start.fullmatch(text, partial=True) is not None

    def flush(self) -> str:
        """Return the rest of the text before the calls: no more text follows."""
        return self._take(len(self.text) if self.opening is None else self.opening)

    @property
    def undecided(self) -> str:
        """The end of the text that may become the beginning of calls."""
        return "" if self.opening is not None else self.text[self._certain_end() :]

    def _take(self, end: int) -> str:
        text, self._given = self.text[self._given : end], max(self._given, end)
        return text

    def _certain_end(self) -> int:
        if self.opening is not None:
            return self.opening
        if self._patterns is None or self._place in ("text", "reasoning"):
            return len(self.text)
        return self._position

    def _examine(self) -> bool:
        """Examine one place, and return whether to continue with the next."""
        if self._patterns is None:
            return False
        match self._place:
            case "reasoning":
                return self._find_reasoning_end()
            case "text":
                return self._find_next_place()
            case place:
                return self._match(getattr(self._patterns, place))

    def _find_reasoning_end(self) -> bool:
        found = [
            (place, place + len(tag))
            for tag in self._reasoning_ends
            if (place := self.text.find(tag, self._position)) >= 0
        ]
        if not found:
            longest = max(map(len, self._reasoning_ends))
            self._position = max(self._position, len(self.text) - longest + 1)
            return False
        (_, self._position), self._place = min(found), "start"
        return True

    def _find_next_place(self) -> bool:
        found = _NEXT_PLACE.search(self.text, self._position)
        if found is None:
            part = _PART_OF_FENCE.search(self.text, self._position)
            self._position = part.start() if part else len(self.text)
            return False
        match found.group():
            case "```" | "~~~":
                self._position, self._has_code = found.end(), True
                self._in_code = not self._in_code
            case "\n":
                self._position = found.end()
                is_text = self._has_code or self._is_html_code(found.start())
                is_text = is_text or self._follows_quoted_tag(found.start())
                self._place = "text" if is_text else "line"
            case _ if self._is_quoted(found.start()):
                self._position, self._quoted = found.end(), found.start()
            case _:
                self._position, self._place = found.start(), "tag"
        return True

    def _is_quoted(self, position: int) -> bool:
        """Return whether a place is in code, or behind a quotation mark."""
        line = self.text[self.text.rfind("\n", 0, position) + 1 : position]
        in_inline_code = line.count("`") % 2 == 1
        in_code = self._in_code or in_inline_code or self._is_html_code(position)
        is_quoted = line.endswith(_QUOTATION_MARKS) or self._follows_quoted_tag(position)
        return in_code or is_quoted

    def _follows_quoted_tag(self, position: int) -> bool:
        """Return whether only tags are between the last quoted place and this one."""
        return (
            self._quoted is not None
            and _TAGS.fullmatch(self.text, self._quoted, position) is not None
        )

    def _is_html_code(self, position: int) -> bool:
        """Return whether a place is between tags of HTML around code; places only grow."""
        for tag in _HTML_CODE.finditer(self.text, self._html_start, position):
            self._in_html_code, self._html_start = not tag["end"], tag.end()
        self._html_start = max(self._html_start, position - _MAX_HTML_TAG_CHARS)
        return self._in_html_code

    def _match(self, pattern: regex.Pattern[str]) -> bool:
        """Look for calls and reasoning at the position; return False to wait for more text."""
        reasoning = _REASONING.match(self.text, self._position, partial=True)
        call = pattern.match(self.text, self._position, partial=True)
        if call and not call.partial and not _is_definition(call):
            # Space is kept after reasoning, and is not written before calls that begin a reply.
            matched = call.group()
            space = len(matched) - len(matched.lstrip()) if self._position else 0
            self.opening = self._position + space
            return False
        if reasoning and not reasoning.partial:
            self._position, self._place = reasoning.end(), "reasoning"
            self._reasoning_ends = (dict(REASONING_TAGS)[reasoning["tag"]],)
            return True
        if (call and call.partial) or reasoning:
            return False
        # The place itself may be a line's end or a tag, if it was examined as a start or a line.
        self._position += self._place == "tag"
        self._place = "text"
        return True


def _is_definition(match: regex.Match[str]) -> bool:
    """Return whether a match is the beginning of a tool's definition."""
    groups = match.groupdict()
    return (
        groups.get("key") in _DEFINITION_KEYS
        or (groups.get("type") or "").lower() in _SCHEMA_TYPES
        or (groups.get("inner") or "").lower() in _PARAMETER_TYPES
    )


def ends_in_reasoning(prompt: str) -> bool:
    """Return whether a prompt ends with the tag that begins the model's reasoning."""
    return prompt.rstrip().endswith(tuple(tag for tag, _ in REASONING_TAGS))
