"""A model's own template, rendered where it can do no harm."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import PromptError
from ..types import Message, Piece, Tool
from .words import OTHER_SYSTEM, split_system, spoken, system_block, to_json


@dataclass(frozen=True, slots=True)
class Template:
    """A model's own Jinja template, which is untrusted input, and the tokens it may write."""

    source: str
    specials: tuple[str, ...]
    """The texts of the vocabulary's control tokens."""
    bos: str = ""
    eos: str = ""
    add_bos: bool = False
    """Whether the model expects `bos` first, be it in the template or not."""


# A model's own template gives one string, in which words of a user could pass for special
# tokens. So a mark is put into each such word before, and taken out after the string is split
# at the tokens that the template itself wrote. U+FDD0 and U+FDD1 are no characters by Unicode's
# own definition, so that no honest text has them; one that does keeps them.
_MARK, _KEPT = "\ufdd0", "\ufdd1"


def pieces(messages: Sequence[Message], tools: Sequence[Tool], form: Template) -> Iterator[Piece]:
    """The prompt for a model that is not xLAM, with the same instructions for calls."""
    default = OTHER_SYSTEM if tools else ""
    system, rest = split_system(messages, default)
    opening = [("system", system_block(system, tools).strip())] if system or tools else []
    turns = [*opening, *(spoken(message, "tool") for message in rest)]
    marked = [(role, _mark(content, form.specials)) for role, content in turns]
    written = _write(form, marked)
    if form.add_bos and not written.startswith(form.bos):
        written = form.bos + written
    return _split(written, form.specials)


def _write(form: Template, turns: Sequence[tuple[str, str]]) -> str:
    """What the template makes of the turns, in the first arrangement that leaves nothing out."""
    why = "it leaves a message out"
    for arrange in ARRANGEMENTS:
        arranged = arrange(turns)
        try:
            written = _run_template(form, arranged)
        except PromptError as error:
            why = str(error)
            continue
        if all(content.strip() in written for _, content in arranged):
            return written
    raise PromptError(f"The template in the model's file cannot show this conversation: {why}.")


def _as_it_is(turns: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    return turns


def _results_from_user(turns: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """For templates that know no tools, or no system message past the first."""
    first, rest = turns[:1], turns[1:]
    told = [("user" if role in {"tool", "system"} else role, content) for role, content in rest]
    return _alternating([*first, *told])


def _no_system(turns: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """For templates that know no system message either."""
    return _alternating(
        [("user" if role in {"tool", "system"} else role, content) for role, content in turns]
    )


def _alternating(turns: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for role, content in turns:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n\n{content}")
        else:
            merged.append((role, content))
    return merged


Turns = Sequence[tuple[str, str]]
ARRANGEMENTS: tuple[Callable[[Turns], Turns], ...] = (_as_it_is, _results_from_user, _no_system)


def _run_template(form: Template, turns: Sequence[tuple[str, str]]) -> str:
    import jinja2

    said = [{"role": role, "content": content} for role, content in turns]
    try:
        written: str = _compiled(form.source).render(
            messages=said, add_generation_prompt=True, bos_token=form.bos, eos_token=form.eos
        )
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, OverflowError) as error:
        raise PromptError(f"{error}".rstrip(".") or type(error).__name__) from error
    return written


@lru_cache(maxsize=8)
def _compiled(source: str) -> Any:
    """A template that can change nothing and reach nothing outside what it is given."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = raise_exception
    environment.filters["tojson"] = to_json
    return environment.from_string(source)


def _mark(content: str, specials: Sequence[str]) -> str:
    kept = content.replace(_MARK, _MARK + _KEPT)
    if not specials:
        return kept
    return _pattern(tuple(specials)).sub(lambda found: found[0][0] + _MARK + found[0][1:], kept)


def _unmark(content: str) -> str:
    return re.sub(f"{_MARK}{_KEPT}?", lambda found: _MARK if found[0] != _MARK else "", content)


def _split(written: str, specials: Sequence[str]) -> Iterator[Piece]:
    if not specials:
        yield Piece(_unmark(written))
        return
    at = 0
    for found in _pattern(tuple(specials)).finditer(written):
        yield Piece(_unmark(written[at : found.start()]))
        yield Piece(found[0], special=True)
        at = found.end()
    yield Piece(_unmark(written[at:]))


@lru_cache(maxsize=8)
def _pattern(specials: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(specials, key=len, reverse=True)
    return re.compile("|".join(re.escape(special) for special in longest_first))
