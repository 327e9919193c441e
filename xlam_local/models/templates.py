"""The chat template in an xLAM file, held against the prompt that the models were scored with."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .. import prompt
from ..errors import PromptError
from ..prompt.words import INSTRUCTIONS
from ..types import Answer, Calls, Result, System, ToolCall, User
from .gguf import Header

CALL = ToolCall("1", "weather", {"city": "Paris"})
CONVERSATION = (
    System("Be brief."),
    User("Hello."),
    Answer("Good day."),
    User("What is the weather in Paris?"),
    Calls((CALL,)),
    Result(CALL, "18 degrees"),
)
"""Enough of a conversation to show how a template writes each kind of message."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the file's own template would do, beside what is done."""

    family: str
    """Whose prompt is used: xLAM's on Qwen or Llama."""
    same: bool
    difference: str = ""
    """A diff of two prompts, from ours to the file's."""


def compare(header: Header) -> Comparison | None:
    """How the template in an xLAM file differs from xLAM's prompt; None for other models."""
    family = prompt.xlam_family(header.metadata)
    if family is None:
        return None
    if header.template is None:
        return Comparison(family.name, False, "The file has no template.")
    ours = prompt.text(prompt.render(CONVERSATION, (), family))
    begin = family.begin
    try:
        form = prompt.Template(header.template, (), bos=begin)
        theirs = prompt.text(prompt.render(CONVERSATION, (), form))
    except PromptError as error:
        return Comparison(family.name, False, str(error))
    lines = [*_diff(ours, theirs), *_instructions(header.template)]
    return Comparison(family.name, not lines, "\n".join(lines))


def _diff(ours: str, theirs: str) -> list[str]:
    return list(
        difflib.unified_diff(_lines(ours), _lines(theirs), "xlam-local", "the file", lineterm="")
    )


def _lines(text: str) -> list[str]:
    """The lines, with the ends of those that have one made visible."""
    return [line.replace("\n", "⏎") for line in text.splitlines(keepends=True)]


def _instructions(template: str) -> list[str]:
    opening = INSTRUCTIONS.partition(":")[0]
    if opening in template:
        return []
    return ["Its instructions for calls are not those that xLAM's scores were measured with."]
