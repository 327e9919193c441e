"""llama.cpp: load, constrain, decode, and keep what prompts have in common."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Literal

import llama_cpp
import numpy as np

from .. import gbnf, prompt
from ..errors import GrammarError, ModelError, PromptError
from ..types import End, Prefill, Prompt, Sampling, Usage
from .closing import Closer
from .constraint import EXECUTORS, Compiler, Constraint, Free
from .llama import Context, Logits, Model
from .sampling import choose, cuts_off

Executor = Literal["llguidance", "llama.cpp"]

CHUNK_SECONDS = 0.25
"""How long a part of a prefill takes at most, so that it can be shown and cancelled."""
FIRST_CHUNK = 32
NOTHING_FOLLOWS = "The grammar allows nothing after what is written."
CLOSING = 64
"""Tokens kept back to close a call legally when the room runs out."""


class Engine:
    """A model that is loaded, and the KV cache it writes in. Used by one thread at a time."""

    def __init__(self, model: Model, context: Context, executor: Executor) -> None:
        self.model = model
        self.context = context
        self._executor = executor

    @classmethod
    def load(
        cls,
        path: Path,
        context: int = 8192,
        threads: int | None = None,
        executor: Executor = "llguidance",
    ) -> Engine:
        """Load a GGUF file with room for `context` tokens, at most the model's own.

        Raises:
            ModelMissing: there is no such file.
            ModelError: llama.cpp cannot load it.
            OutOfMemory: there is no room for the context.
        """
        model = Model(path)
        try:
            size = min(context, model.trained_context)
            return cls(model, Context(model, size, threads or os.cpu_count() or 1), executor)
        except BaseException:
            model.close()
            raise

    def close(self) -> None:
        """Give the memory back."""
        self.context.close()
        self.model.close()

    @property
    def name(self) -> str:
        """The model's name, as its file says it."""
        return self.model.metadata.get("general.name") or self.model.path.stem

    @cached_property
    def format(self) -> prompt.Format:
        """How this model's prompts are written: xLAM's own way, or as its file says."""
        model = self.model
        if family := prompt.xlam_family(model.metadata):
            return family
        source = model.metadata.get("tokenizer.chat_template")
        if source is None:
            raise ModelError(f"{model.path.name} has no chat template, so it cannot hold a chat.")
        return prompt.Template(
            source,
            model.specials,
            bos=model.token_text(llama_cpp.llama_vocab_bos(model.vocab)),
            eos=model.token_text(llama_cpp.llama_vocab_eos(model.vocab)),
            add_bos=llama_cpp.llama_vocab_get_add_bos(model.vocab),
        )

    def generate(
        self, prompt: Prompt, grammar: gbnf.Grammar | None, sampling: Sampling
    ) -> Generator[Prefill | str | End, bool | None, None]:
        """Write on after `prompt`, within `grammar`: progress, then text, then one End.

        To end the reply early, send True after a piece of text. To cancel, stop consuming; what
        was read so far stays in the KV cache.

        Raises:
            PromptError: the prompt leaves no room to write in.
            GrammarError: the grammar cannot be loaded.
        """
        tokens = self.model.tokenize(prompt)
        room = min(sampling.max_tokens, self.context.size - len(tokens))
        if room <= 0:
            raise PromptError(
                f"The prompt has {len(tokens)} tokens, and the context holds {self.context.size}; "
                "shorten the conversation, offer fewer tools, or make the context larger."
            )
        constraint = self._compiler.start(grammar) if grammar else Free()
        started = time.perf_counter()
        kept = _common(self.context.tokens, tokens[:-1])
        self.context.keep(kept)
        yield from self._prefill(tokens, kept)
        read = time.perf_counter()
        written, cut = yield from self._write(constraint, sampling, room)
        usage = Usage(len(tokens), kept, written, read - started, time.perf_counter() - read)
        yield End(cut, usage)

    @cached_property
    def _compiler(self) -> Compiler:
        return EXECUTORS[self._executor](self.model)

    def _prefill(self, tokens: Sequence[int], kept: int) -> Iterator[Prefill]:
        """Read the prompt in parts that each take about CHUNK_SECONDS."""
        done, size = kept, FIRST_CHUNK
        yield Prefill(done, len(tokens))
        while done < len(tokens):
            started = time.perf_counter()
            part = tokens[done : done + min(size, self.context.batch_size)]
            self.context.decode(part)
            done += len(part)
            yield Prefill(done, len(tokens))
            if time.perf_counter() - started < CHUNK_SECONDS / 2:
                size *= 2

    def _write(
        self, constraint: Constraint, sampling: Sampling, room: int
    ) -> Generator[str, bool | None, tuple[int, bool]]:
        """Write until the end or for `room` tokens; the count of tokens, and whether it was cut."""
        random = np.random.default_rng(sampling.seed)
        last = room - min(CLOSING, room // 2)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        written, new, cut_short = 0, constraint.forced(), False
        while True:
            new = new[: room - written]
            written += len(new)
            ended = constraint.finished()
            cut = not ended and written == room
            data = b"".join(map(self.model.piece, new))
            text = decoder.decode(data, final=ended or cut)
            stopped = bool(text) and (yield text)
            if stopped or ended or cut:
                return written, cut or cut_short
            self._read(new)
            if written < last or constraint.accepting():
                token = _next(self.context.logits(), constraint, sampling, random)
            else:
                token = self._close(constraint)
                cut_short = True
            if token in self.model.ends:
                if text := decoder.decode(b"", final=True):
                    yield text
                return written, cut_short
            new = [token, *constraint.forced()]

    def _close(self, constraint: Constraint) -> int:
        """A token that the grammar allows and that brings a call nearer to its end."""
        token = self._closer.choose(constraint.narrow(self.context.logits()))
        if not constraint.take(token):
            raise GrammarError(NOTHING_FOLLOWS)
        return token

    @cached_property
    def _closer(self) -> Closer:
        pieces = [self.model.piece(token) for token in range(self.model.vocab_size)]
        return Closer(pieces, self.model.ends)

    def _read(self, tokens: Sequence[int]) -> None:
        size = self.context.batch_size
        for start in range(0, len(tokens), size):
            self.context.decode(tokens[start : start + size])


def _next(
    logits: Logits, constraint: Constraint, sampling: Sampling, random: np.random.Generator
) -> int:
    """A token that the grammar allows.

    First one is drawn from all tokens, for asking about a single one is cheap. That leaves the
    distribution as it would be under the mask, unless tokens are cut off: then the mask is first.
    """
    if sampling.temperature == 0 or not cuts_off(sampling):
        token = choose(logits, sampling, random)
        if constraint.take(token):
            return token
    narrowed = constraint.narrow(logits)
    token = choose(narrowed, sampling, random)
    if narrowed[token] == -np.inf or not constraint.take(token):
        raise GrammarError(NOTHING_FOLLOWS)
    return token


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts have in common from the start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
