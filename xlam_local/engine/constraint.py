"""What a grammar allows next, asked of llguidance or of llama.cpp itself."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import llama_cpp
import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ..errors import GrammarError
from .llama import Logits, Model

Tokens = npt.NDArray[np.int64]

LIMITS = LLParserLimits(step_max_items=5_000_000)
"""A grammar from a file is read character by character, which takes many items for one mask."""


class Constraint(Protocol):
    """The state of a grammar after the tokens it has taken."""

    def take(self, token: int) -> bool:
        """Go on with `token` if the grammar allows it."""

    def forced(self) -> list[int]:
        """The tokens that can only come next; the grammar has taken them."""

    def allowed(self, tokens: list[int]) -> list[int]:
        """As many of `tokens` as may come next, from the first; the grammar takes none."""

    def narrow(self, logits: Logits) -> Logits:
        """A copy of `logits`, shape (vocab_size,), with -inf for what is not allowed."""

    def accepting(self) -> bool:
        """Whether the text may end here."""

    def finished(self) -> bool:
        """Whether nothing but the end can follow."""


class Compiler(Protocol):
    """Makes constraints for one model."""

    def start(self, rules: str) -> Constraint:
        """The state before the first token, from a grammar's text."""


class Free:
    """No grammar: everything is allowed."""

    def take(self, token: int) -> bool:
        """Allow every token."""
        return True

    def forced(self) -> list[int]:
        """Force none."""
        return []

    def allowed(self, tokens: list[int]) -> list[int]:
        """Allow all."""
        return tokens

    def narrow(self, logits: Logits) -> Logits:
        """Change nothing."""
        return logits

    def accepting(self) -> bool:
        """Let the text end anywhere."""
        return True

    def finished(self) -> bool:
        """Leave the end to the model."""
        return False


class MaskCompiler:
    """Compiles grammars for llguidance, which computes a mask over the whole vocabulary.

    `pieces` gives the bytes of each token.
    """

    def __init__(self, model: Model, pieces: Callable[[], list[bytes]]) -> None:
        function = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p)
        self._tokenizer: LLTokenizer = LLTokenizer.from_llamacpp(
            tokens=pieces(),
            vocab_ptr=model.vocab,
            tokenize_fptr=function.value,
            eos_token=sorted(model.ends),
        )

    def start(self, rules: str) -> Constraint:
        """The state before the first token."""
        # A copy of a matcher shares its lexer, which fills up over many replies.
        text = LLMatcher.grammar_from_lark(rules)
        matcher = LLMatcher(self._tokenizer, text, log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise GrammarError(f"llguidance cannot load the grammar: {_why(matcher)}.")
        return Mask(matcher)


class Mask:
    """A grammar in llguidance."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def take(self, token: int) -> bool:
        """Go on with `token` if the grammar allows it."""
        taken: int = self._matcher.try_consume_tokens([token])
        return taken == 1

    def forced(self) -> list[int]:
        """The tokens that can only come next."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        taken = self._matcher.try_consume_tokens(tokens) if tokens else 0
        return tokens[:taken]

    def allowed(self, tokens: list[int]) -> list[int]:
        """As many of `tokens` as may come next."""
        count: int = self._matcher.validate_tokens(tokens)
        return tokens[:count]

    def narrow(self, logits: Logits) -> Logits:
        """A copy of `logits` with -inf for what is not allowed."""
        mask = np.zeros((len(logits) + 31) // 32, dtype=np.int32)
        self._matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        if self._matcher.is_error():
            raise GrammarError(f"llguidance gave up: {_why(self._matcher)}.")
        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(logits)]
        return np.where(allowed.view(np.bool_), logits, -np.inf).astype(np.float32)

    def accepting(self) -> bool:
        """Whether the text may end here."""
        accepting: bool = self._matcher.is_accepting()
        return accepting

    def finished(self) -> bool:
        """Whether nothing but the end can follow."""
        stopped: bool = self._matcher.is_stopped()
        return stopped


def _why(matcher: LLMatcher) -> str:
    """What went wrong, without the grammar that llguidance shows behind it."""
    said: str = matcher.get_error()
    return said.partition("\n")[0].rstrip(".")


class SamplerCompiler:
    """Compiles grammars for llama.cpp's own sampler, the reference that llguidance is held to."""

    def __init__(self, model: Model, pieces: Callable[[], list[bytes]]) -> None:
        self._vocab = model.vocab
        self._banned = np.array(sorted(set(model.controls) - model.ends), dtype=np.int64)
        self._end = np.array(sorted(model.ends)[:1], dtype=np.int64)

    def start(self, rules: str) -> Constraint:
        """The state before the first token."""
        handle = llama_cpp.llama_sampler_init_grammar(self._vocab, rules.encode(), b"root")
        if not handle:
            # Putting NULL into a sampler chain is a crash at the next token.
            raise GrammarError("llama.cpp cannot load the grammar.")
        return Sampler(handle, self._banned, self._end)


class Sampler:
    """A grammar in llama.cpp's sampler."""

    def __init__(self, handle: Any, banned: Tokens, end: Tokens) -> None:
        self._handle = handle
        self._banned = banned
        self._end = end

    def __del__(self) -> None:
        llama_cpp.llama_sampler_free(self._handle)

    def take(self, token: int) -> bool:
        """Go on with `token` if the grammar allows it."""
        # A token that the grammar forbids must never be accepted: llama.cpp would abort.
        if token in self._banned or self._apply(np.array([token]), np.zeros(1))[0] == -np.inf:
            return False
        llama_cpp.llama_sampler_accept(self._handle, token)
        return True

    def forced(self) -> list[int]:
        """None: llama.cpp does not tell."""
        return []

    def allowed(self, tokens: list[int]) -> list[int]:
        """None: asking would take them."""
        return []

    def narrow(self, logits: Logits) -> Logits:
        """A copy of `logits` with -inf for what is not allowed."""
        narrowed = self._apply(np.arange(len(logits)), logits)
        # llama.cpp matches special tokens by their text, inside strings too.
        narrowed[self._banned] = -np.inf
        return narrowed

    def accepting(self) -> bool:
        """Whether the text may end here."""
        return bool(self._apply(self._end, np.zeros(1))[0] > -np.inf)

    def finished(self) -> bool:
        """Not known: the end has to be drawn like any token."""
        return False

    def _apply(self, tokens: np.ndarray[Any, Any], logits: np.ndarray[Any, Any]) -> Logits:
        candidates = np.zeros(len(tokens), dtype=CANDIDATE)
        candidates["id"], candidates["logit"] = tokens, logits
        data = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        array = llama_cpp.llama_token_data_array(data, len(tokens), -1, False)
        llama_cpp.llama_sampler_apply(self._handle, ctypes.byref(array))
        return candidates["logit"].copy()


CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)
EXECUTORS: dict[str, Callable[[Model, Callable[[], list[bytes]]], Compiler]] = {
    "llguidance": MaskCompiler,
    "llama.cpp": SamplerCompiler,
}
