"""llama.cpp in this process: load, constrain, decode, and keep what prompts have in common."""

from __future__ import annotations

import codecs
import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import llama_cpp
import numpy as np

from .. import gbnf, prompt
from ..errors import GrammarError, IntegrityError, ModelError, PromptError, XlamError
from ..types import End, Note, Prefill, Prompt, Sampling, Usage
from .closing import Closer
from .constraint import EXECUTORS, Compiler, Constraint, Free
from .drafts import Costs, Reader, common
from .llama import Context, Logits, Model
from .pieces import pieces
from .prefixes import Prefixes, fingerprint
from .rules import RulesText
from .sampling import choose, cuts_off, penalized
from .settings import Settings

NOTHING_FOLLOWS = "The grammar allows nothing after what is written."
CLOSING = 64
"""Tokens kept back to close a call legally when the room runs out."""
WORTH_LOADING = 64
"""Tokens that a kept prefix must save."""
WORTH_KEEPING = 256
"""Tokens that a prefix must have to be kept, and that must be new in it."""

Generation = Generator[Prefill | str | Note | End, bool | None, None]


class Engine:
    """A model that is loaded, and the KV cache it writes in. Used by one thread at a time."""

    def __init__(self, model: Model, context: Context, settings: Settings) -> None:
        self.model = model
        self.context = context
        self.settings = settings
        self.costs = Costs()
        self._rules = RulesText(settings.executor)
        self.grammar_seconds: list[float] = []
        """What the grammar took for each token of the last reply that was sampled."""
        self._untold: list[str] = []
        """What went wrong with prefixes, and nobody heard of yet."""
        self._keeps = True
        """Whether prefixes can be kept; they are loaded in any case."""
        self._saved = 0
        """How many of the context's tokens are on disk."""

    @classmethod
    def load(
        cls,
        path: Path,
        settings: Settings = Settings(),
        progress: Callable[[float], object] | None = None,
    ) -> Engine:
        """Load a GGUF file; `progress` hears how much is there, from 0 to 1.

        Raises:
            ModelMissing: there is no such file.
            ModelError: llama.cpp cannot load it.
            OutOfMemory: there is no room for it or for the context.
        """
        model = Model(path, settings.gpu_layers, progress)
        try:
            return cls(model, Context(model, settings), settings)
        except BaseException:
            model.close()
            raise

    def close(self) -> None:
        """Keep the prefix, and give the memory back."""
        self.keep_prefix(least=WORTH_LOADING)
        self.context.close()
        self.model.close()

    @property
    def name(self) -> str:
        """The model's name, as its file says it."""
        return self.model.metadata.get("general.name") or self.model.path.stem

    @property
    def size(self) -> int:
        """Tokens of context."""
        return self.context.size

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

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """How many tokens each prompt has."""
        return [len(self.model.tokenize(one)) for one in prompts]

    def stop(self) -> None:
        """Stop what `generate` is doing, from another thread: it raises Cancelled."""
        self.context.switch.throw()

    def generate(
        self, prompt: Prompt, grammar: gbnf.Grammar | None, sampling: Sampling
    ) -> Generation:
        """Write on after `prompt`, within `grammar`: progress, then text, then one End.

        To end the reply early, send True after a piece of text. To cancel, stop consuming; what
        was read so far stays in the KV cache.

        Raises:
            PromptError: the prompt leaves no room to write in.
            GrammarError: the grammar cannot be loaded.
            Cancelled: `stop` was called.
        """
        return self.write(prompt, self._rules.of(grammar) if grammar else None, sampling)

    def write(self, prompt: Prompt, rules: str | None, sampling: Sampling) -> Generation:
        """As `generate`, under the text of a grammar."""
        self.context.switch.reset()
        tokens = self.model.tokenize(prompt)
        room = min(sampling.max_tokens, self.context.size - len(tokens))
        if room <= 0:
            raise PromptError(
                f"The prompt has {len(tokens)} tokens, and the context holds {self.context.size}; "
                "shorten the conversation, offer fewer tools, or make the context larger."
            )
        started = time.perf_counter()
        kept = self._begin(tokens)
        while self._untold:
            yield Note(self._untold.pop(0))
        constraint = self.compiler.start(rules) if rules else Free()
        self.grammar_seconds = []
        reply = _Reply(self, constraint, sampling, room)
        yield from self._prefill(tokens, kept, reply.begin())
        read = time.perf_counter()
        try:
            yield from reply.write()
        finally:
            reply.reader.finish()
        seconds = time.perf_counter() - read
        guesses = (reply.reader.guessed, reply.reader.taken)
        yield End(
            reply.cut, Usage(len(tokens), kept, reply.count, read - started, seconds, *guesses)
        )

    @cached_property
    def compiler(self) -> Compiler:
        """What compiles grammars for this model; making it takes half a second."""
        return EXECUTORS[self.settings.executor](self.model, self._pieces)

    @cached_property
    def closer(self) -> Closer:
        """What closes calls when the room runs out."""
        return Closer(self._pieces(), self.model.ends)

    def _pieces(self) -> list[bytes]:
        """What each token writes."""
        folder = self.settings.prefixes
        return pieces(self.model, folder, self._fingerprint[:16] if folder else "")

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.model.path)

    @cached_property
    def _prefixes(self) -> Prefixes | None:
        settings, folder = self.settings, self.settings.prefixes
        if folder is None:
            return None
        stretched = self.context.size if self.context.size > self.model.trained_context else 0
        parts = (
            self._fingerprint,
            settings.kv,
            str(settings.gpu_layers),
            str(stretched),
            llama_cpp.__version__,
        )
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return Prefixes(folder, key, self.name, settings.prefix_bytes)

    def _begin(self, tokens: Sequence[int]) -> int:
        """Keep or load what is known of a prompt: how many tokens."""
        wanted = tokens[:-1]
        kept = common(self.context.tokens, wanted)
        if self._prefixes and len(wanted) - kept >= WORTH_LOADING:
            path, shared = self._prefixes.find(wanted)
            if path and shared >= kept + WORTH_LOADING:
                self.keep_prefix()
                self._restore(self._prefixes, path)
                kept = common(self.context.tokens, wanted)
        self._saved = min(self._saved, kept)
        self.context.keep(kept)
        return len(self.context.tokens)

    def _restore(self, prefixes: Prefixes, path: Path) -> None:
        try:
            tokens, state = prefixes.load(path)
        except IntegrityError as error:
            self._untold.append(str(error))
            return
        if len(tokens) > self.context.size or not self.context.restore(tokens, state):
            told = f"llama.cpp does not take the kept prefix {path.name}; the prompt is read."
            self._untold.append(told)
            return
        self._saved = len(tokens)

    def keep_prefix(self, least: int = WORTH_KEEPING) -> None:
        """Keep on disk what the KV cache holds, where enough of it is new."""
        tokens = self.context.tokens
        new = len(tokens) - self._saved
        enough = len(tokens) >= WORTH_KEEPING and new >= max(least, self._saved // 4)
        if not (self._prefixes and self._keeps and enough):
            return
        try:
            self._prefixes.save(tokens, self.context.state())
        except XlamError as error:
            # It is told with the next reply, and not tried again and again.
            self._untold.append(str(error))
            self._keeps = False
        self._saved = len(tokens)

    def _prefill(self, tokens: Sequence[int], kept: int, begun: Sequence[int]) -> Iterator[Prefill]:
        """Read the prompt in parts, which begin at the same tokens each time.

        Sums of floats depend on what is read together; parts as long as the clock lets them be
        would give another reply on another day.

        The reply's first tokens, where the grammar forces them, are read with the last part.
        """
        done, count = kept, len(tokens)
        tokens = [*tokens, *begun]
        size = self.context.part_size
        yield Prefill(done, count)
        while done < len(tokens):
            part = tokens[done : done + size - done % size]
            self.context.decode(part)
            done += len(part)
            yield Prefill(min(done, count), count)


class _Reply:
    """A reply that is being written."""

    def __init__(
        self, engine: Engine, constraint: Constraint, sampling: Sampling, room: int
    ) -> None:
        self.engine = engine
        self.constraint = constraint
        self.sampling = sampling
        self.room = room
        self.count = 0
        """Tokens written."""
        self.cut = False
        """Whether the room ran out."""
        drafts = False if isinstance(constraint, Free) else engine.settings.drafts
        self.reader = Reader(engine.context, engine.costs, drafts)
        self._random = np.random.default_rng(sampling.seed)
        self._spent = 0.0
        self._begun: list[int] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def begin(self) -> list[int]:
        """The tokens that the reply begins with in any case, to be read with the prompt."""
        self._begun = self._forced()[: self.room]
        return self._begun if self._goes_on(len(self._begun)) else []

    def _goes_on(self, count: int) -> bool:
        return count < self.room and not self.constraint.finished()

    def write(self) -> Generator[str, bool | None, None]:
        """Write until the end, or until there is no more room."""
        ends, last = self.engine.model.ends, self.room - min(CLOSING, self.room // 2)
        new, unread = self._begun, False
        while True:
            new = new[: self.room - self.count]
            self.count += len(new)
            goes_on = self._goes_on(self.count)
            self.cut = self.cut or not (goes_on or self.constraint.finished())
            text = self._text(new, final=not goes_on)
            if (text and (yield text)) or not goes_on:
                return
            if unread:
                self.reader.read(new, self.constraint)
            unread = True
            if self.count < last or self.constraint.accepting():
                token = self._next()
            else:
                token, self.cut = self._close(), True
            if token in ends:
                if text := self._text([], final=True):
                    yield text
                return
            new = [token, *self._forced()]

    def _text(self, tokens: Sequence[int], final: bool) -> str:
        data = b"".join(map(self.engine.model.piece, tokens))
        return self._decoder.decode(data, final)

    def _forced(self) -> list[int]:
        began = time.perf_counter()
        forced = self.constraint.forced() if self.engine.settings.forced else []
        self.engine.grammar_seconds.append(self._spent + time.perf_counter() - began)
        self._spent = 0.0
        return forced

    def _logits(self) -> Logits:
        logits, sampling = self.reader.logits(), self.sampling
        if sampling.repeat_penalty == 1:
            return logits
        return penalized(logits, self.reader.sure(), sampling.repeat_penalty)

    def _next(self) -> int:
        """A token that the grammar allows.

        First one is drawn from all tokens, for asking about a single one is cheap. That leaves
        the distribution as it would be under the mask, unless tokens are cut off: then the mask
        is first.
        """
        logits = self._logits()
        if self.sampling.temperature == 0 or not cuts_off(self.sampling):
            token = choose(logits, self.sampling, self._random)
            if self._takes(token):
                return token
        began = time.perf_counter()
        narrowed = self.constraint.narrow(logits)
        self._spent += time.perf_counter() - began
        token = choose(narrowed, self.sampling, self._random)
        if narrowed[token] == -np.inf or not self._takes(token):
            raise GrammarError(NOTHING_FOLLOWS)
        return token

    def _takes(self, token: int) -> bool:
        began = time.perf_counter()
        taken = self.constraint.take(token)
        self._spent += time.perf_counter() - began
        return taken

    def _close(self) -> int:
        """A token that the grammar allows and that brings a call nearer to its end."""
        token = self.engine.closer.choose(self.constraint.narrow(self._logits()))
        if not self.constraint.take(token):
            raise GrammarError(NOTHING_FOLLOWS)
        return token
