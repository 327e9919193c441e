"""Render a prompt with the chat template in a model's file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from ..errors import PromptError
from ..types import AssistantMessage, Message, PromptPart, ToolResult
from . import special_tokens
from .instructions import (
    AFTER_RESULTS,
    OTHER_SYSTEM,
    other_system,
    role_and_text,
    split_system,
)
from .special_tokens import Tokens
from .template_renderer import TemplateFailed, TemplateRenderer

RoleText = tuple[str, str]
"""A message as templates read it: its role and its text."""
Messages = Sequence[Mapping[str, Any]]
Variables = Mapping[str, Any]
Arrangement = Callable[[Sequence[RoleText]], Variables]
"""Returns the variables of a template, as one kind of template can read them."""

RENDERER = TemplateRenderer()


@dataclass(frozen=True, slots=True)
class Template:
    """A model's Jinja chat template, which is untrusted input, and its special tokens."""

    source: str
    specials: Tokens
    """The texts of the vocabulary's control tokens."""
    bos: str = ""
    eos: str = ""
    add_bos: bool = False
    """Whether the prompt must begin with `bos` even if the template does not write it."""
    user_defined: Tokens = ()
    """The texts of tokens that are special if the template uses them."""
    named: tuple[tuple[str, str], ...] = ()
    """Names and texts of other tokens that templates can use, such as `unk_token`."""


def prompt_parts(
    messages: Sequence[Message], listing: str | None, template: Template
) -> Iterator[PromptPart]:
    """Yield the parts of the prompt for a model other than xLAM.

    `listing` is the text that lists the tools, or None without tools.

    Raises:
        PromptError: the template cannot render this conversation.
    """
    system, rest = split_system(messages, "" if listing is None else OTHER_SYSTEM)
    opening = other_system(system, listing)
    if listing is not None:
        rest = tuple(_with_hints(rest))
    RENDERER.start_prompt()
    rendered = _Conversation(template, opening, rest).rendered()
    if template.add_bos and not rendered.startswith(template.bos):
        rendered = template.bos + rendered
    used = special_tokens.written(rendered, template.user_defined)
    mentioned = tuple(
        token for token in template.user_defined if token in used or token in template.source
    )
    return special_tokens.split(rendered, template.specials + mentioned)


def _with_hints(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages, with `AFTER_RESULTS` after the last result of each reply's calls."""
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        if isinstance(message, ToolResult) and not isinstance(following, ToolResult):
            yield replace(message, output=message.output.rstrip("\n") + f"\n\n{AFTER_RESULTS}")
        else:
            yield message


class _Conversation:
    """A conversation that a template renders, in the first arrangement that omits no message."""

    def __init__(self, template: Template, opening: str, rest: Sequence[Message]) -> None:
        self.template = template
        self.tokens = template.specials + template.user_defined
        first = [("system", opening, False)] if opening else []
        self.turns = [
            *first,
            *(
                (*role_and_text(message, "tool"), isinstance(message, AssistantMessage))
                for message in rest
            ),
        ]
        """The role and the text of each message, and whether the text is an answer of the model."""

    def rendered(self) -> str:
        """Return the prompt, with markers in the texts of messages."""
        arrange, strict = self._first_complete()
        answers = " ".join(text for _, text, is_answer in self.turns if is_answer)
        read = {
            token for token in self.tokens if token in answers and token in self.template.source
        }
        if not read:
            return strict
        return self._with_tokens_in_answers(arrange, read, strict)

    def _first_complete(self) -> tuple[Arrangement, str]:
        """Return the first arrangement of which the template omits no message, and the prompt."""
        reason = ""
        roles = tuple(role for role, *_ in self.turns)
        for arrange in ARRANGEMENTS:
            try:
                if _writes_each(self.template, roles, arrange):
                    return arrange, _run(self.template, arrange(self._marked(())))
            except TemplateFailed as error:
                reason = reason or str(error)
        raise PromptError(
            "The model's chat template cannot render this conversation: "
            f"{reason or 'it omits a message'}."
        )

    def _with_tokens_in_answers(self, arrange: Arrangement, read: set[str], strict: str) -> str:
        """Return the prompt in which the template can find its own tokens in answers.

        A template that removes reasoning from earlier answers looks for `</think>`, which is a
        special token of many models. Only the tokens that change the prompt are left unmarked.
        """

        def run(unmarked: Collection[str]) -> str:
            return _run(self.template, arrange(self._marked(unmarked)))

        try:
            best = run(read)
            meant = special_tokens.unmark(best)
            if meant == special_tokens.unmark(strict):
                return strict
            for token in sorted(read):
                rendered = run(read - {token})
                if special_tokens.unmark(rendered) == meant:
                    best = rendered
                    read = read - {token}
        except TemplateFailed:
            return strict
        return best

    def _marked(self, unmarked: Collection[str]) -> list[RoleText]:
        """Return the messages with markers; `unmarked` tokens get none in answers."""
        in_answers = tuple(token for token in self.tokens if token not in unmarked)
        return [
            (role, special_tokens.mark(text, in_answers if is_answer else self.tokens))
            for role, text, is_answer in self.turns
        ]


@lru_cache(maxsize=256)
def _writes_each(template: Template, roles: tuple[str, ...], arrange: Arrangement) -> bool:
    """Return whether a template writes every message, if each has one word as its text.

    Texts of a real conversation may be missing in the prompt: templates remove the reasoning from
    earlier answers.
    """
    texts = [(role, f"text{number}x") for number, role in enumerate(roles)]
    rendered = _run(template, arrange(texts))
    return all(text in rendered for _, text in texts)


def _run(template: Template, variables: Variables) -> str:
    special = {**dict(template.named), "bos_token": template.bos, "eos_token": template.eos}
    return RENDERER.render(template.source, {**special, **variables})


def _unchanged(messages: Sequence[RoleText]) -> Sequence[RoleText]:
    return messages


def _without_tool_role(messages: Sequence[RoleText]) -> Sequence[RoleText]:
    """For templates without the role "tool", or without system messages after the first."""
    first, rest = messages[:1], messages[1:]
    return _alternating([*first, *map(_as_user, rest)])


def _without_system_role(messages: Sequence[RoleText]) -> Sequence[RoleText]:
    """For templates without the roles "tool" and "system"."""
    return _alternating([_as_user(message) for message in messages])


def _as_user(message: RoleText) -> RoleText:
    role, text = message
    return ("user" if role in {"tool", "system"} else role, text)


def _alternating(messages: Sequence[RoleText]) -> Sequence[RoleText]:
    """Merge neighboring messages of the same role."""
    merged: list[RoleText] = []
    for role, text in messages:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n\n{text}")
        else:
            merged.append((role, text))
    return merged


def _as_text(messages: Sequence[RoleText]) -> Messages:
    return [{"role": role, "content": text} for role, text in messages]


def _as_parts(messages: Sequence[RoleText]) -> Messages:
    """For templates of models that read images, whose messages are lists of parts."""
    return [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in messages]


def _without_tools(messages: Messages) -> Variables:
    """Pass the variables that Transformers passes if there are no tools."""
    return {
        "messages": messages,
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
    }


def _with_empty_tools(messages: Messages) -> Variables:
    """For templates that cannot do without tools, or without the variables of one model."""
    today = datetime.now().strftime("%d %B %Y")
    empty = {"tools": [], "documents": [], "functions": "", "datetime": today}
    return {**_without_tools(messages), **empty}


def _arrangements() -> Iterator[Arrangement]:
    contents, variables = (_as_text, _as_parts), (_without_tools, _with_empty_tools)
    roles = (_unchanged, _without_tool_role, _without_system_role)
    for content, variable, role in itertools.product(contents, variables, roles):
        yield lambda texts, a=content, b=variable, c=role: b(a(c(texts)))  # type: ignore[misc]


ARRANGEMENTS = tuple(_arrangements())
"""How a conversation is passed to a template; the first that it renders in full is used."""
