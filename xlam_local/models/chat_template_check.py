"""Compare the chat template of an xLAM file with the prompt format of the published scores."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .. import prompt
from ..errors import PromptError
from ..prompt.instructions import XLAM_INSTRUCTIONS
from ..types import AssistantMessage, SystemMessage, ToolCall, ToolCalls, ToolResult, UserMessage
from .gguf import GgufHeader

SAMPLE_CALL = ToolCall("1", "weather", {"city": "Paris"})
SAMPLE_CONVERSATION = (
    SystemMessage("Be brief."),
    UserMessage("Hello."),
    AssistantMessage("Good day."),
    UserMessage("What is the weather in Paris?"),
    ToolCalls((SAMPLE_CALL,)),
    ToolResult(SAMPLE_CALL, "18 degrees"),
)
"""One message of each kind."""


@dataclass(frozen=True, slots=True)
class TemplateComparison:
    """How the prompt of a file's template differs from the prompt that xlam-local writes."""

    family: str
    """The prompt format that xlam-local uses: xLAM's for Qwen or for Llama."""
    matches: bool
    difference: str = ""
    """A unified diff from our prompt to that of the template, or why there is none."""


def compare(header: GgufHeader) -> TemplateComparison | None:
    """Compare the template of an xLAM file with xLAM's prompt format; None for other models."""
    family = prompt.xlam_family(header.metadata)
    if family is None:
        return None
    if header.chat_template is None:
        return TemplateComparison(family.name, False, "The file has no template.")
    ours = prompt.text(prompt.render(SAMPLE_CONVERSATION, (), family))
    try:
        template = prompt.Template(header.chat_template, (), bos=family.begin)
        theirs = prompt.text(prompt.render(SAMPLE_CONVERSATION, (), template))
    except PromptError as error:
        return TemplateComparison(family.name, False, str(error))
    lines = [*_diff(ours, theirs), *_instruction_difference(header.chat_template)]
    return TemplateComparison(family.name, not lines, "\n".join(lines))


def _diff(ours: str, theirs: str) -> list[str]:
    before, after = _visible_lines(ours), _visible_lines(theirs)
    return list(difflib.unified_diff(before, after, "xlam-local", "the file", lineterm=""))


def _visible_lines(text: str) -> list[str]:
    """Return the lines of a text; a visible character marks each newline."""
    return [line.replace("\n", "⏎") for line in text.splitlines(keepends=True)]


def _instruction_difference(template: str) -> list[str]:
    """Return a line if the template lacks the instructions for tool calls."""
    opening = XLAM_INSTRUCTIONS.partition(":")[0]
    if opening in template:
        return []
    return ["The template's instructions for tool calls differ from those of the published scores."]
