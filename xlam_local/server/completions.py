"""OpenAI's completions: text that continues a prompt, as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import prompt
from ..agent import Engine, Generation
from ..types import (
    GenerationEnd,
    Heartbeat,
    Prompt,
    Sampling,
    TextDelta,
    TokenLogprob,
    TokenLogprobs,
    Usage,
)
from . import fields, logprobs
from .chat_completions import (
    MAX_TOKENS,
    ReplyHead,
    output_format,
    usage_json,
)
from .fields import Fields
from .replies import OutputFormat, ReplyItem
from .reply_events import ChoiceEvent, ReplyEnd
from .tokens import TextOrTokens

Json = Any
HONORED = frozenset(
    {
        *("model", "prompt", "stream", "stream_options", *MAX_TOKENS, "n", "stop", "seed"),
        *("grammar", "json_schema", "response_format", "temperature", "top_p", "top_k", "min_p"),
        *("repeat_penalty", "repeat_last_n", "echo", "logprobs"),
    }
)
NEUTRAL: Mapping[str, Sequence[Json]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({}, []),
    "suffix": ("",),
    "best_of": (1,),
}
MAX_PROMPTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """A request for completions."""

    prompts: tuple[TextOrTokens, ...]
    choices: int
    """How many texts to write for each prompt."""
    echo: bool
    """Whether each text begins with its prompt."""
    sampling: Sampling
    output: OutputFormat | None
    stream: bool
    include_usage: bool


def read_request(body: Mapping[str, Json], default: Sampling = Sampling()) -> CompletionRequest:
    """Return what a request asks for; `default` is the sampling if the request has none.

    Raises:
        ApiError: a field is invalid or not supported.
    """
    request = Fields(body)
    request.check_known(HONORED, NEUTRAL)
    stream_options = request.object("stream_options")
    return CompletionRequest(
        prompts=_prompts(request),
        echo=request.flag("echo"),
        choices=request.integer("n", 1, fields.MAX_CHOICES) or 1,
        sampling=_sampling(request, default),
        output=output_format(request),
        stream=request.flag("stream"),
        include_usage=bool(stream_options and stream_options.flag("include_usage")),
    )


def _sampling(request: Fields, default: Sampling) -> Sampling:
    alternatives = logprobs.of_completion(request)
    return replace(
        fields.sampling(request, MAX_TOKENS, default),
        logprobs=alternatives,
        prompt_logprobs=alternatives is not None and request.flag("echo"),
    )


def _prompts(request: Fields) -> tuple[TextOrTokens, ...]:
    """Return the prompts: a text, token ids, or a list of both."""
    given = request.values.get("prompt")
    prompts = [given] if isinstance(given, str) else request.list("prompt") or []
    if prompts and all(map(_is_integer, prompts)):
        prompts = [prompts]
    if not prompts or len(prompts) > MAX_PROMPTS:
        raise request.error("prompt", f"1 to {MAX_PROMPTS} prompts are supported")
    for each in prompts:
        is_tokens = isinstance(each, list) and all(map(_is_integer, each))
        if not each or not (isinstance(each, str) or is_tokens):
            raise request.error("prompt", "a prompt is a text or a list of token ids, not empty")
    return tuple(prompts)


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def completions(
    request: CompletionRequest, prompts: Sequence[Prompt], engine: Engine
) -> Generator[ReplyItem, None, None]:
    """Write the texts one after the other. To cancel, close the generator."""
    grammar = request.output.grammar if request.output else None
    for choice in range(len(prompts) * request.choices):
        written = prompts[choice // request.choices]
        seed = request.sampling.seed + choice % request.choices
        text = prompt.text(written) if request.echo else ""
        if text:
            yield ChoiceEvent(choice, TextDelta(text))
        with closing(
            engine.generate(written, grammar, replace(request.sampling, seed=seed))
        ) as items:
            for event in _events(items, text):
                yield event if isinstance(event, Heartbeat) else ChoiceEvent(choice, event)


def _events(
    items: Generation, text: str
) -> Generator[TextDelta | ReplyEnd | Heartbeat, None, None]:
    """Yield what the items of a reply mean; `text` is what comes before it."""
    logged, passed_on = list[TokenLogprob](), 0
    for item in items:
        match item:
            case TokenLogprobs(tokens):
                logged += tokens
            case str(delta):
                text += delta
                yield TextDelta(delta, tuple(logged[passed_on:]))
                passed_on = len(logged)
            case GenerationEnd(truncated, usage):
                if rest := tuple(logged[passed_on:]):
                    yield TextDelta("", rest)
                reason: Literal["length", "stop"] = "length" if truncated else "stop"
                yield ReplyEnd(reason, text, (), usage, tuple(logged))
            case _:
                yield Heartbeat()


def completion(head: ReplyHead, ends: Sequence[ReplyEnd]) -> dict[str, Json]:
    """Return the response with all texts."""
    choices = [
        _choice(index, end.text, end.finish_reason, end.logprobs) for index, end in enumerate(ends)
    ]
    return {
        **head.to_json("text_completion"),
        "choices": choices,
        "usage": usage_json(_total(ends)),
    }


def _total(ends: Sequence[ReplyEnd]) -> Usage:
    return sum((end.usage for end in ends), Usage())


def _choice(
    index: int,
    text: str,
    reason: str | None,
    tokens: Sequence[TokenLogprob] = (),
    offset: int = 0,
) -> dict[str, Json]:
    """Return a choice; `offset` is where the text of its tokens begins."""
    return {
        "index": index,
        "text": text,
        "logprobs": logprobs.completion_logprobs(tokens, offset),
        "finish_reason": reason,
    }


class CompletionChunks:
    """Writes the chunks of a stream."""

    def __init__(self, head: ReplyHead, include_usage: bool) -> None:
        self._head = head.to_json("text_completion")
        self._include_usage = include_usage
        self._ends: list[ReplyEnd] = []
        self._offsets: Counter[int] = Counter()
        """By choice, how many characters its tokens had so far."""

    def start(self) -> Iterator[dict[str, Json]]:
        """Yield nothing: the format has no beginning."""
        yield from ()

    def feed(self, item: ChoiceEvent) -> Iterator[dict[str, Json]]:
        """Yield the chunk of an event."""
        match item.event:
            case TextDelta(text, tokens):
                offset = self._offsets[item.choice]
                self._offsets[item.choice] += logprobs.text_length(tokens)
                choice = _choice(item.choice, text, None, tokens, offset)
                yield self._head | {"choices": [choice]}
            case ReplyEnd(reason):
                self._ends.append(item.event)
                yield self._head | {"choices": [_choice(item.choice, "", reason)]}

    def finish(self) -> Iterator[dict[str, Json]]:
        """Yield the usage, if it is asked for."""
        if self._include_usage:
            yield self._head | {"choices": [], "usage": usage_json(_total(self._ends))}
