"""One reply within a grammar of the user's own: plain text, whatever it looks like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import gbnf, prompt
from ..errors import GrammarError, UsageError
from ..types import Answer, Delta, Done, End, Event, Message, Sampling, Tool

if TYPE_CHECKING:
    from ..agent import Engine


def load(file: Path) -> gbnf.Grammar:
    """The grammar in a GBNF file, checked before anything else reads it."""
    try:
        return gbnf.parse(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not text in UTF-8.") from error
    except GrammarError as error:
        raise GrammarError(f"{file}: {error}") from error


def write(
    messages: list[Message],
    tools: Sequence[Tool],
    engine: Engine,
    grammar: gbnf.Grammar,
    sampling: Sampling,
) -> Iterator[Event]:
    """Answer `messages` within `grammar`; the answer joins them."""
    said, end = "", End()
    asked = prompt.render(messages, tools, engine.format)
    for item in engine.generate(asked, grammar, sampling):
        match item:
            case str(piece):
                said += piece
                yield Delta(piece)
            case End():
                end = item
            case _:
                yield item
    messages.append(Answer(said))
    yield messages[-1]
    yield Done("cut" if end.cut else "answer", end.usage)
