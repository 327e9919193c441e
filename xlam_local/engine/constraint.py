"""Which tokens a grammar allows next, computed by llguidance or by llama.cpp."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

import llama_cpp
import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ..errors import GrammarError
from .llama_context import Logits
from .llama_model import LlamaModel

TokenArray = npt.NDArray[np.int64]

PARSER_LIMITS = LLParserLimits(step_max_items=5_000_000)
"""A grammar from a GBNF file has no lexer rules, so a mask takes many parser items."""


class Constraint(Protocol):
    """The state of a grammar after the tokens that it has accepted."""

    def accept(self, token: int) -> bool:
        """Advance by a token if the grammar allows it, and return whether it does."""

    def take_back(self, count: int) -> bool:
        """Undo the last `count` accepted tokens; return False if this is not possible."""

    def fast_forward(self) -> list[int]:
        """Advance by the tokens that the grammar forces, and return them."""

    def valid_prefix(self, tokens: list[int]) -> list[int]:
        """Return the longest prefix of `tokens` that is allowed, without advancing."""

    def mask_logits(self, logits: Logits) -> Logits:
        """Return a copy of `logits`, shape (vocab_size,), with -inf for forbidden tokens."""

    def accepting(self) -> bool:
        """Return whether the text may end here."""

    def finished(self) -> bool:
        """Return whether the text must end here."""


class ConstraintCompiler(Protocol):
    """Creates constraints for one model."""

    def compile(self, grammar_text: str) -> Constraint:
        """Return the state of a grammar before the first token.

        Raises:
            GrammarError: the grammar cannot be loaded.
        """


class NoConstraint:
    """A constraint that allows everything."""

    def accept(self, token: int) -> bool:
        """Return True."""
        return True

    def take_back(self, count: int) -> bool:
        """Return True."""
        return True

    def fast_forward(self) -> list[int]:
        """Return no tokens."""
        return []

    def valid_prefix(self, tokens: list[int]) -> list[int]:
        """Return all tokens."""
        return tokens

    def mask_logits(self, logits: Logits) -> Logits:
        """Return the logits unchanged."""
        return logits

    def accepting(self) -> bool:
        """Return True."""
        return True

    def finished(self) -> bool:
        """Return False."""
        return False


class LLGuidanceCompiler:
    """Compiles grammars for llguidance. `token_bytes` returns the bytes of each token."""

    def __init__(self, model: LlamaModel, token_bytes: Callable[[], list[bytes]]) -> None:
        tokenize = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p)
        self._tokenizer: LLTokenizer = LLTokenizer.from_llamacpp(
            tokens=token_bytes(),
            vocab_ptr=model.vocab,
            tokenize_fptr=tokenize.value,
            eos_token=sorted(model.end_tokens),
        )

    def compile(self, grammar_text: str) -> Constraint:
        """Return the state of a grammar, in Lark syntax, before the first token."""
        # A matcher is not copied for the next reply: copies share a lexer, whose states add up.
        grammar = LLMatcher.grammar_from_lark(grammar_text)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=PARSER_LIMITS)
        if matcher.is_error():
            raise GrammarError(f"llguidance cannot load the grammar: {_reason(matcher)}.")
        return LLGuidanceConstraint(matcher)


class LLGuidanceConstraint:
    """The state of a grammar in llguidance."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def accept(self, token: int) -> bool:
        """Advance by a token if the grammar allows it."""
        consumed: int = self._matcher.try_consume_tokens([token])
        return consumed == 1

    def take_back(self, count: int) -> bool:
        """Undo the last accepted tokens."""
        undone: bool = self._matcher.rollback(count)
        return undone

    def fast_forward(self) -> list[int]:
        """Advance by the tokens that the grammar forces."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        consumed = self._matcher.try_consume_tokens(tokens) if tokens else 0
        return tokens[:consumed]

    def valid_prefix(self, tokens: list[int]) -> list[int]:
        """Return the longest allowed prefix."""
        count: int = self._matcher.validate_tokens(tokens)
        return tokens[:count]

    def mask_logits(self, logits: Logits) -> Logits:
        """Return a copy of `logits` with -inf for forbidden tokens."""
        mask = np.zeros((len(logits) + 31) // 32, dtype=np.int32)
        self._matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
        if self._matcher.is_error():
            raise GrammarError(f"llguidance failed: {_reason(self._matcher)}.")
        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(logits)]
        return np.where(allowed.view(np.bool_), logits, -np.inf).astype(np.float32)

    def accepting(self) -> bool:
        """Return whether the text may end here."""
        accepting: bool = self._matcher.is_accepting()
        return accepting

    def finished(self) -> bool:
        """Return whether the text must end here."""
        stopped: bool = self._matcher.is_stopped()
        return stopped


def _reason(matcher: LLMatcher) -> str:
    """Return the first line of a matcher's error; the grammar follows it."""
    error: str = matcher.get_error()
    return error.partition("\n")[0].rstrip(".")


class LlamaCppCompiler:
    """Compiles grammars for llama.cpp's sampler, the reference for llguidance."""

    def __init__(self, model: LlamaModel, token_bytes: Callable[[], list[bytes]]) -> None:
        self._vocab = model.vocab
        self._forbidden = np.array(
            sorted(set(model.control_tokens) - model.end_tokens), dtype=np.int64
        )
        self._end_token = np.array(sorted(model.end_tokens)[:1], dtype=np.int64)

    def compile(self, grammar_text: str) -> Constraint:
        """Return the state of a grammar, in GBNF, before the first token."""
        sampler = llama_cpp.llama_sampler_init_grammar(self._vocab, grammar_text.encode(), b"root")
        if not sampler:
            # A sampler that is NULL would crash the process at the first token.
            raise GrammarError("llama.cpp cannot load the grammar.")
        return LlamaCppConstraint(sampler, self._forbidden, self._end_token)


class LlamaCppConstraint:
    """The state of a grammar in llama.cpp's sampler.

    `forbidden` are the control tokens that no grammar allows, and `end_token` is an array with
    one token that ends a reply.
    """

    def __init__(self, sampler: Any, forbidden: TokenArray, end_token: TokenArray) -> None:
        self._sampler = sampler
        self._forbidden = forbidden
        self._end_token = end_token

    def __del__(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)

    def accept(self, token: int) -> bool:
        """Advance by a token if the grammar allows it."""
        # llama.cpp aborts the process if it accepts a token that the grammar forbids.
        if token in self._forbidden or self._apply(np.array([token]), np.zeros(1))[0] == -np.inf:
            return False
        llama_cpp.llama_sampler_accept(self._sampler, token)
        return True

    def take_back(self, count: int) -> bool:
        """Return False: llama.cpp's sampler only advances."""
        return False

    def fast_forward(self) -> list[int]:
        """Return no tokens: llama.cpp does not compute which ones are forced."""
        return []

    def valid_prefix(self, tokens: list[int]) -> list[int]:
        """Return no tokens: llama.cpp cannot check them without advancing."""
        return []

    def mask_logits(self, logits: Logits) -> Logits:
        """Return a copy of `logits` with -inf for forbidden tokens."""
        masked = self._apply(np.arange(len(logits)), logits)
        # llama.cpp matches control tokens by their names, so it allows them inside strings.
        masked[self._forbidden] = -np.inf
        return masked

    def accepting(self) -> bool:
        """Return whether the text may end here."""
        return bool(self._apply(self._end_token, np.zeros(1))[0] > -np.inf)

    def finished(self) -> bool:
        """Return False: llama.cpp does not say, so the end token is sampled."""
        return False

    def _apply(self, tokens: np.ndarray[Any, Any], logits: np.ndarray[Any, Any]) -> Logits:
        candidates = np.zeros(len(tokens), dtype=TOKEN_DATA)
        candidates["id"], candidates["logit"] = tokens, logits
        data = candidates.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        array = llama_cpp.llama_token_data_array(data, len(tokens), -1, False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return candidates["logit"].copy()


TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)
"""`struct llama_token_data`."""
COMPILERS: dict[str, Callable[[LlamaModel, Callable[[], list[bytes]]], ConstraintCompiler]] = {
    "llguidance": LLGuidanceCompiler,
    "llama.cpp": LlamaCppCompiler,
}
