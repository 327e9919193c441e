"""An engine that runs on another machine, or in another program on this one."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum

from .. import gbnf
from ..errors import ContextExceeded, UsageError
from ..gbnf import Grammar
from ..grammar import CallDetector, Enforced, TextOrCalls, ends_in_reasoning, of_other_models
from ..prompt import Family, PromptFormat
from ..types import (
    GenerationEnd,
    Heartbeat,
    Notice,
    PrefillProgress,
    Prompt,
    PromptPart,
    Sampling,
    Usage,
)
from .errors import RemoteError
from .http import RemoteClient
from .reply_stream import line_data
from .server_kinds import Question, ServerKind
from .server_load import ServerLoad, server_load
from .tokenizer import RemoteTokenizer, defuse

BYTES_PER_TOKEN = 3
"""An estimate for servers that do not tokenize; a low one, so that prompts surely fit."""

Generation = Generator[
    PrefillProgress | str | Notice | Heartbeat | GenerationEnd, bool | None, None
]
Written = Generator[PrefillProgress | str | Notice | Heartbeat, bool | None, GenerationEnd]


class Enforcement(StrEnum):
    """What a server keeps replies to."""

    GRAMMAR = "grammar"
    JSON_SCHEMA = "JSON Schema"
    NOTHING = "nothing"


WARNINGS = {
    Enforcement.JSON_SCHEMA: "enforces JSON Schemas, but no grammars",
    Enforcement.NOTHING: "does not enforce grammars",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What was found out about a server by asking it."""

    kind: ServerKind
    version: str
    model: str
    context_size: int
    sequences: int
    prompt_format: PromptFormat
    enforces: Enforcement
    """What it kept to when it was asked for one word."""

    @property
    def enforces_grammar(self) -> bool:
        """Whether it allowed only what a grammar allows, and refused a broken grammar."""
        return self.enforces is Enforcement.GRAMMAR


class RemoteEngine:
    """A model behind a server's API, with the methods of `LocalEngine`. Threads may share it."""

    def __init__(
        self, client: RemoteClient, server: ServerInfo, tokenizer: RemoteTokenizer | None
    ) -> None:
        self.server = server
        self.tokenizer = tokenizer
        """None for servers that take no token ids."""
        self._client = client
        self._grammar: tuple[Grammar, str] | None = None
        """The grammar that was printed last; turns repeat a grammar."""
        self._has_warned = False

    def close(self) -> None:
        """Do nothing: each request has its own connection."""

    @property
    def name(self) -> str:
        """The model's id on the server."""
        return self.server.model

    @property
    def host(self) -> str:
        """The host that reads the conversation; empty if it is this machine."""
        return "" if self._client.address.is_local else self._client.address.host

    @property
    def context_size(self) -> int:
        """Tokens of context of each reply."""
        return self.server.context_size

    @property
    def sequences(self) -> int:
        """How many replies the server writes at once."""
        return self.server.sequences

    @property
    def prompt_format(self) -> PromptFormat:
        """How the model's prompts are written."""
        return self.server.prompt_format

    @property
    def _is_xlam(self) -> bool:
        return isinstance(self.prompt_format, Family)

    @property
    def device(self) -> str:
        """Where the model computes, as a phrase."""
        return f"{self.server.kind.title} on {self._client.address.host}"

    @property
    def load(self) -> ServerLoad:
        """How busy the server is now."""
        return server_load(self._client)

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt; an estimate if the server cannot count."""
        if self.tokenizer is None:
            return [-(-len(_as_text(prompt).encode()) // BYTES_PER_TOKEN) for prompt in prompts]
        return [len(self.tokenizer.tokenize(prompt)) for prompt in prompts]

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Generate as `LocalEngine.generate` does.

        Raises:
            RemoteError: the server cannot be reached, refuses the request, or its reply is not
                whole.
            ContextExceeded: the prompt fills the context.
            UsageError: log probabilities are asked for.
        """
        if sampling.logprobs is not None:
            raise UsageError("Log probabilities are available from a local model only.")
        if grammar is not None and not self.server.enforces_grammar and not self._has_warned:
            self._has_warned = True
            only = WARNINGS[self.server.enforces]
            yield Notice(
                f"{self.device} {only}. Calls are checked after they are written, and corrected "
                "once."
            )
        if isinstance(grammar, TextOrCalls):
            if self.server.enforces is not Enforcement.NOTHING:
                end = yield from self._write_text_or_calls(prompt, grammar, sampling)
            else:
                end = yield from self._write(prompt, "", None, sampling)
        else:
            end = yield from self._write_within(prompt, "", grammar, sampling)
        yield end

    def _write_text_or_calls(
        self, prompt: Prompt, grammar: TextOrCalls, sampling: Sampling
    ) -> Written:
        """Write text; when the model begins calls, ask again from there, within their grammar."""
        in_reasoning = ends_in_reasoning(prompt[-1].text if prompt else "")
        detector = CallDetector(grammar.tools, in_reasoning, early=True)
        started = time.perf_counter()
        with closing(self._write(prompt, "", None, sampling)) as written:
            finish: bool | None = None
            pieces = 0
            while True:
                try:
                    item = written.send(finish)
                except StopIteration as stop:
                    end: GenerationEnd = stop.value
                    if rest := detector.flush():
                        yield rest
                    return end
                if not isinstance(item, str):
                    finish = yield item
                    continue
                pieces += 1
                finish = None
                if text := detector.feed(item):
                    finish = yield text
                if detector.opening is not None:
                    break
        first = Usage(reply_tokens=pieces, decode_seconds=time.perf_counter() - started)
        left = replace(sampling, max_tokens=max(1, sampling.max_tokens - pieces), stop=())
        before = detector.text[: detector.opening] + ("" if self._is_xlam else detector.markup)
        end = yield from self._write_within(prompt, before, grammar.calls, left)
        return replace(end, usage=first + end.usage)

    def _write_within(
        self, prompt: Prompt, before: str, grammar: Grammar | None, sampling: Sampling
    ) -> Written:
        """Write as `_write` does; if the server refuses the JSON Schema, write without it."""
        try:
            return (yield from self._write(prompt, before, grammar, sampling))
        except RemoteError as error:
            if self.server.enforces is not Enforcement.JSON_SCHEMA or not error.status:
                raise
            yield Notice(f"{error} The reply is written without a JSON Schema.")
        return (yield from self._write(prompt, before, None, sampling))

    def _write(
        self, prompt: Prompt, before: str, grammar: Grammar | None, sampling: Sampling
    ) -> Written:
        """Ask for a reply, of which `before` is written; yield its text and return its end."""
        question = self._question(prompt, before, grammar, sampling)
        sent = len(question.prompt) if self.tokenizer is not None else 0
        server, host = self.server.kind, self._client.address.url
        reader = server.reader(host)
        started = time.perf_counter()
        first_text = 0.0
        reason, usage, chunks = "", Usage(prompt_tokens=sent), 0
        if not before:
            yield PrefillProgress(0, sent)
        with closing(self._client.stream(server.path, server.body(question))) as lines:
            for line in lines:
                if line is None:
                    yield Heartbeat()
                    continue
                data = line_data(line, host, events=server.events)
                if data is None:
                    continue
                piece = reader.read(data)
                _check_prompt_tokens(piece.prompt_tokens, sent, host)
                reason = piece.finish_reason or reason
                usage = replace(
                    usage,
                    prompt_tokens=piece.prompt_tokens or usage.prompt_tokens,
                    cached_tokens=piece.cached_tokens or usage.cached_tokens,
                    reply_tokens=piece.reply_tokens or usage.reply_tokens,
                )
                if piece.text:
                    chunks += 1
                    first_text = first_text or time.perf_counter()
                    if chunks == 1 and not before:
                        yield PrefillProgress(sent, sent)
                    if (yield piece.text):
                        reason = reason or "stop"
                        break
        if not reason:
            raise RemoteError(
                f"{host} ended the reply before it was whole. Send the request again."
            )
        now = time.perf_counter()
        usage = replace(
            usage,
            reply_tokens=usage.reply_tokens or chunks,
            prefill_seconds=(first_text or now) - started,
            decode_seconds=now - (first_text or now),
        )
        return GenerationEnd(reason == "length", usage)

    def _question(
        self, prompt: Prompt, before: str, grammar: Grammar | None, sampling: Sampling
    ) -> Question:
        enforces = self.server.enforces
        text = self._gbnf(grammar) if grammar and enforces is Enforcement.GRAMMAR else None
        wants_schema = enforces is Enforcement.JSON_SCHEMA
        schema = grammar.json_schema if grammar and wants_schema else None
        whole = (*prompt, PromptPart(before)) if before else prompt
        tokens = self.tokenizer.tokenize(whole) if self.tokenizer else None
        count = self.count([whole])[0] if tokens is None else len(tokens)
        available = self.context_size - count
        if available <= 0:
            raise ContextExceeded(
                f"The prompt has {count} tokens, but the context of {self.device} holds "
                f"{self.context_size}. Shorten the conversation, offer fewer tools, or serve the "
                "model with a larger context."
            )
        limited = replace(sampling, max_tokens=min(sampling.max_tokens, available))
        written = _as_text(whole) if tokens is None else tokens
        return Question(self.server.model, written, text, limited, schema)

    def _gbnf(self, grammar: Grammar) -> str:
        last = self._grammar
        if last is None or last[0] is not grammar:
            written = grammar if self._is_xlam else of_other_models(grammar, may_use_one_line=True)
            printed = gbnf.to_gbnf(written)
            last = self._grammar = (grammar, printed)
        return last[1]


def _as_text(prompt: Prompt) -> str:
    return "".join(part.text if part.special else defuse(part.text) for part in prompt)


def _check_prompt_tokens(reported: int | None, sent: int, host: str) -> None:
    if sent and reported is not None and reported != sent:
        raise RemoteError(
            f"{host} read {reported} prompt tokens, but {sent} were sent, so its reply is not one "
            "to this prompt."
        )
