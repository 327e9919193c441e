"""An engine that runs llama.cpp in this process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import llama_cpp

from .. import prompt
from ..errors import ContextExceeded, ModelError, UsageError
from ..grammar import CALL_TAGS, CallDetector, Enforced, ends_in_reasoning
from ..types import GenerationEnd, PrefillProgress, Prompt, PromptPart, Sampling, Usage
from .call_closer import CallCloser
from .constraint import COMPILERS, Constraint, ConstraintCompiler, NoConstraint
from .grammar_text import GrammarSerializer, GrammarText
from .llama_context import DecodeRequest, LlamaContext, LlamaSequence
from .llama_model import LlamaModel
from .load_options import AdapterOption, LoadOptions
from .logprobs import LogprobDecoder, TokenLog, with_logprobs
from .more_calls import MoreCalls
from .prompt_cache import PromptCache, fingerprint
from .reply_writer import CallSwitch, ReplyWriter
from .scheduler import TEXT, FinishReply, Item, Reply, ReplySteps, Scheduler
from .sequence_pool import MIN_SHARED_TOKENS, SequencePool
from .speculative import BatchCosts, PromptLookupDecoder
from .stop_strings import until_stop
from .token_bytes import load_token_bytes

KEY_DIGITS = 16
"""Hexadecimal digits of the hashes in the names of cache files."""

Generation = Generator[Item, bool | None, None]


class LocalEngine:
    """A loaded model and its context. Used by one thread, except for `stop`.

    That thread may generate several replies at once, `options.sequences` of them side by side.
    """

    def __init__(self, model: LlamaModel, context: LlamaContext, options: LoadOptions) -> None:
        self.model = model
        self.context = context
        self.options = options
        self.batch_costs = BatchCosts()
        self.grammar_seconds: list[float] = []
        """The seconds that the grammar took for each sampled token of the last reply."""
        self._serializer = GrammarSerializer(options.grammar_backend, lambda: self._is_xlam)

    @classmethod
    def load(
        cls,
        path: Path,
        options: LoadOptions = LoadOptions(),
        progress: Callable[[float], object] | None = None,
    ) -> LocalEngine:
        """Load a GGUF file; `progress` is called with the loaded share, from 0 to 1.

        Raises:
            ModelMissing: there is no such file.
            OutOfMemory: the weights or the context do not fit into memory.
            ModelError: llama.cpp cannot load the file, or an adapter.
        """
        model = LlamaModel(path, options.gpu_layers, progress)
        try:
            return cls(model, LlamaContext(model, options), options)
        except BaseException:
            model.close()
            raise

    def close(self) -> None:
        """End all replies, save their prompts to the disk cache, and free the memory."""
        self.scheduler.drop_all()
        self._pool.save_resting(min_new_tokens=MIN_SHARED_TOKENS)
        self.context.close()
        self.model.close()

    @property
    def name(self) -> str:
        """The model's name from its file, and its adapters as in `-m MODEL+ADAPTER`."""
        name = self.model.metadata.get("general.name") or self.model.path.stem
        return "+".join([name, *map(str, self.options.adapters)])

    @property
    def context_size(self) -> int:
        """Tokens of context of each reply."""
        return self.context.size

    @property
    def sequences(self) -> int:
        """How many replies are written at once; others wait."""
        return self.options.sequences

    @cached_property
    def prompt_format(self) -> prompt.PromptFormat:
        """How the model's prompts are written.

        Raises:
            ModelError: the file has no chat template.
        """
        model = self.model
        vocabulary = prompt.Vocabulary(
            model.control_texts,
            model.user_defined_texts,
            bos=model.token_text(llama_cpp.llama_vocab_bos(model.vocab)),
            eos=model.token_text(llama_cpp.llama_vocab_eos(model.vocab)),
            add_bos=llama_cpp.llama_vocab_get_add_bos(model.vocab),
            named=model.named_tokens,
        )
        detected = prompt.detect_format(model.metadata, vocabulary)
        if detected is None:
            raise ModelError(
                f"{model.path.name} has no chat template, or none whose special tokens its "
                "vocabulary has, so it cannot chat."
            )
        return detected

    def count(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the number of tokens of each prompt."""
        return [len(self.model.tokenize(written)) for written in prompts]

    def set_adapters(self, adapters: Sequence[AdapterOption]) -> None:
        """Change the model by these LoRA adapters from now on; none is the model itself.

        The engine then reads all prompts again.

        Raises:
            UsageError: a reply is being written.
            ModelError: llama.cpp cannot load an adapter; those from before stay.
        """
        if self.scheduler.busy:
            raise UsageError("Adapters cannot change while a reply is being written; wait for it.")
        for adapter in adapters:
            self.model.adapter(adapter.path)
        self._pool.save_resting()
        self.context.close()
        self.options = replace(self.options, adapters=tuple(adapters))
        self.context = LlamaContext(self.model, self.options)
        for name in ("_pool", "scheduler"):
            self.__dict__.pop(name, None)

    def stop(self) -> None:
        """Make each running `generate` raise Cancelled. Any thread may call this."""
        self.scheduler.cancel_all()

    def save_prompts(self) -> None:
        """Save prompts to the disk cache if enough of them is new."""
        self._pool.save_resting()

    def generate(self, prompt: Prompt, grammar: Enforced | None, sampling: Sampling) -> Generation:
        """Generate a reply to a prompt under a grammar: progress, then text, then one end.

        Several generators may be used in turn: each writes the replies of the others on. Send True
        after a text to end the reply early. To cancel, close the generator; tokens that were
        decoded stay in the KV cache.

        Raises:
            ContextExceeded: the prompt fills the context.
            GrammarError: the grammar cannot be loaded.
            Cancelled: `stop` was called.
        """
        reply = self.submit(prompt, self._serializer.serialize(grammar), sampling)
        try:
            while True:
                if items := reply.take_items():
                    for item in items:
                        if not (reply.finishing and isinstance(item, TEXT)):
                            reply.finishing |= bool((yield item))
                elif reply.error is not None:
                    raise reply.error
                elif reply.ended:
                    return
                else:
                    self.scheduler.step()
        finally:
            if not reply.ended:
                self.scheduler.drop(reply)

    def submit(self, prompt: Prompt, grammar: GrammarText | None, sampling: Sampling) -> Reply:
        """Add a reply to those that `scheduler` writes.

        Raises:
            ContextExceeded: the prompt fills the context.
        """
        tokens = self.model.tokenize(prompt)
        if grammar is not None and grammar.before_calls is None and grammar.call_count != "none":
            tokens = [*tokens, *self._tag_before_calls]
        max_tokens = min(sampling.max_tokens, self.context.size - len(tokens))
        if max_tokens <= 0:
            raise ContextExceeded(
                f"The prompt has {len(tokens)} tokens, but the context holds {self.context.size}. "
                "Shorten the conversation, offer fewer tools, or use a larger context."
            )
        limited = replace(sampling, max_tokens=max_tokens)
        reply = Reply(
            tokens,
            lambda sequence: self._write_reply(sequence, prompt, tokens, grammar, limited),
        )
        self.scheduler.submit(reply)
        return reply

    def _write_reply(
        self,
        sequence: LlamaSequence,
        prompt: Prompt,
        tokens: Sequence[int],
        grammar: GrammarText | None,
        sampling: Sampling,
    ) -> ReplySteps:
        """Write a reply to a prompt, of which the sequence holds a prefix."""
        if sampling.prompt_logprobs:
            sequence.truncate(0)
        started, cached = time.perf_counter(), len(sequence.tokens)
        yield from self._pool.take_notices()
        constraint, switch = self._constraint(grammar, prompt, tokens)
        log = None if sampling.logprobs is None else TokenLog(self.model, sampling.logprobs)
        decoder = self._decoder(sequence, len(tokens), grammar is not None, log)
        writer = ReplyWriter(
            self.model,
            decoder,
            constraint,
            sampling,
            self.options.fast_forward,
            switch,
            self._more_calls(grammar, decoder),
        )
        self.grammar_seconds = writer.grammar_seconds
        forced_start = writer.forced_start()
        if sampling.prompt_logprobs and isinstance(decoder, LogprobDecoder):
            yield from decoder.read_prompt(tokens)
        else:
            yield from self._prefill(sequence, tokens, forced_start)
        prefilled = time.perf_counter()
        try:
            written = writer.write(lambda: self.call_closer)
            if sampling.stop:
                written = until_stop(written, sampling.stop, lambda: not writer.in_calls)
            yield from with_logprobs(written, log) if log else written
        except FinishReply:
            pass
        finally:
            decoder.finish()
        yield GenerationEnd(
            writer.truncated,
            Usage(
                prompt_tokens=len(tokens),
                cached_tokens=cached,
                reply_tokens=writer.count,
                prefill_seconds=prefilled - started,
                decode_seconds=time.perf_counter() - prefilled,
                drafted_tokens=decoder.drafted,
                accepted_tokens=decoder.accepted,
            ),
            self.context.threads,
        )

    def _decoder(
        self, sequence: LlamaSequence, prompt_length: int, constrained: bool, log: TokenLog | None
    ) -> PromptLookupDecoder:
        """Return the decoder of a reply; it logs the tokens if there is a log."""
        if log is not None:
            return LogprobDecoder(self.context, sequence, self.batch_costs, log, prompt_length)
        return PromptLookupDecoder(
            self.context,
            sequence,
            self.batch_costs,
            self.options.speculative if constrained else False,
            may_draft=lambda: self.scheduler.running == 1,
        )

    def _constraint(
        self, grammar: GrammarText | None, prompt: Prompt, tokens: Sequence[int]
    ) -> tuple[Constraint, CallSwitch | None]:
        """Return the constraint of a reply, and how it changes when the model begins calls."""
        if grammar is None:
            return NoConstraint(), None
        compile_text = self.constraint_compiler.compile
        if grammar.before_calls is None:
            return compile_text(grammar.text), None
        in_reasoning = ends_in_reasoning(prompt[-1].text if prompt else "")
        return compile_text(grammar.before_calls), CallSwitch(
            tokens,
            CallDetector(grammar.tools, in_reasoning, early=True),
            lambda: compile_text(grammar.text),
            self._call_tag_tokens,
            keeps_markup=not self._is_xlam,
        )

    @cached_property
    def _tag_before_calls(self) -> list[int]:
        """The tokens that models other than xLAM are told to write before calls; none for xLAM.

        If a reply can only be calls, the model reads them first. They are not in the reply.
        """
        if self._is_xlam:
            return []
        return self.model.tokenize((PromptPart(prompt.CALLS_START, special=True),))

    def _more_calls(
        self, grammar: GrammarText | None, decoder: PromptLookupDecoder
    ) -> MoreCalls | None:
        """Return what adds calls to the list of a reply; None if it cannot have more calls."""
        if grammar is None or grammar.call_count != "many" or self._is_xlam:
            return None
        return MoreCalls(self.model, decoder, self._call_tag_tokens)

    @cached_property
    def _is_xlam(self) -> bool:
        """Whether the model reads xLAM's prompts; one without a chat template does not."""
        with suppress(ModelError):
            return isinstance(self.prompt_format, prompt.Family)
        return False

    @cached_property
    def _call_tag_tokens(self) -> frozenset[int]:
        """The control tokens that models write before calls."""
        model = self.model
        return frozenset(
            token for token in model.control_tokens if model.token_text(token) in CALL_TAGS
        )

    @cached_property
    def constraint_compiler(self) -> ConstraintCompiler:
        """The compiler of grammars for this model. Creating it takes half a second."""
        return COMPILERS[self.options.grammar_backend](self.model, self._token_bytes)

    @cached_property
    def call_closer(self) -> CallCloser:
        """Closes calls when the token limit is near."""
        return CallCloser(self._token_bytes(), self.model.end_tokens)

    def _token_bytes(self) -> list[bytes]:
        folder = self.options.prompt_cache_folder
        return load_token_bytes(
            self.model, folder, self._fingerprint[:KEY_DIGITS] if folder else ""
        )

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.model.path)

    @cached_property
    def _pool(self) -> SequencePool:
        return SequencePool(self.context, self._prompt_cache())

    @cached_property
    def scheduler(self) -> Scheduler:
        """Writes the replies."""
        return Scheduler(self.context, self._pool, self.batch_costs, self.options.adapt_sequences)

    def _prompt_cache(self) -> PromptCache | None:
        options, folder = self.options, self.options.prompt_cache_folder
        if folder is None:
            return None
        # YaRN scales positions by the size of the context, so its states depend on that.
        uses_yarn = self.context.size > self.model.trained_context
        parts = (
            self._fingerprint,
            options.kv_cache_type,
            str(options.gpu_layers),
            str(self.context.size if uses_yarn else 0),
            *(f"{adapter.sha256} {adapter.scale}" for adapter in options.adapters),
            llama_cpp.__version__,
        )
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:KEY_DIGITS]
        return PromptCache(folder, key, self.name, options.prompt_cache_bytes)

    def _prefill(
        self, sequence: LlamaSequence, tokens: Sequence[int], forced_start: Sequence[int]
    ) -> ReplySteps:
        """Decode a prompt after its cached tokens, and then the tokens that begin the reply.

        Requests always begin at multiples of the prefill size: rounding depends on the tokens in a
        batch, so other batches could lead to another reply.
        """
        done, count = len(sequence.tokens), len(tokens)
        tokens = [*tokens, *forced_start]
        size = self.context.prefill_size
        yield PrefillProgress(done, count)
        while done < len(tokens):
            part = tokens[done : done + size - done % size]
            done += len(part)
            last = done == len(tokens)
            yield DecodeRequest(sequence, part, outputs=int(last), of_prompt=True)
            yield PrefillProgress(min(done, count), count)
