"""Answer within the user's own grammar; the reply is plain text, even if it looks like a call."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from .. import gbnf, prompt, user_file
from ..errors import GrammarError
from ..types import (
    AssistantMessage,
    Done,
    Event,
    GenerationEnd,
    Message,
    Sampling,
    TextDelta,
    TokenLogprob,
    TokenLogprobs,
    Tool,
)
from .engine import Engine


def read_grammar(file: Path) -> gbnf.Grammar:
    """Parse and check a GBNF file.

    Raises:
        UsageError: the file cannot be read.
        GrammarError: the file is not valid GBNF.
    """
    try:
        return gbnf.parse_gbnf(user_file.read_text(file))
    except GrammarError as error:
        raise GrammarError(f"{file}: {error}") from error


def answer_within_grammar(
    messages: list[Message],
    tools: Sequence[Tool],
    engine: Engine,
    grammar: gbnf.Grammar,
    sampling: Sampling,
) -> Generator[Event, None, Done]:
    """Generate an answer that matches `grammar`, append it to `messages`, and return Done.

    The tools appear in the prompt; no call is parsed or run.
    """
    text, end = "", GenerationEnd()
    logprobs: tuple[TokenLogprob, ...] = ()
    rendered = prompt.render(messages, tools, engine.prompt_format)
    for item in engine.generate(rendered, grammar, sampling):
        match item:
            case str(delta):
                text += delta
                yield TextDelta(delta, logprobs)
                logprobs = ()
            case TokenLogprobs(tokens):
                logprobs += tokens
            case GenerationEnd():
                end = item
            case _:
                yield item
    answer = AssistantMessage(text)
    messages.append(answer)
    yield answer
    done = Done("length" if end.truncated else "stop", end.usage)
    yield done
    return done
